import Tensors

/// A recurrent network, with an embedding before it or without, and a linear layer on its output or
/// without: run it, stream it, differentiate it, train it.
///
/// ```swift
/// var model = try Model(rnn: rnn, head: head)
/// let result = try model(x)                            // result.output, .hN, .logits
/// var state = Model<Float>.State()
/// let next = try model(block, state: &state)           // a long sequence, block after block
/// let stream = try model.stream()                      // one step after another, without allocation
/// let gradients = try model.backward(x, targets: targets, loss: .crossEntropy())
/// try optimizer.step(&model, gradients: gradients)
/// ```
///
/// A model is a value: a copy is a model of its own, and any number of tasks may run the same one.
public struct Model<S: Scalar>: Sendable {
  /// The recurrent network.
  public var rnn: RNN<S>
  /// The table that turns token ids into input vectors.
  public var embedding: Embedding<S>?
  /// The linear layer, mapping what it reads to logits.
  public var head: Linear<S>?
  /// Which of the recurrent network's results the head reads; every step's output by default.
  public var headReads: HeadReads
  /// The state that a sequence starts from where the caller gives none, (L·D, 1, S) for every row or
  /// (L·D, N, S); zeros if empty.
  ///
  /// It may be trained: ``Gradients/initialState`` is its gradient.
  public var initialState: State
  /// What the modules above know of where the model came from: a file, for instance.
  package var origin: (any Sendable)?

  /// What a stack of layers carries from one step to the next.
  ///
  /// An array that is `nil` is zeros; a state without any array is the model's own initial state.
  public struct State: Sendable, Equatable {
    /// The hidden states, (L·D, N, S), or (L·D, S) if unbatched; S is H, or P with a projection.
    public var h: NDArray<S>?
    /// An LSTM's cell states, (L·D, N, H), or (L·D, H) if unbatched.
    public var c: NDArray<S>?

    /// Creates a state; without arguments that in which the model begins.
    public init(h: NDArray<S>? = nil, c: NDArray<S>? = nil) {
      self.h = h
      self.c = c
    }

    /// Whether it has no array.
    package var isEmpty: Bool { h == nil && c == nil }
  }

  /// What the model returns.
  public struct Output: Sendable, Equatable {
    /// The recurrent network's output, (T, N, D·S), (N, T, D·S) if batch-first, or (T, D·S).
    public var output: NDArray<S>
    /// The recurrent network's final states, (L·D, N, S), or (L·D, S) if unbatched.
    public var hN: NDArray<S>
    /// An LSTM's final cell states, (L·D, N, H), or (L·D, H) if unbatched.
    public var cN: NDArray<S>?
    /// The head's output, if there is a head: of every time step, or (N, C) where it reads one.
    public var logits: NDArray<S>?

    /// The state that the next block of a long sequence starts from: ``hN`` and ``cN``.
    public var state: State { State(h: hN, c: cN) }
  }

  /// Creates a model; throws unless the network reads what the embedding writes, and the head what
  /// the network writes.
  public init(
    rnn: RNN<S>, head: Linear<S>? = nil, embedding: Embedding<S>? = nil,
    headReads: HeadReads = .sequence, initialState: State = State()
  ) throws {
    self.rnn = rnn
    self.head = head
    self.embedding = embedding
    self.headReads = headReads
    self.initialState = initialState
    try checkParts()
  }

  /// Makes a network with PyTorch's initial weights, drawn from `generator` as `torch.manual_seed` and the
  /// constructors of `nn.Embedding`, the recurrent module and `nn.Linear` would, in this order.
  ///
  /// Throws `engine.configuration` for sizes that make no sense.
  public init(
    _ configuration: RecurrentConfiguration, tokenCount: Int? = nil, classCount: Int? = nil,
    headReads: HeadReads = .sequence, generator: inout TorchGenerator
  ) throws {
    let embedding = try tokenCount.map {
      try Embedding<S>(
        count: $0, size: configuration.inputSize, generator: &generator)
    }
    let rnn = try RNN<S>(configuration, generator: &generator)
    let head = try classCount.map {
      try Linear<S>(
        inputSize: configuration.outputSize, outputSize: $0, generator: &generator)
    }
    try self.init(rnn: rnn, head: head, embedding: embedding, headReads: headReads)
  }

  private func checkParts() throws {
    let width = rnn.configuration.outputSize
    if let head, head.inputSize != width {
      throw RecurrentError(
        .engineHeadSize, at: "head", found: "a head of \(head.inputSize) inputs",
        expected: "\(width), the recurrent network's output")
    }
    if let embedding, embedding.weight.shape[1] != rnn.configuration.inputSize {
      throw RecurrentError(
        .engineEmbeddingSize, at: "embedding",
        found: "vectors of \(embedding.weight.shape[1]) features",
        expected: "\(rnn.configuration.inputSize), the recurrent network's input")
    }
  }

  // MARK: Weights

  /// The weights: recurrent ones, the head's, the embedding's; the latter two may be empty.
  public var parameterGroups: [Parameters<S>] {
    [
      rnn.parameters, head?.parameters ?? Parameters(), embedding?.parameters ?? Parameters(),
    ]
  }

  /// Replaces the weights; throws, and changes nothing, if any does not fit.
  public mutating func setParameterGroups(_ groups: [Parameters<S>]) throws {
    guard groups.count == 3 else {
      throw RecurrentError(
        .engineParameterGroups, found: "\(groups.count) groups of parameters",
        expected: "3: recurrent, head, embedding")
    }
    var result = self
    result.rnn = try RNN(rnn.configuration, parameters: groups[0])
    result.head =
      head == nil && groups[1].names.isEmpty ? nil : try Linear(parameters: groups[1])
    result.embedding =
      embedding == nil && groups[2].names.isEmpty
      ? nil : try Embedding(parameters: groups[2], paddingIndex: embedding?.paddingIndex)
    try result.checkParts()
    self = result
  }

  // MARK: States

  /// The state to start from: the caller's, or else the model's own, of so many rows; `nil` for an input
  /// without a batch axis.
  package func start(_ state: State, rows: Int?) throws -> State {
    guard state.isEmpty, !initialState.isEmpty else { return state }
    func fitting(_ array: NDArray<S>?) throws -> NDArray<S>? {
      guard let array, array.shape.count == 3, array.shape[1] == 1 else { return array }
      guard let rows else { return try array.removingAxis(at: 1) }
      return array.selecting([Int](repeating: 0, count: rows), axis: 1)
    }
    return State(h: try fitting(initialState.h), c: try fitting(initialState.c))
  }

  /// The state that a whole sequence x starts from.
  package func start(_ state: State, of x: NDArray<S>) throws -> State {
    let rows = x.rank == 3 ? x.shape[rnn.configuration.batchFirst ? 0 : 1] : nil
    return try start(state, rows: rows)
  }

  /// Throws `engine.stateful` for a bidirectional network, whose second direction would have to start
  /// in the future.
  package func checkCarriesState() throws {
    guard !rnn.configuration.bidirectional else {
      throw RecurrentError(
        .engineStateful, found: "a bidirectional network",
        expected: "one whose state goes forward in time only")
    }
  }
}
