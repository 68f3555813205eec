import RNNEngine
import Tensors

extension SequenceModel {
  /// What the model does with an input (T, N, D), (N, T, D) if batch-first, or (T, D): its probabilities and states
  /// in the first row, and with targets and a loss the gradient's norm at every step.
  ///
  /// The probabilities are the sigmoid of the logits for ``Loss/Kind/bceWithLogits``, otherwise their softmax. What
  /// has no gradient norms (a head that reads one step, two directions) says so in the remark. Throws as the forward
  /// pass.
  public func portrait(
    _ x: NDArray<S>, targets: Targets<S>? = nil, loss: Loss? = nil
  ) throws -> FixturePortrait {
    let result = try self(x)
    var (norms, remark): ([Double], String?) = ([], nil)
    if let targets, let loss {
      do {
        norms = try stateGradientNorms(x, targets: targets, loss: loss)
      } catch let error as RecurrentError where error.kind == .unsupported {
        remark = error.found
      }
    } else {
      remark = "no loss was given"
    }
    let isSigmoid = loss?.kind == .bceWithLogits
    return FixturePortrait(
      probabilities: headReads != .sequence
        ? [] : result.logits.map { firstRow(isSigmoid ? $0.sigmoid() : $0.softmax()) } ?? [],
      states: firstRow(result.output), gradientNorms: norms, gradientRemark: remark)
  }

  /// The same of token ids, (T, N), (N, T) if batch-first, or (T).
  public func portrait(
    _ tokens: NDArray<Int>, targets: Targets<S>? = nil, loss: Loss? = nil
  ) throws -> FixturePortrait {
    try portrait(vectors(of: tokens), targets: targets, loss: loss)
  }

  /// The steps of the first row.
  private func firstRow(_ array: NDArray<S>) -> [[Double]] {
    guard array.count > 0 else { return [] }
    let row: NDArray<S> =
      array.rank < 3 ? array : rnn.configuration.batchFirst ? array[0] : array[.all, 0]
    return row.map { Double($0) }.rows
  }

  /// ‖dL/dh‖/N before every step, all layers together.
  func stateGradientNorms(
    _ x: NDArray<S>, h0: NDArray<S>? = nil, c0: NDArray<S>? = nil, targets: Targets<S>, loss: Loss
  ) throws -> [Double] {
    guard headReads == .sequence else {
      throw RecurrentError(.unsupported, "parity.portrait", found: "a head that reads one step")
    }
    let output = try rnn(x, h0: h0, c0: c0).output
    let logits = try head?(output)
    let (_, slope) = try loss.evaluate(
      logits: logits ?? output, targets: targets, batchFirst: rnn.configuration.batchFirst)
    let upstream = try head?.backward(output, gradOutput: slope).x ?? slope
    return try gradientNorms(
      rnn.stateGradients(x, h0: h0, c0: c0, gradOutput: upstream), per: x)
  }

  /// The norms of gradients (T, …), divided by the number of rows of the input.
  func gradientNorms(_ deltas: NDArray<S>, per x: NDArray<S>) throws -> [Double] {
    let rows = x.rank == 3 ? x.shape[rnn.configuration.batchFirst ? 0 : 1] : 1
    return try RNNEngine.gradientNorms(deltas).map { Double($0) / Double(max(1, rows)) }
  }
}
