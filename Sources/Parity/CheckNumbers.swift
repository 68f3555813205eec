/// Every number of one expected tensor beside the computed one.
package struct CheckNumbers: Sendable {
  package let shape: [Int]
  /// In row-major order, as `computed`.
  package let expected: [Double]
  package let computed: [Double]
  package let tolerance: Tolerance
  /// The largest magnitude of the expected numbers.
  let maximum: Double
  /// The axis of time steps or updates, if there is one.
  package let timeAxis: Int?
  /// What roundings explain, at every step of the time axis or in the whole tensor; empty where it was not asked.
  var rounding: [Double] = []

  /// The tolerance that one element used; above 1 it is too far apart.
  package func share(_ offset: Int) -> Double {
    tolerance.share(
      expected: expected[offset], computed: computed[offset], maximum: maximum,
      rounding: rounding.isEmpty ? 0 : rounding[step(offset)])
  }

  /// The step of an element; 0 without a time axis.
  func step(_ offset: Int) -> Int {
    guard let timeAxis else { return 0 }
    return offset / shape[(timeAxis + 1)...].reduce(1, *) % shape[timeAxis]
  }

  /// The largest share of the tolerance at every time step.
  package var shareByStep: [Double] {
    guard let timeAxis else { return [] }
    var result = [Double](repeating: 0, count: shape[timeAxis])
    for offset in expected.indices {
      let step = step(offset)
      result[step] = max(result[step], share(offset))
    }
    return result
  }

  /// Where the element with an index lies.
  package func offset(_ index: [Int]) -> Int {
    zip(index, shape).reduce(0) { $0 * $1.1 + $1.0 }
  }

  /// A part in which up to two axes vary and all other indices stay.
  package struct Part: Sendable {
    /// The offsets, column by column of a drawing.
    package let offsets: [[Int]]
    /// The numbers of the first column and row.
    package let origin: (column: Int, row: Int)
    /// The column and row of the element that the part is about.
    package let marked: (column: Int, row: Int)
  }

  /// The elements that differ from `index` in the two axes only; at most so many of each, around it.
  package func part(
    around index: [Int], columns: Int, rows: Int?, most: (columns: Int, rows: Int)
  ) -> Part {
    let horizontal = Self.window(index[columns], of: shape[columns], most: most.columns)
    let vertical = rows.map { Self.window(index[$0], of: shape[$0], most: most.rows) } ?? 0..<1
    let offsets = horizontal.map { column in
      vertical.map { row in
        var place = index
        place[columns] = column
        if let rows { place[rows] = row }
        return offset(place)
      }
    }
    return Part(
      offsets: offsets, origin: (horizontal.lowerBound, vertical.lowerBound),
      marked: (
        index[columns] - horizontal.lowerBound,
        rows.map { index[$0] - vertical.lowerBound } ?? 0
      ))
  }

  /// A range around a position, inside of 0..<count.
  static func window(_ position: Int, of count: Int, most: Int) -> Range<Int> {
    guard count > most else { return 0..<count }
    let start = min(max(0, position - most / 2), count - most)
    return start..<start + most
  }
}
