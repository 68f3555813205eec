/// One direction of a layer on its way over the sequence, a chunk of steps at a time; directions touch
/// different elements of the output and of the states.
final class DirectionForward<S: Scalar> {
  let inputSize: Int
  private let weights: ForwardWeights<S>
  private let sweep: Sweep
  private let schedule: Schedule
  private let keepsTrace: Bool
  private let trace: PooledMemory<S>
  private let scratch: PooledMemory<S>
  /// Steps in a chunk.
  private let chunk: Int

  init(
    _ stack: Stack<S>, _ schedule: Schedule, layer: Int, direction: Int, keepsTraces: Bool,
    chunk: Int? = nil
  ) throws {
    let configuration = stack.configuration
    weights = try stack.weights.forward(
      LayerParameters(
        parameters: stack.parameters, configuration: configuration, layer: layer,
        direction: direction))
    sweep = Sweep(configuration, schedule, layer: layer, direction: direction)
    self.schedule = schedule
    inputSize = configuration.layerInputSize(layer)
    keepsTrace = keepsTraces && sweep.layout.keepsTrace
    self.chunk = chunk ?? max(1, rowsPerChunk / schedule.count(0))
    let rows =
      keepsTrace ? schedule.rows : min(self.chunk, schedule.steps) * schedule.count(0)
    trace = PooledMemory<S>(count: rows * sweep.traceWidth)
    let scratchCount = sweep.hasProjection ? schedule.count(0) * sweep.hiddenSize : 0
    scratch = PooledMemory<S>(count: scratchCount)
    scratch.elements.initialize(repeating: 0, count: scratchCount)
  }

  var chunkCount: Int { (schedule.steps + chunk - 1) / chunk }

  /// The rows of a chunk.
  func rows(_ index: Int) -> Range<Int> { schedule.rows(of: steps(index)) }

  private func steps(_ index: Int) -> Range<Int> {
    let (start, end) = (index * chunk, min((index + 1) * chunk, schedule.steps))
    return sweep.reversed ? schedule.steps - end..<schedule.steps - start : start..<end
  }

  /// Runs a chunk, after those before it; `input` begins with its rows, all else with the sequence's.
  func run(
    _ index: Int, input: UnsafePointer<S>, initial: UnsafePointer<S>,
    cells: UnsafeMutablePointer<S>, output: UnsafeMutablePointer<S>
  ) {
    let kernels = kernels(for: S.self)
    let (steps, rows) = (steps(index), rows(index))
    let part = trace.elements + (keepsTrace ? rows.lowerBound * sweep.traceWidth : 0)
    kernels.project(
      input, Block(rows: rows.count, columns: inputSize), weight: weights.input,
      bias: weights.bias, width: sweep.inputWidth, into: part, stride: sweep.traceWidth)
    kernels.sweepForward(
      sweep, steps: steps,
      ForwardBuffers(
        trace: part, hidden: weights.hidden, projection: weights.projection,
        initialState: initial, cells: cells, output: output, scratch: scratch.elements))
  }

  /// Puts each batch row's last state where the initial one was.
  func copyFinalState(from output: [S], to states: inout States<S>) {
    schedule.forEachLastStep(reversed: sweep.reversed) { batchRow, row in
      let place = row * sweep.outputStride + sweep.outputOffset
      let state = sweep.stateOffset + batchRow * sweep.stateSize
      for i in 0..<sweep.stateSize { states.h[state + i] = output[place + i] }
    }
  }

  /// The trace of all steps, if it was kept.
  var keptTrace: PooledMemory<S>? { keepsTrace ? trace : nil }
}

// So many rows of projections stay in the second-level cache until the sweep has used them.
let rowsPerChunk = 192
