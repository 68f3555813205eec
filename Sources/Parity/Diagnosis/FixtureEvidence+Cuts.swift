import RNNEngine
import Tensors

// Most hypotheses are wrong, and most of these in the first step of any row. So they are held against one step,
// then three, of one row, before they are run as a whole; a network that looks ahead needs its whole row.

extension FixtureEvidence {
  typealias Cut = (trial: Trial<Double>, outputs: [ExpectedNumbers])

  /// What the engine computes, time first; of every step's states, what the reference computes.
  static func result(
    _ run: FixtureRun<Double>, _ trial: Trial<Double>, _ outputs: [ExpectedNumbers]
  ) throws -> TrialResult<Double>? {
    if outputs.contains(where: { $0.name == "states/h" }) { return trial.run() }
    guard trial.isConsistent else { return nil }
    let (engine, logits) = try run.forward()
    let isSequence = trial.options.reads == .sequence
    return TrialResult(
      output: trial.timeMajor(engine.output.elements, trial.configuration.outputSize),
      hN: engine.hN.elements, cN: engine.cN?.elements ?? [],
      logits: logits.map {
        isSequence ? trial.timeMajor($0.elements, trial.classCount) : $0.elements
      } ?? [], states: [])
  }

  /// The row that deviates most in the first steps, or the shortest where rows are run as a whole.
  static func firstRow(
    _ trial: Trial<Double>, _ outputs: [ExpectedNumbers], _ result: TrialResult<Double>
  ) -> Int {
    guard trial.directions == 1,
      let first = outputs.first(where: { isSequence($0, trial) }),
      let (_, computed) = trial.tensor(first.name, of: result, axes: first.shape.count)
    else {
      return trial.lengths.flatMap { lengths in
        lengths.indices.min { lengths[$0] < lengths[$1] }
      } ?? 0
    }
    var worst = (row: 0, distance: -1.0)
    for row in 0..<trial.batch {
      let distance = offsets(first.shape, trial, min(3, trial.steps), row).reduce(0.0) {
        max($0, (first.numbers[$1] - computed[$1]).magnitude)
      }
      if distance > worst.distance { worst = (row, distance) }
    }
    return worst.row
  }

  /// Whether a changed network can explain the first steps of a row.
  func survivesCuts(_ trial: Trial<Double>) -> Bool {
    guard trial.isConsistent else { return false }
    for steps in [1, 3] {
      guard let cut = cut(trial, steps: steps, row: firstRow) else { continue }
      if steps > 1, let lowest = firstLayer(cut), Self.share(lowest).map({ $0 <= 1 }) != true {
        return false
      }
      guard let share = Self.share(cut), share <= 1 else { return false }
    }
    return true
  }

  /// The first layer of a network that looks ahead, whose final states need none of the others.
  private func firstLayer(_ cut: Cut) -> Cut? {
    let trial = cut.trial
    guard trial.directions == 2, trial.configuration.layerCount > 1,
      !trial.options.statesByDirection, !trial.options.statesLastLayerFirst,
      let states = cut.outputs.first(where: { $0.name == "h_n" })
    else { return nil }
    var configuration = trial.configuration
    configuration.layerCount = 1
    var layer = Trial<Double>(
      configuration: configuration, weights: Array(trial.weights[..<10]) + [[], []], classCount: 0,
      x: trial.x, xShape: trial.xShape, timeAxis: trial.timeAxis,
      h0: trial.h0.map { Array($0[..<($0.count / trial.blockCount * 2)]) },
      c0: trial.c0.map { Array($0[..<($0.count / trial.blockCount * 2)]) }, lengths: trial.lengths)
    layer.options = trial.options
    var shape = states.shape
    shape[0] = 2
    let expected = ExpectedNumbers(
      name: "h_n", shape: shape, numbers: Array(states.numbers[..<shape.reduce(1, *)]),
      allowed: states.allowed, relative: states.relative)
    return (layer, [expected])
  }

