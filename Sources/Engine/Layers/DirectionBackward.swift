/// One direction of a layer on its way back; until the gradients add up, directions touch different
/// elements of everything.
struct DirectionBackward<S: Scalar> {
  private let layer, direction, inputSize: Int
  private let hasBias: Bool
  private let weights: BackwardWeights<S>
  private let sweep: Sweep
  private let trace: PooledMemory<S>?
  private let dTrace, dProjected, scratch: PooledMemory<S>

  init(
    _ stack: Stack<S>, _ schedule: Schedule, layer: Int, direction: Int,
    trace: inout PooledMemory<S>?
  ) throws {
    let configuration = stack.configuration
    (self.layer, self.direction) = (layer, direction)
    inputSize = configuration.layerInputSize(layer)
    hasBias = configuration.bias
    weights = try stack.weights.backward(
      LayerParameters(
        parameters: stack.parameters, configuration: configuration, layer: layer,
        direction: direction))
    sweep = Sweep(configuration, schedule, layer: layer, direction: direction)
    dTrace = Self.gradientMemory(sweep, &trace)
    self.trace = trace
    dProjected = PooledMemory<S>(count: sweep.hasProjection ? schedule.rows * sweep.stateSize : 0)
    scratch = PooledMemory<S>(count: schedule.count(0) * sweep.hiddenSize)
  }

  /// Makes the gradient of the trace, and replaces those of the final states by those of the initial ones.
  func run(
    output: UnsafePointer<S>, initialState: UnsafePointer<S>, initialCells: UnsafePointer<S>,
    dOutput: UnsafePointer<S>, dState: UnsafeMutablePointer<S>, dCells: UnsafeMutablePointer<S>
  ) {
    kernels(for: S.self).sweepBackward(
      sweep,
      BackwardBuffers(
        trace: (trace ?? dTrace).elements, output: output, initialState: initialState,
        initialCells: initialCells, dOutput: dOutput, hidden: weights.hidden,
        projection: weights.projection, dTrace: dTrace.elements, dState: dState, dCells: dCells,
        dProjected: dProjected.elements, scratch: scratch.elements))
  }

  /// Adds the gradients of the weights, and that of the input to those of the directions before.
  @inline(never)
  func addGradients(
    _ tape: LayerTape<S>, _ initial: States<S>, dInput: inout [S],
    _ gradients: inout Parameters<S>, isFirst: Bool
  ) {
    let (rows, width, hidden) = (sweep.schedule.rows, sweep.traceWidth, sweep.hiddenSize)
    let kernels = kernels(for: S.self)
    // Only the recurrence is sequential: every gradient of a weight is one product over all rows.
    let names = ParameterNames(layer: layer, direction: direction)
    let inputBlock = Block(rows: rows, columns: sweep.inputWidth, stride: width)
    kernels.addInputGradient(
      dTrace.elements, inputBlock, weight: weights.input, inputSize: inputSize, into: &dInput,
      isFirst: direction == 0)
    gradients.update(names.inputWeight) { gradient in
      gradient.withUnsafeMutableBufferPointer {
        guard let base = $0.baseAddress else { return }
        for run in sweep.layout.inputRuns {
          kernels.addWeightGradient(
            dTrace.elements, sweep.block(run.block, gates: run.gates.count), input: tape.input,
            Block(rows: rows, columns: inputSize),
            into: base + run.gates.lowerBound * hidden * inputSize, isFirst: isFirst)
        }
      }
    }
    gradients.update(names.hiddenWeight) { gradient in
      gradient.withUnsafeMutableBufferPointer {
        guard let base = $0.baseAddress else { return }
        for phase in sweep.layout.phases {
          let into = base + phase.gates.lowerBound * hidden * sweep.stateSize
          guard let operand = phase.operand, let trace else {
            sweep.addStateGradient(
              kernels, dTrace.elements, phase, output: tape.output, initial: initial.h,
              into: into, isFirst: isFirst)
            continue
          }
          kernels.addWeightGradient(
            dTrace.elements, sweep.block(phase.block, gates: phase.gates.count),
            input: trace.elements,
            Block(
              offset: operand * hidden, rows: rows, columns: sweep.stateSize, stride: width),
            into: into, isFirst: isFirst)
        }
      }
    }
    if hasBias {
      gradients.update(names.inputBias) { gradient in
        gradient.withUnsafeMutableBufferPointer {
          guard let base = $0.baseAddress else { return }
          for run in sweep.layout.inputRuns {
            kernels.addBiasGradient(
              dTrace.elements, sweep.block(run.block, gates: run.gates.count),
              into: base + run.gates.lowerBound * hidden)
          }
        }
      }
      // Where both biases stand in the same sums, so do their gradients.
      let common = sweep.layout.addsBiases ? gradients[names.inputBias]?.elements : nil
      gradients.update(names.hiddenBias) { gradient in
        gradient.withUnsafeMutableBufferPointer {
          guard let base = $0.baseAddress else { return }
          if let common { return base.update(from: common, count: $0.count) }
          for phase in sweep.layout.phases {
            kernels.addBiasGradient(
              dTrace.elements, sweep.block(phase.block, gates: phase.gates.count),
              into: base + phase.gates.lowerBound * hidden)
          }
        }
      }
    }
    if sweep.hasProjection {
      gradients.update(names.projection) {
        kernels.addWeightGradient(
          dProjected.elements, Block(rows: rows, columns: sweep.stateSize),
          input: dTrace.elements,
          Block(offset: LSTMStep.memory * hidden, rows: rows, columns: hidden, stride: width),
          into: &$0, isFirst: isFirst)
      }
    }
  }

