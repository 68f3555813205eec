import Containers
import Conversion
import Frameworks
import Networks
import RNNEngine
import Tensors

/// A recurrent network: opened from a file or made from Swift; run it, differentiate it, write it elsewhere.
///
/// ```swift
/// let model = try Model<Float>(path: "char-rnn.pt")
/// let result = try model(x)                       // result.output, result.hN, result.logits
/// let gradients = try model.backward(x, targets: targets, loss: .crossEntropy())
/// try model.write(toPath: "char-rnn.h5")              // with every other tensor of the file
/// ```
///
/// What the file holds beside the network is kept, and written again. A file of several networks is opened with
/// ``Networks/ReadOptions/module``, or module by module (``Frameworks/WeightFile``).
public struct Model<S: Scalar>: Sendable {
  /// What the file said about the network, and what was assumed; `nil` for one made from Swift.
  package let recognition: Recognition?
  /// The engine's model; its parameters may be trained.
  public var network: SequenceModel<S>
  /// The network's architecture.
  public let architecture: Architecture
  /// The states of the first step, (L·D, 1 or N, H), of a network that stores them.
  public let initialState: State
  private let source: Source?

  /// The file that a model came from.
  private struct Source: Sendable {
    let state: StateDict
    let format: WeightFormat
    let options: ReadOptions
  }

  /// Opens any container in any convention; `path` names a file.
  ///
  /// Throws what the readers throw, `weights.ambiguous` for a file of several networks; `options` says what the
  /// file does not.
  public init(path: String, options: ReadOptions = .init()) throws {
    let file = try WeightFile(path: path)
    do {
      try self.init(file, options: options)
    } catch let error as RecurrentError {
      throw error.inFile(path)
    }
  }

  /// The network of an open file.
  public init(_ file: WeightFile, options: ReadOptions = .init()) throws {
    let network = try Network(file.state, options: options)
    recognition = network.recognition
    self.network = try network.model()
    architecture = network.architecture
    initialState = State(
      h: try network.initialState.h.map { try NDArray($0) },
      c: try network.initialState.c.map { try NDArray($0) })
    source = Source(state: file.state, format: file.format, options: options)
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
    try self.init(
      SequenceModel(rnn: rnn, head: head, embedding: embedding, headReads: headReads))
  }

  /// Wraps a network that a program made, for ``write(toPath:convention:overwrite:)``.
  public init(_ network: SequenceModel<S>) throws {
    self.network = network
    recognition = nil
    source = nil
    initialState = State()
    let configuration = network.rnn.configuration
    architecture = Architecture(
      cell: configuration.cell, inputSize: configuration.inputSize,
      hiddenSize: configuration.hiddenSize, layerCount: configuration.layerCount,
      bidirectional: configuration.bidirectional, bias: configuration.bias,
      batchFirst: configuration.batchFirst, projSize: configuration.projSize,
      gruReset: configuration.gruReset,
      embedding: network.embedding.map {
        .init(tokenCount: $0.weight.shape[0], paddingIndex: $0.paddingIndex)
      },
      head: network.head.map {
        .init(classCount: $0.outputSize, bias: $0.bias != nil, reads: network.headReads)
      })
  }

  /// What neither the file nor the caller said and was assumed.
  public var assumptions: [Assumption] { recognition?.assumptions ?? [] }

  /// What else a reader of the file should know, one line each; empty for a network made from Swift.
  public var remarks: [String] { recognition?.notes.map(\.description) ?? [] }

  /// A stream that makes one step after another without an allocation, from the network's initial state.
  ///
  /// Throws `engine.stateful` for a bidirectional network, whose second direction starts in the future.
  public func stream(batch: Int = 1) throws -> ModelStream<S> {
    let stream = try ModelStream(network, batch: batch)
    if let h = initialState.h {
      try stream.setState(
        h: Self.expanded(h, rows: batch),
        c: initialState.c.map { try Self.expanded($0, rows: batch) })
    }
    return stream
  }

  /// The state to start from: the caller's, or else the network's own.
  private func start(_ state: State, rows: Int?) throws -> State {
    guard state.h == nil, state.c == nil, initialState.h != nil || initialState.c != nil else {
      return state
    }
    func fitting(_ array: NDArray<S>?) throws -> NDArray<S>? {
      guard let array else { return nil }
      guard let rows else {
        return try NDArray(shape: [array.shape[0], array.shape[2]], elements: array.elements)
      }
      return try Self.expanded(array, rows: rows)
    }
    return State(h: try fitting(initialState.h), c: try fitting(initialState.c))
  }

  /// N of an input; `nil` for one without a batch.
  private func rows(_ shape: [Int], features: Bool) -> Int? {
    guard shape.count == (features ? 3 : 2) else { return nil }
    return shape[architecture.batchFirst ? 0 : 1]
  }

  private static func expanded(_ state: NDArray<S>, rows: Int) throws -> NDArray<S> {
    guard state.shape.count == 3, state.shape[1] == 1 else { return state }
    return try LearnedState(
      NDArray(shape: [state.shape[0], state.shape[2]], elements: state.elements)
    ).expanded(rows: rows)
  }

