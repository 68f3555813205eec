import Tensors

/// How the caller's arrays are laid out, and how they map to the engine's time-major rows.
struct SequenceLayout: Sendable, Equatable {
  let isBatched, batchFirst: Bool
  let schedule: Schedule
  let steps, batch: Int
  let inputSize, hiddenSize, stateCountPerRow, outputWidth: Int

  /// Throws with PyTorch's wording unless `shape` is a valid input of the network.
  init(_ shape: [Int], count: Int, of configuration: RecurrentConfiguration) throws {
    guard shape.count == 2 || shape.count == 3 else {
      throw RecurrentError(
        .malformed, "engine.input-rank", at: "x", found: "\(shape.count)-D input of shape \(shape)",
        expected: "2-D (unbatched) or 3-D (batched)")
    }
    guard shape[shape.count - 1] == configuration.inputSize else {
      throw RecurrentError(
        .malformed, "engine.input-size", at: "x",
        found: "input of shape \(shape), whose last axis is \(shape[shape.count - 1])",
        expected: "input_size \(configuration.inputSize)")
    }
    isBatched = shape.count == 3
    batchFirst = isBatched && configuration.batchFirst
    steps = shape[batchFirst ? 1 : 0]
    batch = isBatched ? shape[batchFirst ? 0 : 1] : 1
    guard steps > 0 else {
      throw RecurrentError(
        .malformed, "engine.sequence-length", at: "x",
        found: "input of shape \(shape), with no time steps",
        expected: "Expected sequence length to be larger than 0 in RNN")
    }
    guard steps >= 0, batch >= 0, count == shape.reduce(1, *) else {
      throw RecurrentError(
        .malformed, "engine.shape", at: "x", found: "\(count) elements", expected: "shape \(shape)")
    }
    // An empty batch may claim any number of steps, and has no work in any of them.
    schedule = Schedule(steps: batch == 0 ? 1 : steps, batch: batch)
    inputSize = configuration.inputSize
    hiddenSize = configuration.hiddenSize
    stateCountPerRow = configuration.layerCount * configuration.directionCount
    outputWidth = configuration.directionCount * configuration.hiddenSize
  }

  /// (L·D, N, H), or (L·D, H) if unbatched.
  var stateShape: [Int] {
    isBatched ? [stateCountPerRow, batch, hiddenSize] : [stateCountPerRow, hiddenSize]
  }

  var stateCount: Int { stateCountPerRow * batch * hiddenSize }

  /// The caller's shape of an array with `width` features at each time step.
  func shape(width: Int) -> [Int] {
    guard isBatched else { return [steps, width] }
    return batchFirst ? [batch, steps, width] : [steps, batch, width]
  }

  func checkState<S>(_ state: NDArray<S>, _ what: String) throws {
    guard state.shape.count == stateShape.count else {
      throw RecurrentError(
        .malformed, "engine.state-rank", at: what, found: "\(state.shape.count)-D \(what)",
        expected: isBatched ? "3-D for batched 3-D input" : "2-D for unbatched 2-D input")
    }
    guard state.shape == stateShape, state.count == stateCount else {
      throw RecurrentError(
        .malformed, "engine.state-shape", at: what, found: "\(what) \(state.shape)",
        expected: "\(stateShape)")
    }
  }

  func checkOutput<S>(_ array: NDArray<S>, _ what: String) throws {
    let expected = shape(width: outputWidth)
    guard array.shape == expected, array.count == steps * batch * outputWidth else {
      throw RecurrentError(
        .malformed, "engine.output-shape", at: what, found: "\(what) of shape \(array.shape)",
        expected: "\(expected)")
    }
  }

  func timeMajor<S>(_ array: NDArray<S>) -> [S] {
    batchFirst ? array.exchangingLeadingAxes().elements : array.elements
  }

  func callerOrder<S>(_ rows: [S], width: Int) -> NDArray<S> {
    if batchFirst {
      return NDArray(trusted: [steps, batch, width], rows).exchangingLeadingAxes()
    }
    return NDArray(trusted: shape(width: width), rows)
  }

  func sweep(_ configuration: RecurrentConfiguration, _ layer: Int, _ direction: Int) -> Sweep {
    Sweep(
      cell: configuration.cell, hiddenSize: hiddenSize, schedule: schedule,
      reversed: direction == 1, outputStride: outputWidth, outputOffset: direction * hiddenSize,
      stateOffset: (layer * configuration.directionCount + direction) * batch * hiddenSize)
  }
}
