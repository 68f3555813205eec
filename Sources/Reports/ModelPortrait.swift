import Parity
import RNNEngine
import Tensors

extension Model {
  /// Drawings of what the model does with an input (T, N, D), (N, T, D) if batch-first, or (T, D).
  ///
  /// Of the first row: the head's probabilities over time, and the path of the states in two dimensions. With targets
  /// and a loss also the gradient's norm at every step, where it has one: not for a head that reads one step, nor for
  /// two directions. The probabilities are the sigmoid of the logits for ``Loss/Kind/bceWithLogits``, otherwise their
  /// softmax. Throws as the forward pass.
  public func portrait(
    _ x: NDArray<S>, targets: Targets<S>? = nil, loss: Loss? = nil, classNames: [String] = []
  ) throws -> [Figure] {
    try activity(x, targets: targets, loss: loss, classNames: classNames).figures
  }

  /// The same of token ids, (T, N), (N, T) if batch-first, or (T).
  public func portrait(
    tokens: NDArray<Int>, targets: Targets<S>? = nil, loss: Loss? = nil,
    classNames: [String] = []
  ) throws -> [Figure] {
    try portrait(vectors(of: tokens), targets: targets, loss: loss, classNames: classNames)
  }

  package func activity(
    _ x: NDArray<S>, targets: Targets<S>?, loss: Loss?, classNames: [String] = []
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
      classNames: classNames, states: firstRow(result.output), gradientNorms: norms,
      gradientRemark: remark)
  }

  /// The steps of the first row.
  private func firstRow(_ array: NDArray<S>) -> [[Double]] {
    guard array.count > 0 else { return [] }
    let row: NDArray<S> =
      array.rank < 3 ? array : rnn.configuration.batchFirst ? array[0] : array[.all, 0]
    return row.map { Double($0) }.rows
  }
}
