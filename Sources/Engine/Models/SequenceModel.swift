import Tensors

/// A recurrent network, with an embedding before it or without, and a linear layer on its output or
/// without.
public struct SequenceModel<S: Scalar>: Sendable {
  /// The recurrent network.
  public var rnn: RNN<S>
  /// The table that turns token ids into input vectors.
  public var embedding: Embedding<S>?
  /// The linear layer, mapping what it reads to logits.
  public var head: Linear<S>?
  /// Which of the recurrent network's results the head reads; every step's output by default.
  public var headReads = HeadReads.sequence

  /// What the model returns.
  public struct Output: Sendable, Equatable {
    /// The recurrent network's output.
    public var output: NDArray<S>
    /// The recurrent network's final states.
    public var hN: NDArray<S>
    /// An LSTM's final cell states.
    public var cN: NDArray<S>?
    /// The head's output, if there is a head: of every time step, or (N, C) where it reads one.
    public var logits: NDArray<S>?
  }

  /// The loss, all gradients, and the forward results that they came from.
  public struct Gradients: Sendable {
    /// The value of the loss.
    public var loss: S
    /// Of the recurrent weights, under their names.
    public var recurrent: Parameters<S>
    /// Of the head, under `weight` and `bias`; empty without a head.
    public var head: Parameters<S>
    /// Of the embedding, under `weight`; empty unless token ids came in.
    public var embedding = Parameters<S>()
    /// Of the input; with token ids, of their vectors.
    public var x: NDArray<S>
    /// Of the initial state.
    public var h0: NDArray<S>
    /// Of an LSTM's initial cell state.
    public var c0: NDArray<S>?
    /// The forward results, for example to carry the state on.
    public var forward: Output

    /// The gradients of the weights in the order of the model's groups, for clipping and for
    /// optimisers.
    public var parameterGroups: [Parameters<S>] {
      get { [recurrent, head, embedding] }
      set {
        guard newValue.count == 3 else { return }
        (recurrent, head, embedding) = (newValue[0], newValue[1], newValue[2])
      }
    }
  }

  /// Creates a model; throws unless the network reads what the embedding writes, and the head what
  /// the network writes.
  public init(
    rnn: RNN<S>, head: Linear<S>? = nil, embedding: Embedding<S>? = nil,
    headReads: HeadReads = .sequence
  ) throws {
    let width = rnn.configuration.outputSize
    if let head, head.inputSize != width {
      throw RecurrentError(
        .malformed, "engine.head-size", at: "head", found: "a head of \(head.inputSize) inputs",
        expected: "\(width), the recurrent network's output")
    }
    if let embedding, embedding.weight.shape[1] != rnn.configuration.inputSize {
      throw RecurrentError(
        .malformed, "engine.embedding-size", at: "embedding",
        found: "vectors of \(embedding.weight.shape[1]) features",
        expected: "\(rnn.configuration.inputSize), the recurrent network's input")
    }
    self.rnn = rnn
    self.head = head
    self.embedding = embedding
    self.headReads = headReads
  }

  /// The logits of a result of the recurrent network; `nil` without a head.
  package func logits(
    _ output: NDArray<S>, _ hN: NDArray<S>, lengths: [Int]?
  ) throws -> NDArray<S>? {
    try head?(
      HeadInput.forward(output, hN, rnn.configuration, headReads, lengths: lengths))
  }

