/// What a file states about its modules beyond the names and shapes of its tensors.
///
/// A graph, a configuration or a program is read into this once, by the code that knows the framework;
/// everything above (recognition, plans, proofs, reports, writers) reads nothing else. What a file leaves
/// open is absent here: nothing in a `Structure` is a guess.
package struct Structure: Sendable, Equatable {
  /// Whether the file says how its modules are connected; a connection that is not listed is then not there.
  ///
  /// A graph or a configuration does, a state dict or a pickled module does not.
  package var statesConnections: Bool
  /// The modules in file order, for graphs in the order of computation.
  package var modules: [Module]
  /// The connections that the file states, all of whose operations are understood exactly.
  package var connections: [Connection]
  /// What stands where a connection would otherwise be, or at the ends of a module.
  package var obstacles: [Obstacle]
  /// What a reader of the file should know.
  package var remarks: [Remark]
  /// The framework's own text (a configuration), for a copy into the same kind of container.
  package var original: String?
  /// The convention of the tensors' names (`onnx`), where it is not PyTorch's.
  package var convention: String?

  /// Describes a file; by default one that states nothing.
  package init(
    statesConnections: Bool = false, modules: [Module] = [], connections: [Connection] = [],
    obstacles: [Obstacle] = [], remarks: [Remark] = [], original: String? = nil
  ) {
    self.statesConnections = statesConnections
    self.modules = modules
    self.connections = connections
    self.obstacles = obstacles
    self.remarks = remarks
    self.original = original
  }

  /// The first module with a name.
  package func module(_ name: String) -> Module? {
    modules.first { $0.name.utf8.elementsEqual(name.utf8) }
  }
}

extension Structure {
  /// One module of a file.
  package struct Module: Sendable, Equatable {
    /// The name that its author gave it, without a dot at the end (`encoder.rnn`); empty where it has none.
    package var name: String
    /// What it is.
    package var kind: ModuleKind
    /// The framework's own word for it (`GRU`, `LayerNormalization`), for messages.
    package var className: String
    /// Where the convention finds its tensors, by layer and direction; empty where that follows from
    /// the name.
    package var prefixes: [[String]]
    /// What a recurrent module or a cell is, as far as the file says so.
    package var recurrent: Recurrent
    /// The rows of a linear layer's matrix in PyTorch's layout, or the features of a table's vectors, where the
    /// file says so.
    package var outputSize: Int?
    /// The token id whose vector is not trained, of an embedding.
    package var paddingIndex: Int?
    /// The function that the module's output passes through before anything else sees it
    /// (`softmax`, `sigmoid`, `relu`); `nil` for none.
    package var activation: String?
    /// Why the module cannot be used although it is there.
    package var refusal: RecurrentError?
    /// What a reader should know.
    package var remarks: [Remark]
    /// The names of the layers that a stack is made of, where the file has one for each; then the first
    /// is the module's.
    package var layerNames: [String] = []

    /// Describes a module.
    package init(
      name: String, kind: ModuleKind, className: String = "", prefixes: [[String]] = [],
      recurrent: Recurrent = .init(), paddingIndex: Int? = nil, activation: String? = nil,
      refusal: RecurrentError? = nil, remarks: [Remark] = []
    ) {
      self.name = name
      self.kind = kind
      self.className = className
      self.prefixes = prefixes
      self.recurrent = recurrent
      self.paddingIndex = paddingIndex
      self.activation = activation
      self.refusal = refusal
      self.remarks = remarks
    }
  }

  /// Where a recurrent module's states come from at the first step.
  package enum InitialState: Sendable, Equatable {
    /// Zeros.
    case zeros
    /// Tensors of the file, (L·directions, 1 or N, H), under the names given; `c` for an LSTM.
    case stored(h: Name?, c: Name?)
    /// The caller may give them; zeros when it does not.
    case fed
    /// Another module or an operation of the file computes them; the text says which.
    case computed(String)
  }

  /// What a file says about a recurrent module; `nil` where it says nothing.
  package struct Recurrent: Sendable, Equatable {
    /// The cell: `rnn_tanh`, `rnn_relu`, `lstm` or `gru`.
    package var cell: String?
    /// L, the stacked layers.
    package var layerCount: Int?
    /// D, the features of an input step.
    package var inputSize: Int?
    /// H, the features of the hidden state.
    package var hiddenSize: Int?
    /// P of an LSTM with a projection.
    package var projSize: Int?
    /// Whether the layers have biases.
    package var hasBias: Bool?
    /// `forward`, `reverse` or `both`.
    package var direction: String?
    /// Where a GRU applies its reset gate: `after` or `before`.
    package var gruReset: String?
    /// Whether the model's x and output are (N, T, ·).
    package var batchFirst: Bool?
    /// The probability of dropout between layers, in training.
    package var dropout: Double?
    /// The activations in ONNX's words and order, per direction, where they are not the cell's own.
    package var activations: String?
    /// The bound that every gate's input is clipped to.
    package var clip: Double?
    /// Whether the input gate is one minus the forget gate.
    package var couplesInputForget: Bool?
    /// Where the states come from.
    package var initialState: InitialState?
    /// Whether the model takes the lengths of its sequences.
    package var takesLengths: Bool?

    /// Says nothing.
    package init() {}
  }

  /// One module's output that is another module's input, and nothing between.
  package struct Connection: Sendable, Equatable {
    /// The module that computes.
    package var from: String
    /// The module that reads.
    package var to: String
    /// Which of a recurrent module's results is read.
    package var reads: HeadReads

    /// Connects two modules.
    package init(from: String, to: String, reads: HeadReads = .sequence) {
      self.from = from
      self.to = to
      self.reads = reads
    }
  }

  /// Something next to a module that is no module, or not understood exactly.
  package struct Obstacle: Sendable, Equatable {
    /// On which side of the module.
    package enum Side: String, Sendable {
      /// Between the model's input (or another module) and the module.
      case before
      /// Between the module and the model's output (or another module).
      case behind
    }

    /// The module.
    package var module: String
    /// On which side of it.
    package var side: Side
    /// What stands there, in the file's own words (`Sub`, `Div` of node "…"), nearest to the module first.
    package var operations: [String]
    /// Whether something else leads on from the module all the same: a side branch, not the way itself.
    package var isBranch: Bool

    /// Describes an obstacle.
    package init(module: String, side: Side, operations: [String], isBranch: Bool = false) {
      self.module = module
      self.side = side
      self.operations = operations
      self.isBranch = isBranch
    }
  }
}