  /// Where the gradient of a trace goes: the trace itself, if nobody else will read it.
  ///
  /// A step reads the blocks that it overwrites and those of earlier steps. A cell that multiplies a
  /// block of its trace needs that block afterwards.
  @inline(never)
  private static func gradientMemory(_ sweep: Sweep, _ trace: inout PooledMemory<S>?)
    -> PooledMemory<S>
  {
    if sweep.layout.phases.allSatisfy({ $0.operand == nil }), isKnownUniquelyReferenced(&trace),
      let trace
    {
      return trace
    }
    return PooledMemory(count: sweep.schedule.rows * sweep.traceWidth)
  }
}

extension Sweep {
  /// The gradient of a phase's rows of W_hh that were multiplied by the state before each step.
  fileprivate func addStateGradient<S: Scalar>(
    _ kernels: any RecurrentKernels<S>, _ dTrace: UnsafePointer<S>, _ phase: RecurrentPhase,
    output: UnsafePointer<S>, initial: UnsafePointer<S>, into gradient: UnsafeMutablePointer<S>,
    isFirst: Bool
  ) {
    let batch = schedule.count(0)
    guard schedule.rows == schedule.steps * batch, schedule.rows > 256 else {
      let previous = statesBeforeSteps(output: output, initial: initial)
      kernels.addWeightGradient(
        dTrace, block(phase.block, gates: phase.gates.count), input: previous.elements,
        Block(rows: schedule.rows, columns: stateSize), into: gradient, isFirst: isFirst)
      return
    }
    // Dense: the output itself, moved by one step; and the initial state, which is before the first step
    // of the sweep. The last row first.
    func add(
      _ rows: Range<Int>, _ input: UnsafePointer<S>, offset: Int, stride: Int, isFirst: Bool = false
    ) {
      var block = block(phase.block, gates: phase.gates.count, rows: rows.count)
      block.offset += rows.lowerBound * traceWidth
      kernels.addWeightGradient(
        dTrace, block, input: input,
        Block(offset: offset, rows: rows.count, columns: stateSize, stride: stride), into: gradient,
        isFirst: isFirst)
    }
    let (all, rest) = (schedule.rows, schedule.rows - batch)
    if reversed {
      add(rest..<all, initial, offset: stateOffset, stride: stateSize, isFirst: isFirst)
      add(0..<rest, output, offset: outputOffset + batch * outputStride, stride: outputStride)
    } else {
      add(batch..<all, output, offset: outputOffset, stride: outputStride, isFirst: isFirst)
      add(0..<batch, initial, offset: stateOffset, stride: stateSize)
    }
  }

  /// The state before each row's step (rows, S).
  private func statesBeforeSteps<S: Scalar>(
    output: UnsafePointer<S>, initial: UnsafePointer<S>
  ) -> PooledMemory<S> {
    let result = PooledMemory<S>(count: schedule.rows * stateSize)
    var place = result.elements
    for step in 0..<schedule.steps {
      let (before, continuing) = schedule.predecessor(of: step, reversed: reversed)
      for row in before..<before + continuing {
        place.update(from: output + (row * outputStride + outputOffset), count: stateSize)
        place += stateSize
      }
      let starting = schedule.count(step) - continuing
      place.update(
        from: initial + (stateOffset + continuing * stateSize), count: starting * stateSize)
      place += starting * stateSize
    }
    return result
  }

  /// Some neighbouring blocks of the gradient of the trace.
  fileprivate func block(_ first: Int, gates: Int, rows: Int? = nil) -> Block {
    Block(
      offset: first * hiddenSize, rows: rows ?? schedule.rows, columns: gates * hiddenSize,
      stride: traceWidth)
  }
}
