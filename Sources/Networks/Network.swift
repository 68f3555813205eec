import RNNEngine
import Tensors

/// A network read from tensors: what it is, where it came from, and its parameters.
package struct Network: Sendable {
  /// How it was recognised.
  package let recognition: Recognition
  /// Its parameters.
  package let weights: CanonicalWeights

  /// The states of the first step, (L·directions, 1 or N, H), where the file stores them.
  package let initialState: (h: Tensor?, c: Tensor?)

  /// Recognises and reads a network.
  package init(_ state: StateDict, options: ReadOptions = .init()) throws {
    try self.init(state, Recognition(state, options: options))
  }

  /// Reads a network that was recognised.
  package init(_ state: StateDict, _ recognition: Recognition) throws {
    self.recognition = recognition
    weights = try CanonicalWeights(state, recognition)
    let names = recognition.recurrent.initialState
    initialState = (names.h.flatMap { state[$0] }, names.c.flatMap { state[$0] })
  }

  /// One module alone, with parameters that may lie elsewhere than where it was found.
  package init(
    module: Module, _ weights: CanonicalWeights, tensors: [StoredTensor]? = nil,
    initialState: (h: Tensor?, c: Tensor?) = (nil, nil)
  ) throws {
    recognition = Recognition(alone: module, tensors: tensors ?? module.tensors)
    self.weights = weights
    self.initialState = initialState
  }

  /// The number of parameters.
  package var parameterCount: Int {
    Slot.all(in: architecture).reduce(0) { sum, slot in
      let size = slot.size(in: architecture)
      return sum + size.rows * size.columns
    }
  }

  /// The network's architecture.
  package var architecture: Architecture { recognition.architecture }

  /// The engine's model with these parameters, in another precision if need be.
  ///
  /// This is the one place where tensors of files become numbers of the engine. The model starts from zeros;
  /// ``initialState`` is set by who opens a whole network.
  /// `batchFirst` overrides the architecture's, which does not touch the parameters.
  package func model<S: Scalar>(
    _ type: S.Type = S.self, batchFirst: Bool? = nil
  ) throws -> Model<S> {
    let state = try weights.encoded(as: Self.parameterTensors(of: architecture))
    var parameters = Parameters<S>()
    var head: Linear<S>?
    var embedding: Embedding<S>?
    for entry in state.entries {
      let array = try NDArray<S>(entry.tensor)
      if entry.name == "embedding.weight" {
        embedding = try Embedding(
          weight: array, paddingIndex: architecture.embedding?.paddingIndex)
      } else if entry.name == "head.weight" {
        head = try Linear(weight: array, bias: state["head.bias"].map { try NDArray<S>($0) })
      } else if entry.name != "head.bias" {
        parameters.append(entry.name.string, array)
      }
    }
    var configuration = architecture.configuration
    configuration.batchFirst = batchFirst ?? architecture.batchFirst
    let rnn = try RNN(configuration, parameters: parameters)
    return try Model(
      rnn: rnn, head: head, embedding: embedding,
      headReads: architecture.head?.reads ?? .sequence)
  }

  /// Canonical parameters or gradients as tensors under the names of this network's file.
  ///
  /// `canonical` has bare recurrent keys, `head.weight`, `head.bias` and `embedding.weight`.
  package func stored(_ canonical: StateDict, sums: CanonicalWeights.SumRule) throws -> StateDict {
    try CanonicalWeights(
      canonical, architecture: architecture, tensors: Self.parameterTensors(of: architecture)
    ).encoded(as: recognition.tensors, sums: sums)
  }

  /// The canonical table: bare PyTorch names, and `head.weight`, `head.bias`, `embedding.weight`.
  package static func parameterTensors(of architecture: Architecture) throws -> [StoredTensor] {
    try Convention.torch.storedTensors(
      of: architecture, naming: Naming(recurrent: "", head: "head."))
  }
}

extension StateDict {
  /// Parameters or gradients of a model in the order of its groups, under the canonical names.
  package init<S: Scalar>(canonical groups: [Parameters<S>]) throws {
    self.init()
    for (prefix, group) in zip(["", "head.", "embedding."], groups) {
      for (name, array) in group.entries { try append("\(prefix)\(name)", array.tensor) }
    }
  }
}

extension NDArray where Element: Scalar {
  /// The numbers of a floating-point tensor; narrowing rounds to nearest, ties to even.
  ///
  /// Throws `tensor.not-floating` for a tensor of integers, and what reading throws.
  public init(_ tensor: Tensor) throws {
    let elements: [Element]
    if Element.self == Float.self {
      elements = try tensor.floats().map { Element($0) }
    } else {
      elements = try tensor.doubles().map { Element($0) }
    }
    try self.init(shape: tensor.shape, elements: elements)
  }

  /// The array as a tensor of type f32 or f64.
  public var tensor: Tensor {
    get throws {
      if let floats = elements as? [Float] { return try Tensor.make(floats, shape: shape) }
      return try Tensor.make(elements.map { Double($0) }, shape: shape)
    }
  }
}

extension NDArray<Int> {
  /// The numbers of an integer tensor: token ids, classes, lengths; throws `tensor.not-integer` for other numbers.
  public init(_ tensor: Tensor) throws {
    try self.init(shape: tensor.shape, elements: tensor.integers())
  }

  /// The array as a tensor of type i64.
  public var tensor: Tensor {
    get throws { try Tensor.make(elements, shape: shape) }
  }
}
