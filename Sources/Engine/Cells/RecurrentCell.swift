import Tensors

/// One step of one layer, as `nn.RNNCell`, `nn.LSTMCell` and `nn.GRUCell`.
///
/// The parameters are `weight_ih`, `weight_hh`, and with biases `bias_ih` and `bias_hh`. A step gives the
/// same bits as the same step of a whole sequence.
public struct RecurrentCell<S: Scalar>: Sendable {
  private let rnn: RNN<S>

  /// What the cell is, as a stack of one layer.
  package var configuration: RecurrentConfiguration { rnn.configuration }

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

  /// Creates a cell with PyTorch's initial weights, as `torch.manual_seed` and `nn.LSTMCell(…)`.
  public init(
    _ cell: Cell, inputSize: Int, hiddenSize: Int, bias: Bool = true, gruReset: GRUReset = .after,
    generator: inout TorchGenerator
  ) throws {
    rnn = try RNN(
      RecurrentConfiguration(
        cell: cell, inputSize: inputSize, hiddenSize: hiddenSize, bias: bias, gruReset: gruReset),
      generator: &generator)
  }

  /// The weights under PyTorch's names.
  public var parameters: Parameters<S> {
    rnn.parameters.renamed { String($0.dropLast(suffix.count)) }
  }

  /// Makes one step on (N, D) or (D) and returns the states after it, (N, H) or (H); no `h` or `c` means
  /// zeros, and only an LSTM has a c.
  ///
  /// Throws `engine.input-rank`, `engine.input-size`, `engine.state-rank` or `engine.state-shape` for shapes that
  /// do not fit.
  public func step(
    _ x: NDArray<S>, h: NDArray<S>? = nil, c: NDArray<S>? = nil
  ) throws -> (h: NDArray<S>, c: NDArray<S>?) {
    try check(x, h, c)
    return try states(rnn(withAxis(x), h0: h.map(withAxis), c0: c.map(withAxis)))
  }

  /// Makes one step and keeps what `backward` needs.
  ///
  /// Throws as ``step(_:h:c:)``.
  public func record(
    _ x: NDArray<S>, h: NDArray<S>? = nil, c: NDArray<S>? = nil
  ) throws -> (h: NDArray<S>, c: NDArray<S>?, tape: Tape<S>) {
    try check(x, h, c)
    let (result, tape) = try rnn.record(withAxis(x), h0: h.map(withAxis), c0: c.map(withAxis))
    let (h, c) = states(result)
    return (h, c, tape)
  }

  /// The gradients of a step, given those of the states after it: `h0` and `c0` are those of the states before
  /// it, in their shapes.
  ///
  /// Throws `engine.tape` for a tape of another network, `engine.state-shape` for gradients of another shape.
  public func backward(
    _ tape: Tape<S>, gradH: NDArray<S>? = nil, gradC: NDArray<S>? = nil
  ) throws -> RecurrentGradients<S> {
    let gradients = try rnn.backward(
      tape, gradHN: gradH.map(withAxis), gradCN: gradC.map(withAxis))
    return RecurrentGradients(
      parameters: gradients.parameters.renamed { String($0.dropLast(suffix.count)) },
      x: withoutAxis(gradients.x), h0: withoutAxis(gradients.h0),
      c0: gradients.c0.map(withoutAxis))
  }

  // Before the network sees the arrays: its messages would count an axis that the caller has not.
  private func check(_ x: NDArray<S>, _ h: NDArray<S>?, _ c: NDArray<S>?) throws {
    let (configuration, rank) = (rnn.configuration, x.shape.count)
    func refuse(
      _ reason: RecurrentError.Reason, _ array: NDArray<S>, _ what: String, _ words: String
    ) throws {
      throw RecurrentError(
        reason, at: what, found: "shape \(array.shape)", asPyTorchSays: words)
    }
    guard rank == 1 || rank == 2 else {
      return try refuse(
        .engineInputRank, x, "x", "Expected input to be 1D or 2D, got \(rank)D instead")
    }
    if x.shape[rank - 1] != configuration.inputSize {
      try refuse(
        .engineInputSize, x, "x",
        "input has inconsistent input_size: "
          + "got \(x.shape[rank - 1]) expected \(configuration.inputSize)")
    }
    let hasCells = configuration.cell.hasCellState
    for (index, state) in [h, hasCells ? c : nil].enumerated() {
      guard let state else { continue }
      let (what, stateRank) = (index == 0 ? "h" : "c", state.shape.count)
      let name = hasCells ? "hx[\(index)]" : "hidden"
      if stateRank != 1 && stateRank != 2 {
        try refuse(
          .engineStateRank, state, what,
          "Expected \(name) to be 1D or 2D, got \(stateRank)D instead")
      }
      if stateRank != rank {
        try refuse(
          .engineStateRank, state, what,
          "Expected \(name) to be \(rank)D as the input, got \(stateRank)D instead")
      }
      if state.shape[stateRank - 1] != configuration.hiddenSize {
        try refuse(
          .engineStateShape, state, what,
          "hidden\(index) has inconsistent hidden_size: "
            + "got \(state.shape[stateRank - 1]), expected \(configuration.hiddenSize)")
      }
      if rank == 2, state.shape[0] != x.shape[0] {
        try refuse(
          .engineStateShape, state, what,
          "Input batch size \(x.shape[0]) doesn't match hidden\(index) batch size \(state.shape[0])"
        )
      }
    }
  }

  private func states(_ result: RecurrentOutput<S>) -> (h: NDArray<S>, c: NDArray<S>?) {
    (withoutAxis(result.hN), result.cN.map(withoutAxis))
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
  package func renamed(_ name: (String) -> String) -> Parameters {
    var result = Parameters()
    for entry in entries { result.append(name(entry.name), entry.array) }
    return result
  }
}
