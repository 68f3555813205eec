import Tensors

/// How the caller's arrays are laid out, and how they map to the engine's time-major rows.
struct SequenceLayout: Sendable {
  let isBatched, batchFirst: Bool
  let schedule: Schedule
  let steps, batch: Int
  /// The caller's batch row of each row of the engine's states; `nil` if no lengths were given.
  let order: [Int]?
  private let configuration: RecurrentConfiguration

  /// Throws with PyTorch's wording unless `shape` is a valid input of the network.
  init(
    _ shape: [Int], count: Int, of configuration: RecurrentConfiguration, lengths: [Int]? = nil
  ) throws {
    self.configuration = configuration
    guard shape.count == 2 || shape.count == 3 else {
      throw RecurrentError(
        .engineInputRank, at: "x", found: "\(shape.count)-D input of shape \(shape)",
        asPyTorchSays:
          "Expected input to be 2D (unbatched) or 3D (batched), got \(shape.count)D instead"
      )
    }
    guard shape[shape.count - 1] == configuration.inputSize else {
      throw RecurrentError(
        .engineInputSize, at: "x", found: "input of shape \(shape)",
        asPyTorchSays: "input.size(-1) must be equal to input_size. "
          + "Expected \(configuration.inputSize), got \(shape[shape.count - 1])")
    }
    isBatched = shape.count == 3
    batchFirst = isBatched && configuration.batchFirst
    steps = shape[batchFirst ? 1 : 0]
    batch = isBatched ? shape[batchFirst ? 0 : 1] : 1
    guard steps > 0 else {
      throw RecurrentError(
        .engineSequenceLength, at: "x",
        found: "input of shape \(shape), with no time steps",
        asPyTorchSays: "Expected sequence length to be larger than 0 in RNN")
    }
    guard steps >= 0, batch >= 0, count == shape.reduce(1, *) else {
      throw RecurrentError(
        .engineShape, at: "x", found: "\(count) elements", expected: "shape \(shape)")
    }
    guard let lengths else {
      order = nil
      // An empty batch may claim any number of steps, and has no work in any of them.
      schedule = Schedule(steps: batch == 0 ? 1 : steps, batch: batch)
      return
    }
    guard isBatched else {
      throw RecurrentError(
        .engineLengths, at: "lengths", found: "lengths for a 2-D (unbatched) input",
        expected: "a 3-D (batched) input")
    }
    let packing = try Packing(lengths: lengths, batch: batch, steps: steps)
    order = packing.order
    schedule =
      batch == 0
      ? Schedule(steps: 1, batch: 0) : Schedule(batchSizes: packing.batchSizes, batch: batch)
  }

  private var statesPerRow: Int { configuration.layerCount * configuration.directionCount }

  private func stateShape(width: Int) -> [Int] {
    isBatched ? [statesPerRow, batch, width] : [statesPerRow, width]
  }

  /// The caller's shape of an array with `width` features at each time step.
  func shape(width: Int) -> [Int] {
    guard isBatched else { return [steps, width] }
    return batchFirst ? [batch, steps, width] : [steps, batch, width]
  }

  /// The states in the engine's order; throws unless they fit. Zeros where there are none.
  func states<S>(
    _ h: NDArray<S>?, _ c: NDArray<S>?,
    names: (h: String, c: String) = ("h0", "c0")
  ) throws -> States<S> {
    if c != nil, !configuration.cell.hasCellState {
      throw RecurrentError(
        .engineCellState, at: names.c,
        found: "a cell state for \(configuration.cell.rawValue)", expected: "none")
    }
    // PyTorch's names: hidden, or hidden[0] and hidden[1], and hx and cx.
    func ordered(
      _ state: NDArray<S>?, _ width: Int, _ what: String, _ hidden: String, _ short: String
    ) throws -> [S] {
      guard let state else { return [S](repeating: 0, count: statesPerRow * batch * width) }
      let shape = stateShape(width: width)
      guard state.shape.count == shape.count else {
        throw RecurrentError(
          .engineStateRank, at: what, found: "shape \(state.shape)",
          asPyTorchSays:
            "For \(isBatched ? "batched 3-D" : "unbatched 2-D") input, \(short) should "
            + "also be \(shape.count)-D but got \(state.shape.count)-D")
      }
      guard state.shape == shape, state.count == statesPerRow * batch * width else {
        throw RecurrentError(
          .engineStateShape, at: what,
          found: "shape \(state.shape) with \(state.count) elements",
          asPyTorchSays:
            "Expected \(hidden) size (\(shape.map(String.init).joined(separator: ", "))), "
            + "got \(state.shape)")
      }
      guard let order else { return state.elements }
      return reorder(state.elements, width) { order[$0] }
    }
    let hasCells = configuration.cell.hasCellState
    return States(
      h: try ordered(h, configuration.stateSize, names.h, hasCells ? "hidden[0]" : "hidden", "hx"),
      c: hasCells ? try ordered(c, configuration.hiddenSize, names.c, "hidden[1]", "cx") : [])
  }

  /// The engine's states in the caller's order and shape.
  func callerStates<S>(_ states: [S], width: Int) -> NDArray<S> {
    guard let order else { return NDArray(trusted: stateShape(width: width), states) }
    var place = order
    for (row, original) in order.enumerated() { place[original] = row }
    return NDArray(trusted: stateShape(width: width), reorder(states, width) { place[$0] })
  }

  private func reorder<S>(_ states: [S], _ width: Int, _ source: (Int) -> Int) -> [S] {
    var result: [S] = []
    result.reserveCapacity(states.count)
    for index in 0..<statesPerRow {
      for row in 0..<batch {
        let start = (index * batch + source(row)) * width
        result += states[start..<start + width]
      }
    }
    return result
  }

  func checkOutput<S>(_ array: NDArray<S>, _ what: String) throws {
    let expected = shape(width: configuration.outputSize)
    guard array.shape == expected, array.count == steps * batch * configuration.outputSize else {
      throw RecurrentError(
        .engineOutputShape, at: what, found: "\(what) of shape \(array.shape)",
        expected: "\(expected)")
    }
  }

  /// The caller's valid steps as rows, time step by time step.
  func rows<S>(_ array: NDArray<S>) -> [S] {
    guard order != nil else {
      return batchFirst ? array.exchangingLeadingAxes().elements : array.elements
    }
    let width = array.shape[2]
    var result: [S] = []
    result.reserveCapacity(schedule.rows * width)
    forEachRow { result += array.elements[$0 * width..<($0 + 1) * width] }
    return result
  }

  /// Rows in the caller's order and shape, zero where no step is valid.
  func callerOrder<S>(_ rows: [S], width: Int) -> NDArray<S> {
    guard order != nil else {
      return batchFirst
        ? NDArray(trusted: [steps, batch, width], rows).exchangingLeadingAxes()
        : NDArray(trusted: shape(width: width), rows)
    }
    var result = [S](repeating: 0, count: steps * batch * width)
    var start = 0
    forEachRow { row in
      for i in 0..<width { result[row * width + i] = rows[start + i] }
      start += width
    }
    return NDArray(trusted: shape(width: width), result)
  }

  /// Calls `body` with the caller's row number of every row of the engine.
  private func forEachRow(_ body: (Int) -> Void) {
    guard let order else { return }
    for step in 0..<schedule.steps {
      for row in order[..<schedule.count(step)] {
        body(batchFirst ? row * steps + step : step * batch + row)
      }
    }
  }
}