  /// Runs the model; shapes as for `RNN`.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  public func callAsFunction(
    _ x: NDArray<S>, h0: NDArray<S>? = nil, c0: NDArray<S>? = nil, lengths: [Int]? = nil
  ) throws -> Output {
    let result = try rnn(x, h0: h0, c0: c0, lengths: lengths)
    return Output(
      output: result.output, hN: result.hN, cN: result.cN,
      logits: try logits(result.output, result.hN, lengths: lengths))
  }

  /// The vectors of token ids (T,N), (N,T) if batch-first, or (T): their shape and (D).
  ///
  /// Throws `engine.no-embedding` when the model has none, `engine.index-range` for an id outside it.
  public func vectors(of tokens: NDArray<Int>) throws -> NDArray<S> {
    try requiredEmbedding()(tokens)
  }

  private func requiredEmbedding() throws -> Embedding<S> {
    guard let embedding else {
      throw RecurrentError(
        .malformed, "engine.no-embedding", at: "x", found: "token ids",
        expected: "floating-point features: the model has no embedding")
    }
    return embedding
  }

  /// Runs the model on token ids.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  public func callAsFunction(
    _ tokens: NDArray<Int>, h0: NDArray<S>? = nil, c0: NDArray<S>? = nil, lengths: [Int]? = nil
  ) throws -> Output {
    try self(vectors(of: tokens), h0: h0, c0: c0, lengths: lengths)
  }

  /// The loss and its gradients on token ids, with the gradient of the embedding.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  public func backward(
    _ tokens: NDArray<Int>, h0: NDArray<S>? = nil, c0: NDArray<S>? = nil, lengths: [Int]? = nil,
    dropout: DropoutMasks? = nil, targets: Targets<S>, loss: Loss
  ) throws -> Gradients {
    let embedding = try requiredEmbedding()
    var gradients = try backward(
      embedding(tokens), h0: h0, c0: c0, lengths: lengths,
      dropout: dropout, targets: targets, loss: loss)
    gradients.embedding.append(
      "weight",
      try embedding.backward(tokens, gradOutput: gradients.x))
    return gradients
  }

  /// The loss and its gradients; without a head the loss reads the recurrent output itself.
  ///
  /// With `lengths` the loss ignores the padding; with `dropout` the network is in training mode; with
  /// `recomputing` it forgets what it can and computes it again, as `RNN.recordWithCheckpoints`: same
  /// bits, less memory, more time. Throws `engine.checkpoint` where that cannot be.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  public func backward(
    _ x: NDArray<S>, h0: NDArray<S>? = nil, c0: NDArray<S>? = nil, lengths: [Int]? = nil,
    dropout: DropoutMasks? = nil, recomputing: Bool = false, targets: Targets<S>, loss: Loss
  ) throws -> Gradients {
    guard !recomputing || dropout == nil || rnn.configuration.dropout == 0 else {
      throw RecurrentError(
        .unsupported, "engine.checkpoint", at: "dropout",
        found: "checkpoints with dropout, whose masks grow with the sequence",
        expected: "one of the two")
    }
    let (result, tape) =
      recomputing
      ? try rnn.recordWithCheckpoints(x, h0: h0, c0: c0, lengths: lengths)
      : try rnn.record(x, h0: h0, c0: c0, lengths: lengths, dropout: dropout)
    let reads = head == nil ? HeadReads.sequence : headReads
    let logits = try logits(result.output, result.hN, lengths: lengths)
    let (value, gradLogits) = try evaluate(
      loss, logits ?? result.output, targets, lengths: lengths)
    var gradOutput: NDArray<S>? = gradLogits
    var gradHN: NDArray<S>?
    var headGradients = Parameters<S>()
    if let head {
      let input = HeadInput.forward(
        result.output, result.hN, rnn.configuration, reads, lengths: lengths)
      let gradients = try head.backward(input, gradOutput: gradLogits)
      (gradOutput, gradHN) = HeadInput.backward(
        gradients.x, output: result.output.shape, hN: result.hN.shape, rnn.configuration, reads,
        lengths: lengths)
      headGradients.append("weight", gradients.weight)
      if let bias = gradients.bias { headGradients.append("bias", bias) }
    }
    let gradients = try rnn.backward(tape, gradOutput: gradOutput, gradHN: gradHN)
    return Gradients(
      loss: value, recurrent: gradients.parameters, head: headGradients, x: gradients.x,
      h0: gradients.h0, c0: gradients.c0,
      forward: Output(output: result.output, hN: result.hN, cN: result.cN, logits: logits))
  }

  /// A loss on logits of every step, or of one prediction a row, which has no time axis.
  package func evaluate(
    _ loss: Loss, _ logits: NDArray<S>, _ targets: Targets<S>, lengths: [Int]?
  ) throws -> (value: S, gradLogits: NDArray<S>) {
    guard head != nil, headReads != .sequence else {
      // A 2-D array has no batch axis to come first.
      return try loss.evaluate(
        logits: logits, targets: targets, batchFirst: rnn.configuration.batchFirst,
        lengths: lengths)
    }
    // One prediction a row is the last step of a sequence of one.
    var only = loss
    only.steps = .last
    var (value, gradient) = try only.evaluate(
      logits: NDArray(trusted: [1] + logits.shape, logits.elements), targets: targets)
    gradient.shape = logits.shape
    return (value, gradient)
  }

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
        .malformed, "engine.parameter-groups", found: "\(groups.count) groups of parameters",
        expected: "3: recurrent, head, embedding")
    }
    let recurrent = try RNN(rnn.configuration, parameters: groups[0])
    let newHead = head == nil && groups[1].names.isEmpty ? nil : try Linear(parameters: groups[1])
    let newEmbedding =
      embedding == nil && groups[2].names.isEmpty
      ? nil : try Embedding(parameters: groups[2], paddingIndex: embedding?.paddingIndex)
    self = try SequenceModel(
      rnn: recurrent, head: newHead, embedding: newEmbedding, headReads: headReads)
  }
}
