import Tensors

/// The gradients of a recurrent network or cell.
public struct RecurrentGradients<S: Scalar>: Sendable {
  /// Of the weights, under their names.
  public var parameters: Parameters<S>
  /// Of the input, in its shape; zero after the end of a ragged row.
  public var x: NDArray<S>
  /// Of the initial state, in its shape, whether or not one was given.
  public var h0: NDArray<S>
  /// Of an LSTM's initial cell state, in its shape, whether or not one was given.
  public var c0: NDArray<S>?
}

extension RNN {
  /// The gradients of `sum(output · gradOutput) + sum(hN · gradHN) + sum(cN · gradCN)`.
  ///
  /// What `gradOutput` holds after the end of a ragged row does not matter. A tape that is used for the
  /// last time gives its memory to the gradients.
  ///
  /// Throws `engine.tape` for a tape of another network, `engine.output-shape` or `engine.state-shape` for
  /// gradients of another shape than what they are of.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  public func backward(
    _ tape: consuming Tape<S>, gradOutput: NDArray<S>? = nil, gradHN: NDArray<S>? = nil,
    gradCN: NDArray<S>? = nil
  ) throws -> RecurrentGradients<S> {
    guard tape.stack.configuration == configuration else {
      throw RecurrentError(
        .engineTape,
        found: "a tape of another network (\(tape.stack.configuration))",
        expected: "\(configuration)")
    }
    let (sequence, stack, initial) = (tape.sequence, tape.stack, tape.initial)
    let checkpoints = tape.checkpoints
    // Out of the tape, so that a tape that nobody else has is not kept alive by this call.
    var layers: [LayerTape<S>] = []
    swap(&layers, &tape.layers)
    var dStates = try sequence.states(
      gradHN, gradCN, names: ("gradient of hN", "gradient of cN"))
    let dOutput = try dOutputRows(gradOutput, sequence)
    // The matrices are those of the layers, which a sweep fills.
    let isFirst = checkpoints == nil && sequence.schedule.rows > 0
    var parameters = Parameters<S>(
      zeros: configuration.parameterShapes, leavesMatrices: isFirst)
    let dInput =
      if let checkpoints {
        try stack.backward(
          checkpoints, sequence.schedule, dOutput: dOutput, &dStates, &parameters)
      } else {
        try stack.backward(
          &layers, sequence.schedule, initial: initial, dOutput: dOutput, &dStates, &parameters,
          isFirst: isFirst)
      }
    return gradients(parameters, dInput, dStates, sequence)
  }

  func dOutputRows(_ gradOutput: NDArray<S>?, _ sequence: SequenceLayout) throws -> [S] {
    guard let gradOutput else {
      return [S](repeating: 0, count: sequence.schedule.rows * configuration.outputSize)
    }
    try sequence.checkOutput(gradOutput, "gradient of output")
    return sequence.rows(gradOutput)
  }

  func gradients(
    _ parameters: Parameters<S>, _ dInput: [S], _ dStates: States<S>, _ sequence: SequenceLayout
  ) -> RecurrentGradients<S> {
    RecurrentGradients(
      parameters: parameters,
      x: sequence.callerOrder(dInput, width: configuration.inputSize),
      h0: sequence.callerStates(dStates.h, width: configuration.stateSize),
      c0: configuration.cell.hasCellState
        ? sequence.callerStates(dStates.c, width: configuration.hiddenSize) : nil)
  }
}
