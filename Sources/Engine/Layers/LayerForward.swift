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
  /// of a trace puts its gradient in the same memory.
  var traces: [PooledMemory<S>?]
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
    let masks = try masks(dropout, schedule)
    let wavefront = try wavefront(
      rows, schedule, initial, &states, masks: masks, keepsTraces: keep != nil)
    for layer in 0..<configuration.layerCount {
      let (output, traces) =
        try wavefront?[layer]
        ?? forwardLayer(layer, current, schedule, initial, &states, keepsTraces: keep != nil)
      var passed = output
      if configuration.addsResidual(of: layer) {
        add(current, to: &passed)
      }
      var norm: NormTape<S>?
      if let layerNorm = try layerNorm(after: layer) {
        let result = layerNorm.forward(passed)
        (passed, norm) = (result.output, result.tape)
      }
      let mask = layer < masks.count ? masks[layer] : nil
      keep?(LayerTape(input: current, output: output, traces: traces, norm: norm, mask: mask))
      if let mask { multiply(&passed, by: mask) }
      current = passed
    }
    return current
  }

  /// What is drawn for the output of every layer but the last, if anything is.
  private func masks(_ dropout: DropoutMasks?, _ schedule: Schedule) throws -> [[S]] {
    guard let dropout, configuration.dropout > 0 else { return [] }
    return try (1..<configuration.layerCount).map { _ in
      try dropout.scales(
        count: schedule.rows * configuration.outputSize, probability: configuration.dropout)
    }
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
  ) throws -> (output: [S], traces: [PooledMemory<S>?]) {
    var output = unfilledOutput(schedule)
    var traces: [PooledMemory<S>?] = []
    guard schedule.rows > 0 else {
      return (output, Array(repeating: nil, count: configuration.directionCount))
    }
    let directions = try (0..<configuration.directionCount).map {
      try DirectionForward(self, schedule, layer: layer, direction: $0, keepsTraces: keepsTraces)
    }
    let isConcurrent = runsDirectionsConcurrently(layer, schedule)
    func run(
      input: UnsafePointer<S>, initial: UnsafePointer<S>, cells: UnsafeMutablePointer<S>,
      output: UnsafeMutablePointer<S>
    ) {
      inParallel(directions.count, grain: isConcurrent ? 1 : directions.count) { range in
        for direction in directions[range] {
          for index in 0..<direction.chunkCount {
            direction.run(
              index, input: input + direction.rows(index).lowerBound * direction.inputSize,
              initial: initial, cells: cells, output: output)
          }
        }
      }
    }
    run(input: input, initial: initial.h, cells: &states.c, output: &output)
    for direction in directions {
      direction.copyFinalState(from: output, to: &states)
      traces.append(direction.keptTrace)
    }
    return (output, traces)
  }

  /// Whether two directions are better work for the threads than the rows of each, which may be too few to
  /// share, and need the threads to wait for each other more often.
  func runsDirectionsConcurrently(_ layer: Int, _ schedule: Schedule) -> Bool {
    let threads = threadCount
    return configuration.directionCount > 1 && threads > 1
      && (schedule.count(0) < 2 * threads || threads == 2 && !hasLargeMatrices)
      && multiplications(layer, schedule) >= workThatPaysForAThread
  }

  /// Whether W_hh is beyond a second-level cache: more than half as much again as the smallest of today's.
  var hasLargeMatrices: Bool {
    configuration.cell.gateCount * configuration.hiddenSize * configuration.stateSize
      * MemoryLayout<S>.stride > 3 << 19
  }

  /// Multiplications of one direction of a layer.
  private func multiplications(_ layer: Int, _ schedule: Schedule) -> Int {
    schedule.rows * configuration.cell.gateCount * configuration.hiddenSize
      * (configuration.layerInputSize(layer) + configuration.stateSize)
  }

  /// A layer's output before it is known.
  func unfilledOutput(_ schedule: Schedule) -> [S] {
    let count = schedule.rows * configuration.outputSize
    // A projection adds to its output.
    return configuration.projSize > 0 ? [S](repeating: 0, count: count) : .unfilled(count)
  }
}

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

// About ten microseconds, several times what it takes to wake a thread.
private let workThatPaysForAThread = 1 << 20
