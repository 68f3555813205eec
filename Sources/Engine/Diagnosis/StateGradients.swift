import Tensors

extension RNN {
  /// What reaches the states before every time step from all steps after it, (T, L, N, S), or (T, L, S) if
  /// unbatched: the list of `dh` whose norms document D4 plots.
  ///
  /// The first is the gradient of `h0`. With ``NDArray/normsByStep()`` it shows where gradients vanish or
  /// explode. Throws `engine.checkpoint` for a bidirectional network, whose states do not follow each
  /// other in one direction.
  public func stateGradients(
    _ x: NDArray<S>, h0: NDArray<S>? = nil, c0: NDArray<S>? = nil, gradOutput: NDArray<S>? = nil,
    gradHN: NDArray<S>? = nil, gradCN: NDArray<S>? = nil
  ) throws -> NDArray<S> {
    let (_, tape) = try recordWithCheckpoints(x, h0: h0, c0: c0, every: 1)
    guard let checkpoints = tape.checkpoints else { return NDArray(zeros: [0]) }
    let sequence = tape.sequence
    var dStates = try sequence.states(
      gradHN, gradCN, names: ("gradient of hN", "gradient of cN"))
    var parameters = Parameters<S>(zeros: configuration.parameterShapes)
    var steps: [[S]] = []
    _ = try tape.stack.backward(
      checkpoints, sequence.schedule, dOutput: dOutputRows(gradOutput, sequence), &dStates,
      &parameters, beforePiece: { steps.append($0.h) })
    let shape = sequence.callerStates(dStates.h, width: configuration.stateSize).shape
    return NDArray(trusted: [steps.count] + shape, Array(steps.reversed().joined()))
  }
}
