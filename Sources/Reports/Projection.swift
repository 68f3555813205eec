import Bytes
import HostSystem
import RNNEngine

/// Points of many dimensions laid out in two.
package enum Projection {
  /// The two directions in which the points differ most, and the share of the variance in each.
  ///
  /// Rows are points. The sign of a direction is such that its largest component is positive.
  package static func principalComponents(
    _ rows: [[Double]]
  ) -> (points: [(x: Double, y: Double)], shares: (Double, Double)) {
    let centred = self.centred(rows)
    let total = centred.reduce(0) { $0 + $1.reduce(0) { $0 + $1 * $1 } }
    guard total > 0, total.isFinite else { return (rows.map { _ in (0, 0) }, (0, 0)) }
    let first = direction(centred, orthogonalTo: [])
    let second = direction(centred, orthogonalTo: [first])
    func scores(_ axis: [Double]) -> [Double] { centred.map { dot($0, axis) } }
    let (a, b) = (scores(first), scores(second))
    return (zip(a, b).map { ($0, $1) }, (dot(a, a) / total, dot(b, b) / total))
  }

  /// t-SNE (van der Maaten and Hinton, 2008), exact, from the principal components: neighbours stay
  /// neighbours, distances mean little. The same points give the same picture.
  ///
  /// The time is that of the square of the number of points; 400 are quick.
  package static func tSNE(
    _ rows: [[Double]], perplexity: Double = 15, seed: Int = 0, iterations: Int = 500
  ) -> [(x: Double, y: Double)] {
    let n = rows.count
    guard n > 3 else { return principalComponents(rows).points }
    let p = affinities(rows, perplexity: min(perplexity, Double(n - 1) / 3))
    let start = principalComponents(rows).points
    let reach = start.map { max(abs($0.x), abs($0.y)) }.max() ?? 1
    var generator = TorchGenerator(seed: seed)
    // Points that coincide need different noise to come apart.
    var y = start.map { point in
      [point.x, point.y].map {
        $0 / max(reach, 1e-300) * 1e-2 + (generator.nextDouble() - 0.5) * 1e-4
      }
    }
    var velocity = [[Double]](repeating: [0, 0], count: n)
    var gains = [[Double]](repeating: [1, 1], count: n)
    for iteration in 0..<iterations {
      let exaggeration = iteration < iterations / 4 ? 4.0 : 1
      let slopes = gradient(p, y, exaggeration)
      let momentum = iteration < iterations / 4 ? 0.5 : 0.8
      for i in 0..<n {
        for k in 0..<2 {
          let isTurning = (slopes[i][k] > 0) != (velocity[i][k] > 0)
          gains[i][k] = max(0.01, isTurning ? gains[i][k] + 0.2 : gains[i][k] * 0.8)
          velocity[i][k] = momentum * velocity[i][k] - Double(n) / 3 * gains[i][k] * slopes[i][k]
          y[i][k] += velocity[i][k]
        }
      }
      let centre = (0..<2).map { k in y.reduce(0) { $0 + $1[k] } / Double(n) }
      for i in 0..<n { for k in 0..<2 { y[i][k] -= centre[k] } }
    }
    return y.map { ($0[0], $0[1]) }
  }

  private static func dot(_ a: [Double], _ b: [Double]) -> Double {
    zip(a, b).reduce(0) { $0 + $1.0 * $1.1 }
  }

  private static func centred(_ rows: [[Double]]) -> [[Double]] {
    guard let width = rows.first?.count else { return [] }
    let means = (0..<width).map { k in rows.reduce(0) { $0 + $1[k] } / Double(rows.count) }
    return rows.map { row in (0..<width).map { row[$0] - means[$0] } }
  }

  // Power iteration on the covariance, which is never formed.
  private static func direction(_ rows: [[Double]], orthogonalTo others: [[Double]]) -> [Double] {
    let width = rows[0].count
    // Irregular, so that it is orthogonal to nothing in particular.
    var axis = (0..<width).map { sin(Double($0) * 1.7 + 1) + 0.1 }
    for _ in 0..<300 {
      for other in others {
        let share = dot(axis, other)
        for k in 0..<width { axis[k] -= share * other[k] }
      }
      let scores = rows.map { dot($0, axis) }
      var next = [Double](repeating: 0, count: width)
      for (row, score) in zip(rows, scores) { for k in 0..<width { next[k] += score * row[k] } }
      let length = dot(next, next).squareRoot()
      // What is left has no extent.
      guard length > 1e-300 else { return [Double](repeating: 0, count: width) }
      axis = next.map { $0 / length }
    }
    let largest = axis.max { abs($0) < abs($1) } ?? 1
    return largest < 0 ? axis.map { -$0 } : axis
  }

  /// Symmetric affinities whose rows have the perplexity that was asked for.
  private static func affinities(_ rows: [[Double]], perplexity: Double) -> [[Double]] {
    let n = rows.count
    var p = [[Double]](repeating: [Double](repeating: 0, count: n), count: n)
    for i in 0..<n {
      let distances = rows.map { row in
        zip(row, rows[i]).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
      }
      var (low, high, beta) = (0.0, Double.infinity, 1.0)
      let nearest = distances.enumerated().filter { $0.offset != i }.map(\.element).min() ?? 0
      for _ in 0..<60 {
        var (sum, moment) = (0.0, 0.0)
        for j in 0..<n where j != i {
          p[i][j] = exp(-(distances[j] - nearest) * beta)
          sum += p[i][j]
          moment += p[i][j] * (distances[j] - nearest)
        }
        for j in 0..<n { p[i][j] /= sum }
        let entropy = log(sum) + beta * moment / sum
        if abs(entropy - log(perplexity)) < 1e-5 { break }
        if entropy > log(perplexity) { low = beta } else { high = beta }
        beta = high.isInfinite ? beta * 2 : (low + high) / 2
      }
    }
    return (0..<n).map { i in
      (0..<n).map { j in max(1e-12, (p[i][j] + p[j][i]) / Double(2 * n)) }
    }
  }

  private static func gradient(
    _ p: [[Double]], _ y: [[Double]], _ exaggeration: Double
  ) -> [[Double]] {
    let n = y.count
    var kernel = [[Double]](repeating: [Double](repeating: 0, count: n), count: n)
    var sum = 0.0
    for i in 0..<n {
      for j in 0..<n where j != i {
        let (dx, dy) = (y[i][0] - y[j][0], y[i][1] - y[j][1])
        kernel[i][j] = 1 / (1 + dx * dx + dy * dy)
        sum += kernel[i][j]
      }
    }
    return (0..<n).map { i in
      var slope = [0.0, 0.0]
      for j in 0..<n where j != i {
        let force = 4 * (exaggeration * p[i][j] - kernel[i][j] / sum) * kernel[i][j]
        slope[0] += force * (y[i][0] - y[j][0])
        slope[1] += force * (y[i][1] - y[j][1])
      }
      return slope
    }
  }
}