  /// What a layer stack carries from one step to the next; `nil` arrays are zeros.
  public struct State: Sendable, Equatable {
    /// The hidden states, (L·D, N, H), or P wide with a projection.
    public var h: NDArray<S>?
    /// An LSTM's cell states, (L·D, N, H).
    public var c: NDArray<S>?

    /// Creates a state; zeros by default.
    public init(h: NDArray<S>? = nil, c: NDArray<S>? = nil) {
      self.h = h
      self.c = c
    }
  }

  /// Runs whole sequences; x is (T,N,D), (N,T,D) if batch-first, or (T,D).
  ///
  /// With `lengths` each row ends after so many steps, as in a packed sequence.
  public func callAsFunction(
    _ x: NDArray<S>, state: State = State(), lengths: [Int]? = nil
  ) throws -> SequenceModel<S>.Output {
    let state = try start(state, rows: rows(x.shape, features: true))
    return try network(x, h0: state.h, c0: state.c, lengths: lengths)
  }

  /// Runs whole sequences of token ids, (T,N), (N,T) if batch-first, or (T), through the embedding.
  public func callAsFunction(
    _ tokens: NDArray<Int>, state: State = State(), lengths: [Int]? = nil
  ) throws -> SequenceModel<S>.Output {
    let state = try start(state, rows: rows(tokens.shape, features: false))
    return try network(tokens, h0: state.h, c0: state.c, lengths: lengths)
  }

  /// Runs one time step of one token id per row from `state` and replaces it.
  public func step(tokens: [Int], state: inout State) throws -> SequenceModel<S>.Output {
    try step(network.vectors(of: NDArray(tokens)), state: &state)
  }

  /// Runs one time step, x (N,D), from `state` and replaces it.
  ///
  /// A sequence fed step by step gives the bits that the whole sequence gives. Throws
  /// `model.bidirectional` for bidirectional networks, which need the whole sequence.
  public func step(_ x: NDArray<S>, state: inout State) throws -> SequenceModel<S>.Output {
    guard !architecture.bidirectional else {
      throw RecurrentError(
        .malformed, "model.bidirectional", found: "a bidirectional network",
        expected: "one that only looks back", hint: "Run the whole sequence instead.")
    }
    guard x.shape.count == 2 else {
      throw RecurrentError(
        .malformed, "engine.input-shape", at: "x", found: "shape \(x.shape)", expected: "(N, D)")
    }
    let shape =
      architecture.batchFirst
      ? [x.shape[0], 1, x.shape[1]] : [1, x.shape[0], x.shape[1]]
    let before = try start(state, rows: x.shape[0])
    var result = try network(
      NDArray(shape: shape, elements: x.elements), h0: before.h, c0: before.c)
    state = State(h: result.hN, c: result.cN)
    result.output.shape.remove(at: architecture.batchFirst ? 1 : 0)
    if network.headReads == .sequence {
      result.logits?.shape.remove(at: architecture.batchFirst ? 1 : 0)
    }
    return result
  }

  /// The loss against targets, and its gradients with respect to every parameter, x, h_0 and c_0.
  public func backward(
    _ x: NDArray<S>, state: State = State(), lengths: [Int]? = nil, targets: Targets<S>,
    loss: Loss
  ) throws -> SequenceModel<S>.Gradients {
    let state = try start(state, rows: rows(x.shape, features: true))
    return try network.backward(
      x, h0: state.h, c0: state.c, lengths: lengths, targets: targets, loss: loss)
  }

  /// The loss on token ids against targets, and its gradients, the embedding's among them.
  public func backward(
    _ tokens: NDArray<Int>, state: State = State(), lengths: [Int]? = nil, targets: Targets<S>,
    loss: Loss
  ) throws -> SequenceModel<S>.Gradients {
    let state = try start(state, rows: rows(tokens.shape, features: false))
    return try network.backward(
      tokens, h0: state.h, c0: state.c, lengths: lengths, targets: targets, loss: loss)
  }

  /// Writes the parameters to any container, and with them every other tensor and all metadata of the file that
  /// the model came from; read back and compared before the file appears.
  ///
  /// `convention` defaults to the container's, or else the one that was read. Parameters are written
  /// as f32 for `Float` and f64 for `Double`. Throws `output.exists` for a file that is there,
  /// `conversion.not-one-network` where the container holds one network and the file was more.
  public func write(
    toPath path: String, convention: Convention? = nil, overwrite: Bool = false
  ) throws {
    let format = try WeightFormat.forWriting(path: path)
    let state: StateDict
    if let source, let recognition {
      state = try StateDict(
        updating: source.state, of: source.format, recognition,
        with: StateDict(canonical: network.parameterGroups), options: source.options,
        as: convention, in: format)
    } else {
      let target =
        try convention ?? format.expectedConvention.map(Convention.named) ?? .torch
      try format.check(holds: target)
      state = try StateDict(
        network: network.parameterGroups, architecture, as: target, in: format)
    }
    let planned = try format.prepared(state)
    try format.write(planned, to: path, overwrite: overwrite) { written in
      try written.checkReadBack(of: planned)
    }
  }
}
