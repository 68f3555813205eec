/// How numbers are spread, as bars of equal intervals.
public struct HistogramChart: Sendable {
  /// The title.
  public var title: String
  /// The numbers in each of the equal intervals.
  public var counts: [Int]
  /// From where to where the intervals go.
  public var range: (low: Double, high: Double)

  /// Creates a chart.
  public init(_ title: String, counts: [Int], range: (low: Double, high: Double)) {
    self.title = title
    self.counts = counts
    self.range = range
  }

  /// The drawing.
  public var figure: Figure {
    let width = (range.high - range.low) / Double(max(1, counts.count))
    let frame = Frame(
      Scale([range.low, range.high]), Scale(counts.map { Double($0) }, includesZero: true),
      height: 200)
    var text = frame.axes(title: title, xName: "value", yName: "elements")
    for (index, count) in counts.enumerated() where count > 0 {
      let start = range.low + Double(index) * width
      guard let a = frame.place((start, Double(count))), let b = frame.place((start + width, 0))
      else { continue }
      text +=
        "<rect class=\"bar\" x=\"\(number(a.x + 0.5))\" y=\"\(number(a.y))\""
        + " width=\"\(number(max(1, b.x - a.x - 1)))\" height=\"\(number(b.y - a.y))\" rx=\"1\">"
        + "<title>\(label(start)) to \(label(start + width)): \(count)</title></rect>\n"
    }
    let total = counts.reduce(0, +)
    return Figure(
      title,
      "Histogram of \(total) numbers from \(label(range.low)) to \(label(range.high)).",
      width: frame.width, height: frame.height, body: text)
  }
}
