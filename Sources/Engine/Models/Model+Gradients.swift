import Tensors

extension Model {
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
    /// Of the state that the sequence started from, in its shape (`dh` in D4).
    public var h0: NDArray<S>
    /// Of an LSTM's cell state that the sequence started from.
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

    /// Of an initial state that all rows share, (L·D, 1, S): ``h0`` and ``c0`` added up over the rows.
    public var initialState: State {
      func sum(_ rows: NDArray<S>) -> NDArray<S> {
        rows.rank == 3 ? rows.sum(axis: 1, keepingAxis: true) : rows.insertingAxis(at: 1)
      }
      return State(h: sum(h0), c: c0.map(sum))
    }
  }

  /// The loss and its gradients; without a head the loss reads the recurrent output itself.
  ///
  /// With `lengths` the loss ignores the padding; with `dropout` the network is in training mode; with
  /// `recomputing` it forgets what it can and computes it again, as `RNN.recordWithCheckpoints`: same
  /// bits, less memory, more time. Throws `engine.checkpoint` where that cannot be.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  public func backward(
    _ x: NDArray<S>, state: State = State(), lengths: [Int]? = nil, dropout: DropoutMasks? = nil,
    recomputing: Bool = false, targets: Targets<S>, loss: Loss
  ) throws -> Gradients {
    guard !recomputing || dropout == nil || rnn.configuration.dropout == 0 else {
      throw RecurrentError(
        .engineCheckpointUnsupported, at: "dropout",
        found: "checkpoints with dropout, whose masks grow with the sequence",
        expected: "one of the two")
    }
    let state = try start(state, of: x)
    let (result, tape) =
      recomputing
      ? try rnn.recordWithCheckpoints(x, h0: state.h, c0: state.c, lengths: lengths)
      : try rnn.record(x, h0: state.h, c0: state.c, lengths: lengths, dropout: dropout)
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

  /// The loss and its gradients on token ids, with the gradient of the embedding.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  public func backward(
    tokens: NDArray<Int>, state: State = State(), lengths: [Int]? = nil,
    dropout: DropoutMasks? = nil, recomputing: Bool = false, targets: Targets<S>, loss: Loss
  ) throws -> Gradients {
    let embedding = try requiredEmbedding()
    var gradients = try backward(
      embedding(tokens), state: state, lengths: lengths, dropout: dropout,
      recomputing: recomputing, targets: targets, loss: loss)
    gradients.embedding.append(
      "weight",
      try embedding.backward(tokens, gradOutput: gradients.x))
    return gradients
  }

  /// The loss of one block of a long sequence and its gradients, truncated at the block's start; `state`
  /// is replaced by the one that the block ends in.
  ///
  /// Truncated backpropagation through time (documents D2 to D4): the forward pass goes on across blocks,
  /// bit for bit as if the sequence had been one, while gradients stay inside a block. ``Gradients/h0`` is
  /// what reached the block's start. A batch of another size than the state's is an error, never a
  /// broadcast. Throws `engine.stateful` for a bidirectional network.
  public func backward(
    _ x: NDArray<S>, state: inout State, lengths: [Int]? = nil, dropout: DropoutMasks? = nil,
    recomputing: Bool = false, targets: Targets<S>, loss: Loss
  ) throws -> Gradients {
    try checkCarriesState()
    let result = try backward(
      x, state: state, lengths: lengths, dropout: dropout, recomputing: recomputing,
      targets: targets, loss: loss)
    state = result.forward.state
    return result
  }

  /// The same for a block of token ids, with the gradient of the embedding.
  public func backward(
    tokens: NDArray<Int>, state: inout State, lengths: [Int]? = nil,
    dropout: DropoutMasks? = nil, recomputing: Bool = false, targets: Targets<S>, loss: Loss
  ) throws -> Gradients {
    try checkCarriesState()
    let result = try backward(
      tokens: tokens, state: state, lengths: lengths, dropout: dropout, recomputing: recomputing,
      targets: targets, loss: loss)
    state = result.forward.state
    return result
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
}
