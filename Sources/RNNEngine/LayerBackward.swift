import Tensors

extension Stack {
  /// Adds the gradients of the weights to `gradients`, and returns that of the input rows.
  ///
  /// `dStates` holds the gradients of the final states before, of the initial ones after. A sequence cut
  /// into pieces gives the same bits, if the pieces follow each other from the last to the first.
  func backward(
    _ tapes: [LayerTape<S>], _ schedule: Schedule, initial: States<S>, dOutput: [S],
    _ dStates: inout States<S>, _ gradients: inout Parameters<S>
  ) throws -> [S] {
    var dOutput = dOutput
    for (layer, tape) in tapes.enumerated().reversed() {
      if let mask = tape.mask {
        for index in dOutput.indices { dOutput[index] *= mask[index] }
      }
      if let norm = tape.norm, let layerNorm = try layerNorm(after: layer) {
        let names = NormNames(layer: layer)
        var dWeight = try gradients.required(names.weight).elements
        var dBias = try gradients.required(names.bias).elements
        layerNorm.backward(norm, &dOutput, weight: &dWeight, bias: &dBias)
        gradients.update(names.weight) { $0 = dWeight }
        gradients.update(names.bias) { $0 = dBias }
      }
      var dInput = try backwardLayer(
        layer, tape, schedule, initial, dOutput, &dStates, &gradients)
      if configuration.addsInput(of: layer) {
        for index in dInput.indices { dInput[index] += dOutput[index] }
      }
      dOutput = dInput
    }
    return dOutput
  }

  private func backwardLayer(
    _ layer: Int, _ tape: LayerTape<S>, _ schedule: Schedule, _ initial: States<S>,
    _ dOutput: [S], _ dStates: inout States<S>, _ gradients: inout Parameters<S>
  ) throws -> [S] {
    let inputSize = configuration.layerInputSize(layer)
    var dInput = [S](repeating: 0, count: schedule.rows * inputSize)
    guard schedule.rows > 0 else { return dInput }
    let kernels = kernels(for: S.self)
    for direction in 0..<configuration.directionCount {
      let weights = try LayerWeights(
        parameters, configuration, layer: layer, direction: direction)
      let sweep = Sweep(configuration, schedule, layer: layer, direction: direction)
      let (width, hidden) = (sweep.traceWidth, sweep.hiddenSize)
      var dTrace = [S](repeating: 0, count: schedule.rows * width)
      var dProjected = [S](
        repeating: 0, count: sweep.hasProjection ? schedule.rows * sweep.stateSize : 0)
      var scratch = [S](repeating: 0, count: schedule.count(0) * hidden)
      func run(
        trace: UnsafePointer<S>, output: UnsafePointer<S>, initialState: UnsafePointer<S>,
        initialCells: UnsafePointer<S>, dOutput: UnsafePointer<S>, hidden: UnsafePointer<S>,
        projection: UnsafePointer<S>, dTrace: UnsafeMutablePointer<S>,
        dState: UnsafeMutablePointer<S>, dCells: UnsafeMutablePointer<S>,
        dProjected: UnsafeMutablePointer<S>, scratch: UnsafeMutablePointer<S>
      ) {
        kernels.sweepBackward(
          sweep,
          BackwardBuffers(
            trace: trace, output: output, initialState: initialState, initialCells: initialCells,
            dOutput: dOutput, hidden: hidden, projection: projection, dTrace: dTrace,
            dState: dState, dCells: dCells, dProjected: dProjected, scratch: scratch))
      }
      run(
        trace: tape.traces[direction], output: tape.output, initialState: initial.h,
        initialCells: initial.c, dOutput: dOutput, hidden: weights.hidden,
        projection: weights.projection, dTrace: &dTrace, dState: &dStates.h, dCells: &dStates.c,
        dProjected: &dProjected, scratch: &scratch)

      // Only the recurrence is sequential: every gradient of a weight is one product over all rows.
      let names = ParameterNames(layer: layer, direction: direction)
      let inputBlock = Block(rows: schedule.rows, columns: sweep.inputWidth, stride: width)
      kernels.addInputGradient(
        dTrace, inputBlock, weight: weights.input, inputSize: inputSize, into: &dInput)
      gradients.update(names.inputWeight) {
        $0 = sweep.layout.toBlocks($0, gateCount: hidden * inputSize)
        kernels.addWeightGradient(
          dTrace, inputBlock, input: tape.input,
          Block(rows: schedule.rows, columns: inputSize), into: &$0)
        $0 = sweep.layout.toStored($0, gateCount: hidden * inputSize)
      }
      let previous = statesBeforeSteps(sweep, output: tape.output, initial: initial.h)
      gradients.update(names.hiddenWeight) { gradient in
        for phase in sweep.layout.phases {
          let operand = phase.operand.map { $0 * hidden }
          gradient.withUnsafeMutableBufferPointer {
            guard let base = $0.baseAddress else { return }
            kernels.addWeightGradient(
              dTrace, sweep.block(of: phase),
              input: operand == nil ? previous : tape.traces[direction],
              Block(
                offset: operand ?? 0, rows: schedule.rows, columns: sweep.stateSize,
                stride: operand == nil ? sweep.stateSize : width),
              into: base + phase.gates.lowerBound * hidden * sweep.stateSize)
          }
        }
      }
      if configuration.bias {
        gradients.update(names.inputBias) {
          $0 = sweep.layout.toBlocks($0, gateCount: hidden)
          kernels.addBiasGradient(dTrace, inputBlock, into: &$0)
          $0 = sweep.layout.toStored($0, gateCount: hidden)
        }
        gradients.update(names.hiddenBias) { gradient in
          for phase in sweep.layout.phases {
            gradient.withUnsafeMutableBufferPointer {
              guard let base = $0.baseAddress else { return }
              kernels.addBiasGradient(
                dTrace, sweep.block(of: phase), into: base + phase.gates.lowerBound * hidden)
            }
          }
        }
      }
      if sweep.hasProjection {
        gradients.update(names.projection) {
          kernels.addWeightGradient(
            dProjected, Block(rows: schedule.rows, columns: sweep.stateSize), input: dTrace,
            Block(
              offset: LSTMStep.memory * hidden, rows: schedule.rows, columns: hidden, stride: width),
            into: &$0)
        }
      }
    }
    return dInput
  }

  /// The state before each row's step (rows, S).
  private func statesBeforeSteps(_ sweep: Sweep, output: [S], initial: [S]) -> [S] {
    var result: [S] = []
    result.reserveCapacity(sweep.schedule.rows * sweep.stateSize)
    for step in 0..<sweep.schedule.steps {
      let (before, continuing) = sweep.schedule.predecessor(of: step, reversed: sweep.reversed)
      for row in before..<before + continuing {
        let place = row * sweep.outputStride + sweep.outputOffset
        result += output[place..<place + sweep.stateSize]
      }
      let (start, end) = (
        continuing * sweep.stateSize, sweep.schedule.count(step) * sweep.stateSize
      )
      result += initial[sweep.stateOffset + start..<sweep.stateOffset + end]
    }
    return result
  }
}

extension Sweep {
  /// The gradient of a phase's product within the gradient of the trace.
  fileprivate func block(of phase: RecurrentPhase) -> Block {
    Block(
      offset: phase.block * hiddenSize, rows: schedule.rows,
      columns: phase.gates.count * hiddenSize, stride: traceWidth)
  }
}
