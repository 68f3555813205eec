// Layers that run concurrently: while a layer reads a chunk of steps, the one above it reads the chunk before.

extension Stack {
  /// The output and the traces of every layer, if the layers had better run concurrently.
  func wavefront(
    _ rows: [S], _ schedule: Schedule, _ initial: States<S>, _ states: inout States<S>,
    masks: [[S]], keepsTraces: Bool
  ) throws -> [(output: [S], traces: [PooledMemory<S>?])]? {
    guard let chunk = stepsInWavefront(schedule, threads: threadCount) else { return nil }
    let layers = try (0..<configuration.layerCount).map {
      try DirectionForward(
        self, schedule, layer: $0, direction: 0, keepsTraces: keepsTraces, chunk: chunk)
    }
    // A chunk of each layer's input with its mask, which is that of the layer below.
    let masked = masks.indices.map {
      PooledMemory<S>(count: layers[$0].rows(0).count * layers[$0 + 1].inputSize)
    }
    var outputs = layers.map { _ in unfilledOutput(schedule) }
    func run(
      rows: UnsafePointer<S>, initial: UnsafePointer<S>, cells: UnsafeMutablePointer<S>,
      outputs: [UnsafeMutablePointer<S>]
    ) {
      inWavefront(rows: layers.count, columns: layers[0].chunkCount) { layer, index in
        let direction = layers[layer]
        let places = direction.rows(index)
        let start = places.lowerBound * direction.inputSize
        var input = (layer == 0 ? rows : UnsafePointer(outputs[layer - 1])) + start
        if layer > 0, !masks.isEmpty {
          let memory = masked[layer - 1].elements
          multiply(
            input, by: masks[layer - 1], from: start, count: places.count * direction.inputSize,
            into: memory)
          input = UnsafePointer(memory)
        }
        direction.run(index, input: input, initial: initial, cells: cells, output: outputs[layer])
      }
    }
    withAddresses(of: &outputs) {
      run(rows: rows, initial: initial.h, cells: &states.c, outputs: $0)
    }
    return zip(outputs, layers).map { output, direction in
      direction.copyFinalState(from: output, to: &states)
      return (output, [direction.keptTrace])
    }
  }

  /// The steps of a chunk, where layers run concurrently.
  ///
  /// They run one after the other where a layer needs all of the one below (two directions) or something
  /// stands between them (normalisation, residual connections), and where there are more threads than
  /// layers and rows enough for them.
  func stepsInWavefront(_ schedule: Schedule, threads: Int) -> Int? {
    guard threads > 1, configuration.layerCount > 1, configuration.directionCount == 1,
      !configuration.residual, !configuration.layerNorm, schedule.rows > 0
    else { return nil }
    let (batch, steps, size) = (schedule.count(0), schedule.steps, configuration.stateSize)
    let matrix = configuration.cell.gateCount * configuration.hiddenSize * size
    // Two caches hold half each of a large matrix, which then goes faster through two threads for every
    // step of a single row.
    if batch == 1, threads == 2, hasLargeMatrices { return nil }
    guard schedule.rows * 2 * matrix >= workOfALayer else { return nil }
    let fewSteps = max((steps + 15) / 16, 12 / batch, workOfAChunk / (batch * 2 * matrix))
    let chunk = max(1, min(fewSteps, rowsPerChunk / batch))
    let chunks = (steps + chunk - 1) / chunk
    // The first and the last chunks of layers have nothing beside them. Few rows, shared among as many
    // threads, go half as fast as they should: each thread reads the matrices for less work.
    let (layers, isWide) = (min(threads, configuration.layerCount), batch >= 2 * threads)
    let pays =
      isWide ? layers == threads && chunks >= 8 : 2 * layers >= min(threads, batch) && chunks > 1
    return pays ? chunk : nil
  }
}

// What a wavefront is worth, in multiplications: about 40 microseconds and six.
private let workOfALayer = 3 << 19
private let workOfAChunk = 1 << 18

@_specialize(where S == Float)
@_specialize(where S == Double)
private func multiply<S: Scalar>(
  _ input: UnsafePointer<S>, by factors: [S], from start: Int, count: Int,
  into products: UnsafeMutablePointer<S>
) {
  for i in 0..<count { products[i] = input[i] * factors[start + i] }
}

/// Calls `body` with the addresses of the elements of all arrays, none of which is empty.
private func withAddresses<S>(
  of arrays: inout [[S]], following: [UnsafeMutablePointer<S>] = [],
  _ body: ([UnsafeMutablePointer<S>]) -> Void
) {
  guard var last = arrays.popLast() else { return body(following) }
  last.withUnsafeMutableBufferPointer {
    guard let address = $0.baseAddress else { return }
    withAddresses(of: &arrays, following: [address] + following, body)
  }
  arrays.append(last)
}
