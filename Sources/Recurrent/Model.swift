import Conversion
import RNNEngine
import Tensors
import WeightFormats

/// A recurrent network opened from a file: run it, differentiate it, write it elsewhere.
///
/// ```swift
/// let model = try Model<Float>(contentsOf: "char-rnn.pt")
/// let result = try model(x)                       // result.output, result.hN, result.logits
/// let gradients = try model.backward(x, targets: targets, loss: .crossEntropy())
/// try model.write(to: "char-rnn.h5")
/// ```
public struct Model<S: Scalar>: Sendable {
  /// What the file said about the network, and what was assumed.
  public let recognition: Recognition
  /// The engine's model; its parameters may be trained.
  public var network: SequenceModel<S>

  /// Opens any container in any convention.
  ///
  /// Throws what the readers throw; `options` says what the file does not.
  public init(contentsOf path: String, options: ReadOptions = .init()) throws {
    let file = try WeightFile(path: path)
    do {
      let network = try Network(file.state, options: options)
      recognition = network.recognition
      self.network = try network.model()
    } catch let error as RecurrentError {
      throw error.inFile(path)
    }
  }

  /// The network's architecture.
  public var architecture: Architecture { recognition.architecture }

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
    try network(x, h0: state.h, c0: state.c, lengths: lengths)
  }

  /// Runs whole sequences of token ids, (T,N), (N,T) if batch-first, or (T), through the embedding.
  public func callAsFunction(
    _ tokens: Tokens, state: State = State(), lengths: [Int]? = nil
  ) throws -> SequenceModel<S>.Output {
    try network(tokens, h0: state.h, c0: state.c, lengths: lengths)
  }

  /// Runs one time step of one token id per row from `state` and replaces it.
  public func step(tokens: [Int], state: inout State) throws -> SequenceModel<S>.Output {
    try step(network.vectors(of: Tokens(tokens, shape: [tokens.count])), state: &state)
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
    var result = try network(
      NDArray(shape: shape, elements: x.elements), h0: state.h, c0: state.c)
    state = State(h: result.hN, c: result.cN)
    result.output.shape.remove(at: architecture.batchFirst ? 1 : 0)
    result.logits?.shape.remove(at: architecture.batchFirst ? 1 : 0)
    return result
  }

  /// The loss against targets, and its gradients with respect to every parameter, x, h_0 and c_0.
  public func backward(
    _ x: NDArray<S>, state: State = State(), lengths: [Int]? = nil, targets: Targets<S>,
    loss: Loss
  ) throws -> SequenceModel<S>.Gradients {
    try network.backward(
      x, h0: state.h, c0: state.c, lengths: lengths, targets: targets, loss: loss)
  }

  /// The loss on token ids against targets, and its gradients, the embedding's among them.
  public func backward(
    _ tokens: Tokens, state: State = State(), lengths: [Int]? = nil, targets: Targets<S>,
    loss: Loss
  ) throws -> SequenceModel<S>.Gradients {
    try network.backward(
      tokens, h0: state.h, c0: state.c, lengths: lengths, targets: targets, loss: loss)
  }

  /// Writes the parameters to any container, read back and compared before the file appears.
  ///
  /// `convention` defaults to the container's, or else the one that was read. Parameters are written
  /// as f32 for `Float` and f64 for `Double`.
  public func write(
    to path: String, convention: Convention? = nil, overwrite: Bool = false
  ) throws {
    let format = try WeightFormat.forWriting(path: path)
    let target =
      try convention ?? format.expectedConvention.map(Convention.named) ?? recognition.convention
    try format.check(holds: target)
    let naming =
      target.name == recognition.convention.name
      ? recognition.naming : .customary(for: architecture)
    var state = try CanonicalWeights(
      StateDict(canonical: network.parameterGroups), architecture: architecture,
      tensors: Network.parameterTensors(of: architecture)
    ).encoded(as: target.storedTensors(of: architecture, naming: naming))
    for (key, value) in try target.structureMetadata(of: architecture, naming: naming) {
      state.metadata[key] = value
    }
    if format.carriesMetadata {
      state.metadata["format"] = "rnn-state-dict"
      state.metadata["format_version"] = "1"
      state.metadata["cell"] = architecture.cell.rawValue
      if architecture.cell == .gru {
        state.metadata["gru_reset"] = architecture.gruReset.rawValue
      }
      state.metadata["batch_first"] = architecture.batchFirst ? "true" : "false"
      state.metadata["head"] = architecture.head == nil ? "none" : "linear"
    }
    try format.write(state, to: path, overwrite: overwrite) { written in
      try written.checkReadBack(of: state)
    }
  }
}
