import Tensors

/// One step of one layer, as `nn.RNNCell`, `nn.LSTMCell` and `nn.GRUCell`.
///
/// The parameters are `weight_ih`, `weight_hh`, and with biases `bias_ih` and `bias_hh`. A step gives the
/// same bits as the same step of a whole sequence.
public struct RecurrentCell<S: Scalar>: Sendable {
  private let rnn: RNN<S>

  /// The states after a step.
  public struct State: Sendable, Equatable {
    /// The state (N, H), or (H) if unbatched.
    public var h: NDArray<S>
    /// An LSTM's cell state (N, H), or (H) if unbatched.
    public var c: NDArray<S>?
  }

  /// The gradients of a step.
  public struct Gradients: Sendable {
    /// Of the weights, under their names.
    public var parameters: Parameters<S>
    /// Of the input and of the states before the step; c for an LSTM only.
    public var x, h: NDArray<S>
    /// Of an LSTM's cell state before the step.
    public var c: NDArray<S>?
  }

  /// Creates a cell; throws for bad sizes, and for a missing, extra or misshapen parameter.
  public init(
    _ cell: Cell, inputSize: Int, hiddenSize: Int, bias: Bool = true, gruReset: GRUReset = .after,
    parameters: Parameters<S>
  ) throws {
    let configuration = RecurrentConfiguration(
      cell: cell, inputSize: inputSize, hiddenSize: hiddenSize, bias: bias, gruReset: gruReset)
    try configuration.validate()
    let shapes = configuration.parameterShapes
    let found = try parameters.matching(
      shapes.map { (String($0.name.dropLast(suffix.count)), $0.shape) })
    rnn = try RNN(configuration, parameters: found.renamed { $0 + suffix })
  }

  /// The weights under PyTorch's names.
  public var parameters: Parameters<S> {
    rnn.parameters.renamed { String($0.dropLast(suffix.count)) }
  }

  /// Makes one step on (N, D) or (D); no `h` or `c` means zeros.
  public func step(
    _ x: NDArray<S>, h: NDArray<S>? = nil, c: NDArray<S>? = nil
  ) throws -> State {
    try state(rnn(sequence(x), h0: h.map(withAxis), c0: c.map(withAxis)))
  }

  /// Makes one step and keeps what `backward` needs.
  public func record(
    _ x: NDArray<S>, h: NDArray<S>? = nil, c: NDArray<S>? = nil
  ) throws -> (State, Tape<S>) {
    let (result, tape) = try rnn.record(sequence(x), h0: h.map(withAxis), c0: c.map(withAxis))
    return (state(result), tape)
  }

  /// The gradients of a step, given those of the states after it.
  public func backward(
    _ tape: Tape<S>, gradH: NDArray<S>? = nil, gradC: NDArray<S>? = nil
  ) throws -> Gradients {
    let gradients = try rnn.backward(
      tape, gradHN: gradH.map(withAxis), gradCN: gradC.map(withAxis))
    return Gradients(
      parameters: gradients.parameters.renamed { String($0.dropLast(suffix.count)) },
      x: withoutAxis(gradients.x), h: withoutAxis(gradients.h0), c: gradients.c0.map(withoutAxis))
  }

  private func sequence(_ x: NDArray<S>) throws -> NDArray<S> {
    guard x.shape.count == 1 || x.shape.count == 2 else {
      throw RecurrentError(
        .malformed, "engine.input-rank", at: "x", found: "\(x.shape.count)-D input",
        expected: "1-D (unbatched) or 2-D (batched)")
    }
    return withAxis(x)
  }

  private func state(_ result: RecurrentOutput<S>) -> State {
    State(h: withoutAxis(result.hN), c: result.cN.map(withoutAxis))
  }

  private func withAxis(_ array: NDArray<S>) -> NDArray<S> {
    NDArray(trusted: [1] + array.shape, array.elements)
  }

  private func withoutAxis(_ array: NDArray<S>) -> NDArray<S> {
    NDArray(trusted: Array(array.shape.dropFirst()), array.elements)
  }
}

private let suffix = "_l0"

extension Parameters {
  fileprivate func renamed(_ name: (String) -> String) -> Parameters {
    var result = Parameters()
    for entry in entries { result.append(name(entry.name), entry.array) }
    return result
  }
}