  /// How much of what rounding explains a cut uses.
  static func share(_ cut: Cut) -> Double? {
    guard let result = cut.trial.run() else { return nil }
    var share = 0.0
    for expected in cut.outputs {
      guard
        let (shape, computed) = cut.trial.tensor(
          expected.name, of: result, axes: expected.shape.count)
      else { return nil }
      share = max(share, expected.compare(shape, computed).share)
    }
    return share
  }

  /// The first steps of one row, or all of it in a network that looks ahead; `nil` where that is no less work,
  /// or where shapes do not let it be.
  func cut(_ trial: Trial<Double>, steps most: Int, row: Int) -> Cut? {
    let row = min(row, trial.batch - 1)
    guard !trial.options.exchangesOutput else { return nil }
    let bySteps = trial.directions == 1 && outputs.contains { Self.isSequence($0, trial) }
    let steps = bySteps ? min(most, trial.steps) : trial.steps
    guard bySteps || trial.batch > 1 && most > 1 else { return nil }
    var kept: [ExpectedNumbers] = []
    for expected in outputs {
      var shape = expected.shape
      let offsets: [Int]
      let width = shape.last ?? 1
      if Self.isSequence(expected, trial) {
        offsets = Self.offsets(shape, trial, steps, row)
        shape[trial.timeAxis] = steps
        if trial.isBatched { shape[1 - trial.timeAxis] = 1 }
      } else if bySteps || !trial.isBatched {
        continue
      } else if expected.name == "h_n" || expected.name == "c_n" {
        guard shape.count == 3, shape[0] == trial.blockCount, shape[1] == trial.batch else {
          return nil
        }
        offsets = (0..<shape[0]).flatMap { block in
          let start = (block * trial.batch + row) * width
          return Array(start..<start + width)
        }
        shape[1] = 1
      } else if expected.name == "logits", shape.count == 2, shape[0] == trial.batch {
        offsets = Array(row * width..<(row + 1) * width)
        shape[0] = 1
      } else {
        continue
      }
      kept.append(
        ExpectedNumbers(
          name: expected.name, shape: shape, numbers: offsets.map { expected.numbers[$0] },
          allowed: expected.allowed, relative: expected.relative))
    }
    return kept.isEmpty ? nil : (trial.cut(steps: steps, rows: [row]), kept)
  }

  /// Whether a tensor is over the time and the batch of a trial.
  private static func isSequence(_ expected: ExpectedNumbers, _ trial: Trial<Double>) -> Bool {
    let width: Int
    switch expected.name {
    case "output": width = trial.configuration.outputSize
    case "logits" where trial.options.reads == .sequence: width = trial.classCount
    default: return false
    }
    var shape = trial.xShape
    shape[shape.count - 1] = width
    return expected.shape == shape
  }

  /// Where the numbers of a row's first steps lie; in an output that is turned, the last ones.
  private static func offsets(
    _ shape: [Int], _ trial: Trial<Double>, _ count: Int, _ row: Int
  ) -> [Int] {
    let width = shape.last ?? 1
    let length = trial.lengths?[row] ?? trial.steps
    let first = trial.options.turnsOutput ? length - min(length, count) : 0
    return (0..<count).flatMap { step -> [Int] in
      let at = min(first + step, trial.steps - 1)
      let place = trial.timeAxis == 1 ? row * trial.steps + at : at * trial.batch + row
      return Array(place * width..<(place + 1) * width)
    }
  }

  /// Whether the reference computes what the engine does: on a row, or the first steps of one.
  func agreesWithEngine() -> Bool {
    let row = min(firstRow, baseline.batch - 1)
    let steps = baseline.directions == 1 ? min(3, baseline.steps) : baseline.steps
    let cut = baseline.cut(steps: steps, rows: [row])
    guard let result = cut.run() else { return false }
    let width = baseline.configuration.outputSize
    for step in 0..<steps {
      for unit in 0..<width {
        let engine = baselineResult.output[(step * baseline.batch + row) * width + unit]
        let own = result.output[step * width + unit]
        guard
          (engine - own).magnitude <= 1e-9 * max(1, engine.magnitude) || engine == own
            || engine.isNaN || own.isNaN
        else { return false }
      }
    }
    return true
  }
}
