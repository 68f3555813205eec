import RNNEngine
import Tensors

extension Model {
  /// ‖dL/dh‖/N before every step, all layers together.
  package func stateGradientNorms(
    _ x: NDArray<S>, state: State = State(), targets: Targets<S>, loss: Loss
  ) throws -> [Double] {
    guard headReads == .sequence else {
      throw RecurrentError(.parityPortrait, found: "a head that reads one step")
    }
    let state = try start(state, of: x)
    let output = try rnn(x, h0: state.h, c0: state.c).output
    let logits = try head?(output)
    let (_, slope) = try loss.evaluate(
      logits: logits ?? output, targets: targets, batchFirst: rnn.configuration.batchFirst)
    let upstream = try head?.backward(output, gradOutput: slope).x ?? slope
    return try gradientNorms(
      rnn.stateGradients(x, h0: state.h, c0: state.c, gradOutput: upstream), per: x)
  }

  /// The norms of gradients (T, …), divided by the number of rows of the input.
  func gradientNorms(_ deltas: NDArray<S>, per x: NDArray<S>) throws -> [Double] {
    let rows = x.rank == 3 ? x.shape[rnn.configuration.batchFirst ? 0 : 1] : 1
    return try deltas.normsByStep().map { Double($0) / Double(max(1, rows)) }
  }
}
