import Tensors

/// The gradients of a recurrent network.
public struct RecurrentGradients<S: Scalar>: Sendable {
  /// Of the weights, under their names.
  public var parameters: Parameters<S>
  /// Of the input, in its shape.
  public var x: NDArray<S>
  /// Of the initial state, in its shape, whether or not one was given.
  public var h0: NDArray<S>
}

extension RNN {
  /// The gradients of `sum(output · gradOutput) + sum(hN · gradHN)` by backpropagation through time.
  ///
  /// Only the recurrence is sequential: every gradient of a weight is one product over all time steps.
  public func backward(
    _ tape: Tape<S>, gradOutput: NDArray<S>? = nil, gradHN: NDArray<S>? = nil
  ) throws -> RecurrentGradients<S> {
    guard tape.configuration == configuration else {
      throw RecurrentError(
        .malformed, "engine.tape", found: "a tape of another network (\(tape.configuration))",
        expected: "\(configuration)")
    }
    let sequence = tape.sequence
    if let gradOutput { try sequence.checkOutput(gradOutput, "gradient of output") }
    if let gradHN { try sequence.checkState(gradHN, "gradient of hN") }
    var dState = gradHN?.elements ?? [S](repeating: 0, count: sequence.stateCount)
    var dOutput =
      gradOutput.map(sequence.timeMajor)
      ?? [S](repeating: 0, count: sequence.schedule.rows * sequence.outputWidth)
    var layers: [[(name: String, array: NDArray<S>)]] = []
    for layer in (0..<configuration.layerCount).reversed() {
      let (gradients, dInput) = try backwardLayer(layer, tape, dOutput, &dState)
      layers.append(gradients)
      dOutput = dInput
    }
    var parameters = Parameters<S>()
    for (name, array) in layers.reversed().joined() { parameters.append(name, array) }
    return RecurrentGradients(
      parameters: parameters,
      x: sequence.callerOrder(dOutput, width: configuration.inputSize),
      h0: NDArray(trusted: sequence.stateShape, dState))
  }

  private func backwardLayer(
    _ layer: Int, _ tape: Tape<S>, _ dOutput: [S], _ dState: inout [S]
  ) throws -> (gradients: [(name: String, array: NDArray<S>)], dInput: [S]) {
    let kernels = kernels(for: S.self)
    let schedule = tape.sequence.schedule
    let (input, output) = (tape.activations[layer], tape.activations[layer + 1])
    let inputSize = configuration.layerInputSize(layer)
    let hidden = configuration.hiddenSize
    let width = configuration.cell.gateCount * hidden
    var gradients: [(name: String, array: NDArray<S>)] = []
    var dInput = [S](repeating: 0, count: schedule.rows * inputSize)
    var dz = [S](repeating: 0, count: schedule.rows * width)
    for direction in 0..<configuration.directionCount {
      let weights = try LayerWeights(tape.parameters, configuration, layer, direction)
      let sweep = tape.sequence.sweep(configuration, layer, direction)
      kernels.sweepBackward(
        sweep, output: output, dOutput: dOutput, weight: weights.hidden, dz: &dz, dState: &dState)
      kernels.addInputGradient(
        dz, rows: schedule.rows, width: width, weight: weights.input, inputSize: inputSize,
        into: &dInput)

      var dInputWeight = [S](repeating: 0, count: width * inputSize)
      kernels.addWeightGradient(
        dz, dzRow: 0, width: width, input: input,
        Block(rows: schedule.rows, columns: inputSize), into: &dInputWeight)

      // The state before each step is the output of its neighbour, except before the first step.
      var dHiddenWeight = [S](repeating: 0, count: width * hidden)
      let first = schedule.rows(of: sweep.reversed ? schedule.steps - 1..<schedule.steps : 0..<1)
      kernels.addWeightGradient(
        dz, dzRow: first.lowerBound, width: width, input: tape.initialState,
        Block(offset: sweep.stateOffset, rows: first.count, columns: hidden), into: &dHiddenWeight)
      let others = schedule.rows - first.count
      let (row, stateRow) = sweep.reversed ? (0, first.count) : (first.count, 0)
      kernels.addWeightGradient(
        dz, dzRow: row, width: width, input: output,
        Block(
          offset: stateRow * sweep.outputStride + sweep.outputOffset, rows: others,
          columns: hidden, stride: sweep.outputStride),
        into: &dHiddenWeight)

      let names = ParameterNames(layer: layer, direction: direction)
      gradients.append((names.inputWeight, NDArray(trusted: [width, inputSize], dInputWeight)))
      gradients.append((names.hiddenWeight, NDArray(trusted: [width, hidden], dHiddenWeight)))
      if configuration.bias {
        var dBias = [S](repeating: 0, count: width)
        kernels.addBiasGradient(dz, rows: schedule.rows, width: width, into: &dBias)
        gradients.append((names.inputBias, NDArray(trusted: [width], dBias)))
        gradients.append((names.hiddenBias, NDArray(trusted: [width], dBias)))
      }
    }
    return (gradients, dInput)
  }
}
