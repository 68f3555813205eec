import Networks
import Tensors

/// What the numbers of a tensor look like, found in one pass that holds none of them.
package struct TensorStatistics: Sendable {
  /// The number of elements.
  package private(set) var count = 0
  /// The smallest finite element; infinity when there is none.
  package private(set) var minimum = Double.infinity
  /// The largest finite element; −infinity when there is none.
  package private(set) var maximum = -Double.infinity
  /// The mean of the finite elements; NaN when there is none.
  package private(set) var mean = Double.nan
  /// The number of NaNs.
  package private(set) var nanCount = 0
  /// The number of infinities.
  package private(set) var infinityCount = 0
  /// The Euclidean norm of the finite elements.
  package private(set) var norm = 0.0

  /// Whether there is a finite element: of none there is no smallest, no largest and no mean.
  package var hasNumbers: Bool { minimum <= maximum }

  /// Reads a floating-point, integer or bool tensor; integers beyond 53 bits are rounded.
  package init(_ tensor: Tensor) throws {
    var finite = 0
    // Scaled down, so that the sum of the largest numbers is finite; binary64 loses nothing by that but
    // subnormals, which do not count beside anything larger.
    var (sum, scaledSum) = (0.0, 0.0)
    var squares = (small: 0.0, medium: 0.0, large: 0.0)
    try tensor.forEachNumber { _, value in
      if value.isNaN {
        nanCount += 1
      } else if value.isInfinite {
        infinityCount += 1
      } else {
        finite += 1
        sum += value
        scaledSum += value * 0x1p-64
        squares.small += (value * 0x1p500) * (value * 0x1p500)
        squares.medium += value * value
        squares.large += (value * 0x1p-512) * (value * 0x1p-512)
        minimum = min(minimum, value)
        maximum = max(maximum, value)
      }
    }
    count = tensor.elementCount
    if squares.medium.isInfinite {
      norm = squares.large.squareRoot() * 0x1p512
    } else if squares.medium < 0x1p-900, squares.small.isFinite {
      norm = squares.small.squareRoot() * 0x1p-500
    } else {
      norm = squares.medium.squareRoot()
    }
    if finite > 0 {
      mean = sum.isFinite ? sum / Double(finite) : scaledSum / Double(finite) * 0x1p64
    }
  }
}

/// How the finite numbers of a tensor are spread from the smallest to the largest.
package struct Histogram: Sendable {
  /// The numbers in each of the equal intervals.
  package let counts: [Int]

  /// Reads a tensor again; `statistics` are its own.
  package init(_ tensor: Tensor, _ statistics: TensorStatistics, intervals: Int = 24) throws {
    var counts = [Int](repeating: 0, count: intervals)
    // Halved, because the largest numbers of both signs are further apart than any number is large.
    let (low, high) = (statistics.minimum / 2, statistics.maximum / 2)
    let width = (high - low) / Double(intervals)
    try tensor.forEachNumber { _, value in
      guard value.isFinite else { return }
      let place = width > 0 ? (value / 2 - low) / width : 0
      counts[min(intervals - 1, max(0, Int(place)))] += 1
    }
    self.counts = counts
  }

  /// One character per interval, as high as its share of the fullest one.
  ///
  /// `levels` are the characters from the lowest to the highest; an interval without numbers is blank.
  package func drawn(with levels: [Character] = Histogram.blocks) -> String {
    let fullest = Double(counts.max() ?? 0)
    return String(
      counts.map { count -> Character in
        guard count > 0 else { return " " }
        let level = Int((Double(count) / fullest * Double(levels.count)).rounded(.up)) - 1
        return levels[min(levels.count - 1, max(0, level))]
      })
  }

  /// Bars for terminals that know Unicode.
  package static let blocks: [Character] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"]
  /// Characters for all others.
  package static let letters: [Character] = [".", ":", "-", "=", "+", "*", "#", "@"]
}
