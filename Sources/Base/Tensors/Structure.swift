/// What a file states about its modules beyond the names and shapes of its tensors.
///
/// A graph, a configuration or a program is read into this once, by the code that knows the framework;
/// everything above (recognition, plans, proofs, reports, writers) reads nothing else. What a file leaves
/// open is absent here: nothing in a `Structure` is a guess.
public struct Structure: Sendable, Equatable {
  /// Whether the file says how its modules are connected; a connection that is not listed is then not there.
  ///
  /// A graph or a configuration does, a state dict or a pickled module does not.
  public var statesConnections: Bool
  /// The modules in file order, for graphs in the order of computation.
  public var modules: [Module]
  /// The connections that the file states, all of whose operations are understood exactly.
  public var connections: [Connection]
  /// What stands where a connection would otherwise be, or at the ends of a module.
  public var obstacles: [Obstacle]
  /// What a reader of the file should know, one line each.
  public var remarks: [String]
  /// The framework's own text (a configuration), for a copy into the same kind of container.
  public var original: String?
  /// The convention of the tensors' names (`onnx`), where it is not PyTorch's.
  public var convention: String?

  /// Describes a file; by default one that states nothing.
  public init(
    statesConnections: Bool = false, modules: [Module] = [], connections: [Connection] = [],
    obstacles: [Obstacle] = [], remarks: [String] = [], original: String? = nil
  ) {
    self.statesConnections = statesConnections
    self.modules = modules
    self.connections = connections
    self.obstacles = obstacles
    self.remarks = remarks
    self.original = original
  }

  /// The first module with a name.
  public func module(_ name: String) -> Module? {
    modules.first { $0.name.utf8.elementsEqual(name.utf8) }
  }
}

extension Structure {
  /// What kind of thing a module is.
  public enum Kind: String, Sendable {
    /// A stack of recurrent layers that runs over a sequence.
    case recurrent
    /// One step of a recurrent layer, as `nn.LSTMCell`.
    case cell
    /// A table of vectors that token ids choose from.
    case embedding
    /// A linear layer.
    case linear
    /// Anything else, with or without parameters.
    case other

    /// Whether it is a stack of recurrent layers or a cell.
    public var isRecurrent: Bool { self == .recurrent || self == .cell }
  }

  /// Which of a recurrent module's results a following module takes.
  public enum Reads: String, Sendable, CaseIterable {
    /// The output of every step.
    case sequence
    /// The output of the last valid step: of both directions the step at the end of the sequence.
    case last
    /// The final states of the last layer, directions concatenated, forward first.
    case final
  }

  /// One module of a file.
  public struct Module: Sendable, Equatable {
    /// The name that its author gave it, without a dot at the end (`encoder.rnn`); empty where it has none.
    public var name: String
    /// What it is.
    public var kind: Kind
    /// The framework's own word for it (`GRU`, `LayerNormalization`), for messages.
    public var className: String
    /// Where the convention finds its tensors, by layer and direction; empty where that follows from
    /// the name.
    public var parts: [[String]]
    /// What a recurrent module or a cell is, as far as the file says so.
    public var recurrent: Recurrent
    /// The rows of a linear layer's matrix in PyTorch's layout, or the features of a table's vectors, where the
    /// file says so.
    public var outputSize: Int?
    /// The token id whose vector is not trained, of an embedding.
    public var paddingIndex: Int?
    /// The function that the module's output passes through before anything else sees it
    /// (`softmax`, `sigmoid`, `relu`); `nil` for none.
    public var activation: String?
    /// Why the module cannot be used although it is there.
    public var refusal: RecurrentError?
    /// What a reader should know, one line each.
    public var remarks: [String]
    /// The names of the layers that a stack is made of, where the file has one for each; then the first
    /// is the module's.
    public var layerNames: [String] = []

    /// Describes a module.
    public init(
      name: String, kind: Kind, className: String = "", parts: [[String]] = [],
      recurrent: Recurrent = .init(), paddingIndex: Int? = nil, activation: String? = nil,
      refusal: RecurrentError? = nil, remarks: [String] = []
    ) {
      self.name = name
      self.kind = kind
      self.className = className
      self.parts = parts
      self.recurrent = recurrent
      self.paddingIndex = paddingIndex
      self.activation = activation
      self.refusal = refusal
      self.remarks = remarks
    }
  }

  /// Where a recurrent module's states come from at the first step.
  public enum InitialState: Sendable, Equatable {
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
  public struct Recurrent: Sendable, Equatable {
    /// The cell: `rnn_tanh`, `rnn_relu`, `lstm` or `gru`.
    public var cell: String?
    /// L, the stacked layers.
    public var layerCount: Int?
    /// D, the features of an input step.
    public var inputSize: Int?
    /// H, the features of the hidden state.
    public var hiddenSize: Int?
    /// P of an LSTM with a projection.
    public var projSize: Int?
    /// Whether the layers have biases.
    public var hasBias: Bool?
    /// `forward`, `reverse` or `both`.
    public var direction: String?
    /// Where a GRU applies its reset gate: `after` or `before`.
    public var gruReset: String?
    /// Whether the model's x and output are (N, T, ·).
    public var batchFirst: Bool?
    /// The probability of dropout between layers, in training.
    public var dropout: Double?
    /// The activations in ONNX's words and order, per direction, where they are not the cell's own.
    public var activations: String?
    /// The bound that every gate's input is clipped to.
    public var clip: Double?
    /// Whether the input gate is one minus the forget gate.
    public var couplesInputForget: Bool?
    /// Where the states come from.
    public var initialState: InitialState?
    /// Whether the model takes the lengths of its sequences.
    public var takesLengths: Bool?

    /// Says nothing.
    public init() {}
  }

  /// One module's output that is another module's input, and nothing between.
  public struct Connection: Sendable, Equatable {
    /// The module that computes.
    public var from: String
    /// The module that reads.
    public var to: String
    /// Which of a recurrent module's results is read.
    public var reads: Reads

    /// Connects two modules.
    public init(from: String, to: String, reads: Reads = .sequence) {
      self.from = from
      self.to = to
      self.reads = reads
    }
  }

  /// Something next to a module that is no module, or not understood exactly.
  public struct Obstacle: Sendable, Equatable {
    /// On which side of the module.
    public enum Side: String, Sendable {
      /// Between the model's input (or another module) and the module.
      case before
      /// Between the module and the model's output (or another module).
      case behind
    }

    /// The module.
    public var module: String
    /// On which side of it.
    public var side: Side
    /// What stands there, in the file's own words (`Sub`, `Div` of node "…"), nearest to the module first.
    public var operations: [String]
    /// Whether something else leads on from the module all the same: a side branch, not the way itself.
    public var isBranch: Bool

    /// Describes an obstacle.
    public init(module: String, side: Side, operations: [String], isBranch: Bool = false) {
      self.module = module
      self.side = side
      self.operations = operations
      self.isBranch = isBranch
    }
  }
}
