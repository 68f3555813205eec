import RNNEngine
import Tensors

// Where a network is chaotic, the last bit of a state becomes its first within some tens of steps, and no
// two implementations agree for long. Its steps can be compared all the same: each from the reference's
// state before it, and each layer on the reference's states of the layer below. `states/h` is
// (T, L·D, N, S), `states/c` of an LSTM (T, L·D, N, H), time first whatever `batch_first` says; N is left
// out when unbatched, and zeros stand after the end of a ragged row.

extension FixtureRun {
  /// Every step of every layer and direction from the reference's states.
  func stateChecks() throws -> (checks: [Check], remark: String) {
    let configuration = model.rnn.configuration
    let isBatched = x.shape.count == 3
    let steps = x.shape.isEmpty ? 0 : x.shape[timeAxis]
    let batch = isBatched ? x.shape[1 - timeAxis] : 1
    let layers = configuration.layerCount * configuration.directionCount
    guard fixture.configuration.dropoutSeed == nil else {
      throw RecurrentError(
        .fixtureStates, at: "config key \"training\"", found: "true",
        expected: "evaluation mode: between layers in training, states are not what the next reads")
    }
    func expected(_ name: Name, _ width: Int) throws -> NDArray<S> {
      guard let tensor = fixture.states[name], tensor.dtype.isFloatingPoint else {
        throw RecurrentError(
          .fixtureMissing, at: "tensor \"states/\(name)\"",
          found: fixture.states[name]?.dtype.rawValue ?? "no such tensor",
          expected: "the state after every step, which the next step starts from")
      }
      let shape = [steps, layers] + (isBatched ? [batch] : []) + [width]
      guard tensor.shape == shape else {
        throw RecurrentError(
          .fixtureStates, at: "tensor \"states/\(name)\"",
          found: "shape \(tensor.shape)", expected: "\(shape)")
      }
      return try NDArray(tensor)
    }
    let h = try expected("h", configuration.stateSize)
    let c = configuration.cell.hasCellState ? try expected("c", configuration.hiddenSize) : nil
    // Also checks lengths and initial states.
    let free = try model.rnn(x, h0: h0, c0: c0, lengths: lengths).output
    let grid = StepGrid(
      steps: steps, batch: batch, layers: layers, directions: configuration.directionCount,
      lengths: lengths)
    var computed = (h: NDArray<S>(zeros: h.shape), c: c.map { NDArray<S>(zeros: $0.shape) })
    var input = grid.timeMajor(x, batchFirst: timeAxis == 1)
    for index in 0..<layers {
      let cell = try singleLayer(index)
      let result = try cell(
        NDArray(shape: [1, steps * batch, cell.configuration.inputSize], elements: input),
        h0: NDArray(
          shape: [1, steps * batch, configuration.stateSize],
          elements: grid.previous(h, h0, of: index)),
        c0: c.map {
          try NDArray(
            shape: [1, steps * batch, configuration.hiddenSize],
            elements: grid.previous($0, c0, of: index))
        })
      grid.place(result.hN.elements, of: index, in: &computed.h)
      if let cN = result.cN, var states = computed.c {
        grid.place(cN.elements, of: index, in: &states)
        computed.c = states
      }
      if (index + 1) % configuration.directionCount == 0 {
        input = grid.output(h, ofLayer: index / configuration.directionCount)
      }
    }
    var checks: [Check] = []
    for (name, states) in [("h", computed.h), ("c", computed.c)] {
      guard let tensor = fixture.states[Name(name)], let states else { continue }
      checks.append(
        try compare("states/\(name)", tensor, states, forwardTolerance, timeAxis: 0))
    }
    let size = input.count / max(1, steps)
    let freely = try NDArray(
      shape: [steps, size], elements: grid.timeMajor(free, batchFirst: timeAxis == 1))
    let deviation = try freely.deviation(from: NDArray(shape: [steps, size], elements: input))
    return (
      checks,
      "\(steps) steps, each from the reference's state; running freely, the outputs "
        + drift(deviation, per: "step")
    )
  }

