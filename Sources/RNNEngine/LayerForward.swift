import Tensors

/// The states h (L·D, N, S) and c (L·D, N, H) of all layers and directions; c is empty without one.
struct States<S: Scalar>: Sendable {
  var h, c: [S]
}

/// What the backward pass of one layer reads.
struct LayerTape<S: Scalar>: Sendable {
  /// What the layer read, and the states it went through, rows by time step.
  let input, output: [S]
  /// The trace of each direction; `nil` if the cell needs none. A backward pass that is the only owner
  /// of a trace puts its gradient in the same room.
  var traces: [Room<S>?]
  /// Of the normalisation after the layer, if there is one.
  let norm: NormTape<S>?
  /// What the output was multiplied by before it went to the next layer.
  let mask: [S]?
}

/// A network and its checked weights, on rows that are sorted by time step.
struct Stack<S: Scalar>: Sendable {
  let configuration: RecurrentConfiguration
  let parameters: Parameters<S>
  let weights: NetworkWeights<S>

  /// Runs all layers; replaces `states` by the final ones, and hands over each layer's tape.
  func forward(
    _ rows: [S], _ schedule: Schedule, _ states: inout States<S>, dropout: DropoutMasks? = nil,
    keep: ((LayerTape<S>) -> Void)? = nil
  ) throws -> [S] {
    var current = rows
    let initial = states
    for layer in 0..<configuration.layerCount {
      let (output, traces) = try forwardLayer(
        layer, current, schedule, initial, &states, keepsTraces: keep != nil)
      var passed = output
      if configuration.addsInput(of: layer) {
        add(current, to: &passed)
      }
      var norm: NormTape<S>?
      if let layerNorm = try layerNorm(after: layer) {
        let result = layerNorm.forward(passed)
        (passed, norm) = (result.output, result.tape)
      }
      var mask: [S]?
      if let dropout, configuration.dropout > 0, layer + 1 < configuration.layerCount {
        mask = try dropout.scales(count: output.count, probability: configuration.dropout)
      }
      keep?(LayerTape(input: current, output: output, traces: traces, norm: norm, mask: mask))
      if let mask {
        multiply(&passed, by: mask)
      }
      current = passed
    }
    return current
  }

  func layerNorm(after layer: Int) throws -> LayerNorm<S>? {
    guard configuration.normalises(after: layer) else { return nil }
    let names = NormNames(layer: layer)
    return try LayerNorm(
      weight: parameters.required(names.weight), bias: parameters.required(names.bias))
  }

  private func forwardLayer(
    _ layer: Int, _ input: [S], _ schedule: Schedule, _ initial: States<S>,
    _ states: inout States<S>, keepsTraces: Bool
  ) throws -> (output: [S], traces: [Room<S>?]) {
    // A projection adds to its output.
    let outputCount = schedule.rows * configuration.outputSize
    var output =
      configuration.projSize > 0 ? [S](repeating: 0, count: outputCount) : .unfilled(outputCount)
    var traces: [Room<S>?] = []
    guard schedule.rows > 0 else {
      return (output, Array(repeating: nil, count: configuration.directionCount))
    }
    let directions = try (0..<configuration.directionCount).map { direction in
      try DirectionForward(
        weights: weights.forward(
          LayerParameters(
            parameters: parameters, configuration: configuration, layer: layer,
            direction: direction)),
        sweep: Sweep(configuration, schedule, layer: layer, direction: direction),
        schedule: schedule, inputSize: configuration.layerInputSize(layer),
        keepsTraces: keepsTraces)
    }
    // Many rows are shared among threads inside each direction.
    let isWide = schedule.count(0) >= 2 * threadCount
    let isLong = directions[0].work >= workThatPaysForAThread
    func run(
      input: UnsafePointer<S>, initial: UnsafePointer<S>, cells: UnsafeMutablePointer<S>,
      output: UnsafeMutablePointer<S>
    ) {
      inParallel(directions.count, grain: isWide || !isLong ? directions.count : 1) { range in
        for index in range {
          directions[index].run(input: input, initial: initial, cells: cells, output: output)
        }
      }
    }
    run(input: input, initial: initial.h, cells: &states.c, output: &output)
    for direction in directions {
      let sweep = direction.sweep
      schedule.forEachLastStep(reversed: sweep.reversed) { batchRow, row in
        let place = row * sweep.outputStride + sweep.outputOffset
        let state = sweep.stateOffset + batchRow * sweep.stateSize
        for i in 0..<sweep.stateSize { states.h[state + i] = output[place + i] }
      }
      traces.append(direction.keepsTrace ? direction.trace : nil)
    }
    return (output, traces)
  }
}

/// One direction of a layer on its way over the sequence; directions touch different elements of the
/// output and of the states.
private struct DirectionForward<S: Scalar> {
  let weights: ForwardWeights<S>
  let sweep: Sweep
  let schedule: Schedule
  let inputSize: Int
  let keepsTrace: Bool
  let trace: Room<S>
  private let scratch: Room<S>
  private let chunk: Int

  init(
    weights: ForwardWeights<S>, sweep: Sweep, schedule: Schedule, inputSize: Int,
    keepsTraces: Bool
  ) {
    self.weights = weights
    self.sweep = sweep
    self.schedule = schedule
    self.inputSize = inputSize
    keepsTrace = keepsTraces && sweep.layout.keepsTrace
    chunk = max(1, rowsPerChunk / schedule.count(0))
    let rows = keepsTrace ? schedule.rows : min(chunk, schedule.steps) * schedule.count(0)
    trace = Room<S>(count: rows * sweep.traceWidth)
    let scratchCount = sweep.hasProjection ? schedule.count(0) * sweep.hiddenSize : 0
    scratch = Room<S>(count: scratchCount)
    scratch.elements.initialize(repeating: 0, count: scratchCount)
  }

  /// Multiplications of the whole direction.
  var work: Int { schedule.rows * sweep.inputWidth * (inputSize + sweep.stateSize) }

  func run(
    input: UnsafePointer<S>, initial: UnsafePointer<S>, cells: UnsafeMutablePointer<S>,
    output: UnsafeMutablePointer<S>
  ) {
    let kernels = kernels(for: S.self)
    for start in stride(from: 0, to: schedule.steps, by: chunk) {
      let end = min(start + chunk, schedule.steps)
      let steps =
        sweep.reversed ? schedule.steps - end..<schedule.steps - start : start..<end
      let rows = schedule.rows(of: steps)
      let part = trace.elements + (keepsTrace ? rows.lowerBound * sweep.traceWidth : 0)
      kernels.project(
        input, Block(offset: rows.lowerBound * inputSize, rows: rows.count, columns: inputSize),
        weight: weights.input, bias: weights.bias, width: sweep.inputWidth, into: part,
        stride: sweep.traceWidth)
      kernels.sweepForward(
        sweep, steps: steps,
        ForwardBuffers(
          trace: part, hidden: weights.hidden, projection: weights.projection,
          initialState: initial, cells: cells, output: output, scratch: scratch.elements))
    }
  }
}

// So many rows of projections stay in the second-level cache until the sweep has used them.
private let rowsPerChunk = 192
// About ten microseconds, several times what it takes to wake a thread.
private let workThatPaysForAThread = 1 << 20

@_specialize(where S == Float)
@_specialize(where S == Double)
func add<S: Scalar>(_ terms: [S], to sums: inout [S]) {
  for index in sums.indices { sums[index] += terms[index] }
}

@_specialize(where S == Float)
@_specialize(where S == Double)
func multiply<S: Scalar>(_ products: inout [S], by factors: [S]) {
  for index in products.indices { products[index] *= factors[index] }
}
