import RNNEngine
import Tensors

extension Evidence {
  /// Dropout between two layers, established by its masks: the numbers that the second layer must have read are
  /// the first layer's times 0 or one factor, in every element of every step.
  ///
  /// What the second layer read is solved for step by step from the states that it wrote, which are known
  /// wherever its output is its state: two layers, one direction, no projection.
  func activeDropout(_ subject: String) -> Cause? {
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
    var factor: Double?
    var (zeros, kept, deviation) = (0, 0, 0.0)
    for row in 0..<batch {
      var h = baseline.h0.map { Array($0[(batch + row) * hidden..<(batch + row + 1) * hidden]) }
      var c = baseline.c0.map { Array($0[(batch + row) * hidden..<(batch + row + 1) * hidden]) }
      for step in 0..<steps {
        let below = ((step * 2) * batch + row) * hidden
        let read = Array(result.states[below..<below + hidden])
        let at = (step * batch + row) * hidden
        let target = Array(wanted[at..<at + hidden])
        (cell.h0, cell.c0) = (h, c)
        guard let mask = solvedMask(cell, read, target) else { return nil }
        for number in mask where number.magnitude > 0.2 {
          if factor == nil { factor = number }
        }
        var exact = read
        for unit in 0..<hidden {
          if mask[unit].magnitude < 0.05 {
            exact[unit] = 0
            zeros += 1
          } else {
            guard let factor, (mask[unit] / factor - 1).magnitude < 0.02 else { return nil }
            exact[unit] *= factor
            kept += 1
          }
        }
        cell.x = exact
        guard let after = cell.run() else { return nil }
        for (a, b) in zip(after.hN, target) {
          let distance = (a - b).magnitude
          guard distance <= expected.bound(b) else { return nil }
          deviation = max(deviation, distance)
        }
        h = target
        c = after.cN.isEmpty ? nil : after.cN
      }
    }
    guard zeros > 0, kept > 0, let factor, factor > 1.01 else { return nil }
    let rate = significant(1 - 1 / factor)
    return Cause(
      code: "dropout-active", tensor: nil,
      detail:
        "\(subject) are those of a network in training mode: between the layers \(zeros) of \(zeros + kept) numbers"
        + " are zero and the others times \(significant(factor)), dropout \(rate)",
      deviation: deviation)
  }

  /// What the numbers read must be multiplied with, one by one, for a step to end in a state: Newton's method.
  private func solvedMask(_ cell: Trial<Double>, _ read: [Double], _ target: [Double]) -> [Double]? {
    let count = read.count
    guard !read.contains(where: { $0.magnitude < 1e-9 }) else { return nil }
    var best: [Double]?
    for start in [1.0, 0.5, 2.0] {
      var mask = [Double](repeating: start, count: count)
      var error = Double.infinity
      for _ in 0..<40 {
        var trial = cell
        trial.x = zip(mask, read).map(*)
        guard let after = trial.run() else { return nil }
        let residual = zip(target, after.hN).map { $0 - $1 }
        error = residual.map(\.magnitude).max() ?? 0
        if error < 1e-13 { break }
        var rows = [[Double]](repeating: [Double](repeating: 0, count: count + 1), count: count)
        var dual = trial.dual
        for unit in 0..<count {
          dual.x[unit].tangent = read[unit]
          guard let result = dual.run() else { return nil }
          for other in 0..<count { rows[other][unit] = result.hN[other].tangent }
          dual.x[unit].tangent = 0
        }
        for unit in 0..<count { rows[unit][count] = residual[unit] }
        guard let step = solve(&rows) else { break }
        let largest = step.map(\.magnitude).max() ?? 0
        let damping = largest > 2 ? 2 / largest : 1
        for unit in 0..<count { mask[unit] += damping * step[unit] }
        if largest < 1e-12 { break }
      }
      if error < 1e-5 {
        best = mask
        break
      }
    }
    return best
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
