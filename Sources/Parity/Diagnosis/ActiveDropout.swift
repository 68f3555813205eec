import RNNEngine
import Tensors

extension FixtureEvidence {
  /// Dropout between two layers, established by its masks: the numbers that the second layer must have read are
  /// the first layer's times 0 or one factor, in every element of every step.
  ///
  /// What the second layer read is solved for step by step from the states that it wrote, which are known
  /// wherever its output is its state: two layers, one direction, no projection.
  func activeDropout(_ subject: String, isLate: () -> Bool) -> Cause? {
    let configuration = baseline.configuration
    guard configuration.layerCount == 2, baseline.directions == 1, configuration.projSize == 0,
      baseline.lengths == nil, gradients.isEmpty, untried.isEmpty,
      let expected = outputs.first(where: { $0.name == "output" }),
      outputs.allSatisfy({ ["output", "h_n", "c_n"].contains($0.name) }),
      let result = baseline.run(),
      expected.shape == baseline.tensor("output", of: result, axes: 3)?.shape
    else { return nil }
    let (steps, batch, hidden) = (baseline.steps, baseline.batch, configuration.hiddenSize)
    guard hidden <= 128, steps * batch <= 4096 else { return nil }
    let wanted =
      baseline.timeAxis == 0
      ? expected.numbers
      : Trial<Double>.exchanged(expected.numbers, batch, steps, hidden)
    // The second layer alone.
    var layer = configuration
    (layer.layerCount, layer.inputSize, layer.batchFirst) = (1, hidden, false)
    var cell = Trial<Double>(
      configuration: layer, weights: Array(baseline.weights[5..<10]) + [[], []], classCount: 0,
      x: [], xShape: [1, hidden], timeAxis: 0, h0: nil, c0: nil, lengths: nil)
    cell.options = baseline.options
    cell.options.reads = .sequence
    let rates = [0.5, 0.1, 0.2, 0.25, 0.3, 0.05, 0.15, 0.35, 0.4, 0.6, 0.7, 0.75, 0.8, 0.9]
    let stated = run.fixture.configuration.dropout
    let factors = ((stated > 0 && stated < 1 ? [stated] : []) + rates).map { 1 / (1 - $0) }
    // A few units: every mask. More: the mask is solved for.
    for factor in hidden <= 10 ? factors.map(Optional.some) : [nil] {
      if let found = masked(
        cell, result, wanted, batch: batch, factor: factor, of: factors, bound: expected.bound,
        isLate: isLate)
      {
        guard explainsStates(found, result) else { return nil }
        return cause(found, subject)
      }
    }
    return nil
  }

  private struct Masked {
    var factor: Double
    var zeros = 0
    var kept = 0
    var deviation = 0.0
    /// The second layer's final states, row by row.
    var h: [Double] = []
    var c: [Double] = []
  }

  /// The second layer's steps with masks that explain them; `nil` where there are none.
  private func masked(
    _ start: Trial<Double>, _ result: TrialResult<Double>, _ wanted: [Double], batch: Int,
    factor given: Double?, of factors: [Double], bound: (Double) -> Double, isLate: () -> Bool
  ) -> Masked? {
    var cell = start
    let hidden = cell.configuration.hiddenSize
    var found = Masked(factor: given ?? 0)
    for row in 0..<batch {
      let own = (batch + row) * hidden..<(batch + row + 1) * hidden
      var h = baseline.h0.map { Array($0[own]) }
      var c = baseline.c0.map { Array($0[own]) }
      for step in 0..<baseline.steps {
        let below = ((step * 2) * batch + row) * hidden
        let read = Array(result.states[below..<below + hidden])
        let at = (step * batch + row) * hidden
        let target = Array(wanted[at..<at + hidden])
        (cell.h0, cell.c0) = (h, c)
        let exact: [Double]?
        if let given {
          exact = enumerated(cell, read, target, given)
        } else {
          exact = solved(
            cell, read, target, factors, &found.factor, bound: bound, isLate: isLate)
        }
        guard let exact else { return nil }
        cell.x = exact
        guard let after = cell.run() else { return nil }
        for (a, b) in zip(after.hN, target) {
          let distance = (a - b).magnitude
          guard distance <= bound(b) else { return nil }
          found.deviation = max(found.deviation, distance)
        }
        for (number, kept) in zip(read, exact) where number != 0 {
          if kept == 0 { found.zeros += 1 } else { found.kept += 1 }
        }
        h = target
        c = after.cN.isEmpty ? nil : after.cN
      }
      found.h += h ?? []
      found.c += c ?? []
    }
    return found
  }

