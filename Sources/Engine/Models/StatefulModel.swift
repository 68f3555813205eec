import Tensors

/// A model that carries its state from one block of a long sequence to the next.
///
/// Truncated backpropagation through time (documents D2 to D4): the forward pass goes on across blocks,
/// bit for bit as if the sequence had been one, while gradients stay inside a block.
public struct StatefulModel<S: Scalar>: Sendable {
  /// The model.
  public var model: SequenceModel<S>
  /// The hidden states that the next block starts from, (L·D, N, S); `nil` means zeros.
  public private(set) var h: NDArray<S>?
  /// An LSTM's cell states, (L·D, N, H); `nil` means zeros.
  public private(set) var c: NDArray<S>?
  /// The gradient with respect to the state that the last block started from (`dh` in D4).
  public private(set) var dh: NDArray<S>?
  /// The same for an LSTM's cell state.
  public private(set) var dc: NDArray<S>?

  /// Wraps a model; throws `engine.stateful` for a bidirectional one, whose second direction would
  /// have to start in the future.
  public init(_ model: SequenceModel<S>) throws {
    guard !model.rnn.configuration.bidirectional else {
      throw RecurrentError(
        .malformed, "engine.stateful", found: "a bidirectional network",
        expected: "one whose state goes forward in time only")
    }
    self.model = model
  }

  /// Starts the next block from a state; shapes are checked by that block.
  public mutating func setState(h: NDArray<S>, c: NDArray<S>? = nil) {
    self.h = h
    self.c = c
  }

  /// Starts the next block from zeros.
  public mutating func resetState() {
    h = nil
    c = nil
  }

  /// Runs a block and keeps the state that it ends in.
  ///
  /// A batch of another size than the state's is an error, never a broadcast.
  public mutating func callAsFunction(_ x: NDArray<S>) throws -> SequenceModel<S>.Output {
    let result = try model(x, h0: h, c0: c)
    setState(h: result.hN, c: result.cN)
    return result
  }

  /// Runs a block of token ids and keeps the state that it ends in.
  public mutating func callAsFunction(_ tokens: NDArray<Int>) throws -> SequenceModel<S>.Output {
    try self(model.vectors(of: tokens))
  }

  /// The loss of a block and its gradients, truncated at the block's start; keeps the state it ends in.
  public mutating func backward(
    _ x: NDArray<S>, dropout: DropoutMasks? = nil, targets: Targets<S>, loss: Loss
  ) throws -> SequenceModel<S>.Gradients {
    keep(
      try model.backward(x, h0: h, c0: c, dropout: dropout, targets: targets, loss: loss))
  }

  /// The same for a block of token ids, with the gradient of the embedding.
  public mutating func backward(
    _ tokens: NDArray<Int>, dropout: DropoutMasks? = nil, targets: Targets<S>, loss: Loss
  ) throws -> SequenceModel<S>.Gradients {
    keep(
      try model.backward(tokens, h0: h, c0: c, dropout: dropout, targets: targets, loss: loss))
  }

  private mutating func keep(
    _ result: SequenceModel<S>.Gradients
  ) -> SequenceModel<S>.Gradients {
    setState(h: result.forward.hN, c: result.forward.cN)
    dh = result.h0
    dc = result.c0
    return result
  }
}