  /// One layer and direction as a network of its own.
  private func singleLayer(_ index: Int) throws -> RNN<S> {
    var configuration = model.rnn.configuration
    let directions = configuration.directionCount
    let suffix = "_l\(index / directions)" + (index % directions == 1 ? "_reverse" : "")
    if index >= directions { configuration.inputSize = configuration.outputSize }
    configuration.layerCount = 1
    configuration.bidirectional = false
    configuration.batchFirst = false
    configuration.dropout = 0
    var parameters = Parameters<S>()
    for (name, array) in model.rnn.parameters.entries where name.hasSuffix(suffix) {
      parameters.append(String(name.dropLast(suffix.count)) + "_l0", array)
    }
    return try RNN(configuration, parameters: parameters)
  }
}

/// Every step of every row of a batch, as rows of one step: (T·N, …).
private struct StepGrid {
  let steps: Int
  let batch: Int
  let layers: Int
  let directions: Int
  let lengths: [Int]?

  /// The rows of an array in the caller's order of axes.
  func timeMajor<S: Scalar>(_ array: NDArray<S>, batchFirst: Bool) -> [S] {
    guard batchFirst, steps * batch > 0 else { return array.elements }
    let width = array.count / (steps * batch)
    var rows: [S] = []
    rows.reserveCapacity(array.count)
    for step in 0..<steps {
      for row in 0..<batch {
        let start = (row * steps + step) * width
        rows += array.elements[start..<start + width]
      }
    }
    return rows
  }

  /// The state before every step, taken from those after every step and the initial one.
  func previous<S: Scalar>(_ states: NDArray<S>, _ initial: NDArray<S>?, of index: Int) -> [S] {
    let width = states.shape[states.shape.count - 1]
    let isReverse = index % directions == 1
    var rows: [S] = []
    rows.reserveCapacity(steps * batch * width)
    for step in 0..<steps {
      for row in 0..<batch {
        let last = (lengths?[row] ?? steps) - 1
        let before = isReverse ? step + 1 : step - 1
        if before < 0 || before > last {
          let start = (index * batch + row) * width
          rows += initial?.elements[start..<start + width] ?? zeros(width)
        } else {
          let start = ((before * layers + index) * batch + row) * width
          rows += states.elements[start..<start + width]
        }
      }
    }
    return rows
  }

  /// Puts a layer and direction's new states where the fixture has them, and nothing after a row's end.
  func place<S: Scalar>(_ rows: [S], of index: Int, in states: inout NDArray<S>) {
    let width = states.shape[states.shape.count - 1]
    for step in 0..<steps {
      for row in 0..<batch where step < lengths?[row] ?? steps {
        let start = ((step * layers + index) * batch + row) * width
        let from = (step * batch + row) * width
        states.elements.replaceSubrange(start..<start + width, with: rows[from..<from + width])
      }
    }
  }

  /// A layer's output, its directions side by side: (T·N, D·S).
  func output<S: Scalar>(_ states: NDArray<S>, ofLayer layer: Int) -> [S] {
    let width = states.shape[states.shape.count - 1]
    var rows: [S] = []
    rows.reserveCapacity(steps * batch * directions * width)
    for step in 0..<steps {
      for row in 0..<batch {
        for direction in 0..<directions {
          let index = layer * directions + direction
          let start = ((step * layers + index) * batch + row) * width
          rows += states.elements[start..<start + width]
        }
      }
    }
    return rows
  }

  private func zeros<S: Scalar>(_ width: Int) -> ArraySlice<S> {
    [S](repeating: 0, count: width)[...]
  }
}

/// What follows "the outputs": how far two runs are apart, and how fast that grows.
func drift(_ deviation: (perStep: [Double], growth: Double), per step: String) -> String {
  let largest = deviation.perStep.max() ?? 0
  let factor = (deviation.growth * 1000).rounded() / 1000
  return "differ by up to \(rounded(largest)), growing by \(factor) per \(step)"
}

/// Two digits are enough to say how large something is.
private func rounded(_ value: Double) -> String {
  guard value > 0, value.isFinite else { return "\(value)" }
  var (mantissa, exponent) = (value, 0)
  while mantissa >= 9.95 { (mantissa, exponent) = (mantissa / 10, exponent + 1) }
  while mantissa < 0.995 { (mantissa, exponent) = (mantissa * 10, exponent - 1) }
  let digits = Int((mantissa * 10).rounded())
  return "\(digits / 10).\(digits % 10)e\(exponent)"
}