  /// The best of all masks.
  private func enumerated(
    _ cell: Trial<Double>, _ read: [Double], _ target: [Double], _ factor: Double
  ) -> [Double] {
    var trial = cell
    var best = (error: Double.infinity, read: read)
    for mask in 0..<1 << read.count {
      trial.x = read.indices.map { mask >> $0 & 1 == 0 ? factor * read[$0] : 0 }
      guard let after = trial.run() else { break }
      let error = zip(after.hN, target).reduce(0) { max($0, ($1.0 - $1.1).magnitude) }
      if error < best.error { best = (error, trial.x) }
    }
    return best.read
  }

  /// What the second layer read, for many units: the factors that explain a step best, by Levenberg's and
  /// Marquardt's method, rounded to 0 and one factor as soon as these explain it.
  private func solved(
    _ cell: Trial<Double>, _ read: [Double], _ target: [Double], _ factors: [Double],
    _ factor: inout Double, bound: (Double) -> Double, isLate: () -> Bool
  ) -> [Double]? {
    let count = read.count
    var trial = cell
    func residual(_ mask: [Double]) -> [Double]? {
      trial.x = zip(mask, read).map(*)
      return trial.run().map { after in zip(target, after.hN).map { $0 - $1 } }
    }
    func square(_ numbers: [Double]) -> Double { numbers.reduce(0) { $0 + $1 * $1 } }
    var mask = [Double](repeating: 1, count: count)
    guard var now = residual(mask) else { return nil }
    var weight = 1e-3
    for _ in 0..<40 {
      if isLate() { return nil }
      for candidate in factor > 0 ? [factor] : factors {
        let exact = mask.map { $0 > candidate / 2 ? candidate : 0 }
        guard let rest = residual(exact) else { return nil }
        if zip(rest, target).allSatisfy({ $0.magnitude <= bound($1) }) {
          factor = candidate
          return zip(exact, read).map(*)
        }
      }
      trial.x = zip(mask, read).map(*)
      var dual = trial.dual
      var columns: [[Double]] = []
      for unit in 0..<count {
        dual.x[unit].tangent = read[unit]
        guard let result = dual.run() else { return nil }
        columns.append(result.hN.map(\.tangent))
        dual.x[unit].tangent = 0
      }
      let scale = columns.map(square).reduce(0, +) / Double(count)
      var isBetter = false
      for _ in 0..<8 where !isBetter {
        var rows = columns.indices.map { row in
          columns.indices.map { column in
            zip(columns[row], columns[column]).reduce(0) { $0 + $1.0 * $1.1 }
              + (row == column ? weight * scale : 0)
          } + [zip(columns[row], now).reduce(0) { $0 + $1.0 * $1.1 }]
        }
        guard let step = solve(&rows) else { return nil }
        let next = zip(mask, step).map { min(12, max(-1, $0 + $1)) }
        guard let rest = residual(next) else { return nil }
        isBetter = square(rest) < square(now)
        if isBetter { (mask, now) = (next, rest) }
        weight *= isBetter ? 0.1 : 10
      }
      if !isBetter { return nil }
    }
    return nil
  }

  /// Whether the final states are the first layer's own and those that the second ended in.
  private func explainsStates(_ found: Masked, _ result: TrialResult<Double>) -> Bool {
    for expected in outputs where expected.name != "output" {
      let isCell = expected.name == "c_n"
      let (below, above) = isCell ? (result.cN, found.c) : (result.hN, found.h)
      let states = below[..<(below.count / 2)] + above
      guard expected.compare(expected.shape, Array(states)).share <= 1 else { return false }
    }
    return true
  }

  private func cause(_ found: Masked, _ subject: String) -> Cause? {
    let (zeros, kept, factor) = (found.zeros, found.kept, found.factor)
    guard zeros > 0, kept > 0, factor > 1.01 else { return nil }
    let rate = significant(1 - 1 / factor)
    return Cause(
      code: "dropout-active", tensor: nil,
      detail:
        "\(subject) are those of a network in training mode: between the layers \(zeros) of \(zeros + kept) numbers"
        + " are zero and the others times \(significant(factor)), dropout \(rate)",
      deviation: found.deviation)
  }

  /// Gauss's elimination with pivots.
  private func solve(_ rows: inout [[Double]]) -> [Double]? {
    let count = rows.count
    for column in 0..<count {
      guard
        let pivot = (column..<count).max(by: {
          rows[$0][column].magnitude < rows[$1][column].magnitude
        }), rows[pivot][column].magnitude > 1e-14
      else { return nil }
      rows.swapAt(column, pivot)
      for row in 0..<count where row != column {
        let factor = rows[row][column] / rows[column][column]
        if factor == 0 { continue }
        for k in column...count { rows[row][k] -= factor * rows[column][k] }
      }
    }
    return (0..<count).map { rows[$0][count] / rows[$0][$0] }
  }
}
