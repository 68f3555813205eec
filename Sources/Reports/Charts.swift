/// Lines over a common axis, such as errors or gradient norms over time steps.
public struct LineChart: Sendable {
  /// One line.
  public struct Series: Sendable {
    /// What the legend calls it.
    public var name: String
    /// Its values at 0, 1, …; what is not finite leaves a gap.
    public var values: [Double]

    /// Creates a line.
    public init(_ name: String, _ values: [Double]) {
      self.name = name
      self.values = values
    }
  }

  /// The title.
  public var title: String
  /// What the drawing says, for those who cannot see it.
  public var description: String
  /// The names of the axes.
  public var axes: (x: String, y: String)
  /// The lines; the first three get colours of their own.
  public var series: [Series]
  /// A horizontal line that values should stay below.
  public var limit: (name: String, value: Double)?
  /// Whether the vertical axis is logarithmic.
  public var isLogarithmic: Bool

  /// Creates a chart.
  public init(
    _ title: String, description: String, axes: (x: String, y: String), series: [Series],
    limit: (name: String, value: Double)? = nil, isLogarithmic: Bool = false
  ) {
    self.title = title
    self.description = description
    self.axes = axes
    self.series = series
    self.limit = limit
    self.isLogarithmic = isLogarithmic
  }

  /// The drawing.
  public var figure: Figure {
    let steps = series.map(\.values.count).max() ?? 0
    let values = series.flatMap(\.values) + (limit.map { [$0.value] } ?? [])
    let frame = Frame(
      Scale([0, Double(max(1, steps - 1))]),
      Scale(values, isLogarithmic: isLogarithmic, includesZero: true), top: 62)
    var text = frame.axes(title: title, xName: axes.x, yName: axes.y)
    var legend = 64.0
    for (index, line) in series.enumerated() {
      let colour = ["one", "two", "three"][index % 3]
      text += path(line, frame, colour)
      text += "<path class=\"line \(colour)\" d=\"M\(number(legend)) 38h16\"/>"
      text += "<text x=\"\(number(legend + 22))\" y=\"42\">\(escaped(line.name))</text>\n"
      legend += 40 + Double(line.name.count) * 6.6
    }
    if let limit, let v = frame.y.place(limit.value) {
      let height = number(frame.bottom - v * (frame.bottom - frame.top))
      text +=
        "<path class=\"line limit\" d=\"M\(number(frame.left)) \(height)H\(number(frame.right))\"/>"
      text += "<path class=\"line limit\" d=\"M\(number(legend)) 38h16\"/>"
      text += "<text x=\"\(number(legend + 22))\" y=\"42\">\(escaped(limit.name))</text>\n"
    }
    return Figure(title, description, width: frame.width, height: frame.height, body: text)
  }

  private func path(_ line: Series, _ frame: Frame, _ colour: String) -> String {
    var d = ""
    var isDrawing = false
    var dots = ""
    for (step, value) in line.values.enumerated() {
      guard let point = frame.place((Double(step), value)) else {
        isDrawing = false
        continue
      }
      d += "\(isDrawing ? "L" : "M")\(number(point.x)) \(number(point.y))"
      isDrawing = true
      guard line.values.count <= 80 else { continue }
      dots +=
        "<circle class=\"dot \(colour)\" cx=\"\(number(point.x))\" cy=\"\(number(point.y))\" r=\"4\">"
        + "<title>\(escaped(line.name)), \(escaped(axes.x)) \(step): \(label(value))</title></circle>"
    }
    return "<path class=\"line \(colour)\" d=\"\(d)\"/>\n\(dots)\n"
  }
}

/// Values from 0 upwards as the depth of a colour, such as output probabilities over time; the largest
/// has the full colour.
public struct HeatMap: Sendable {
  /// The title.
  public var title: String
  /// What the drawing says.
  public var description: String
  /// The names of the axes.
  public var axes: (x: String, y: String)
  /// One column per time step, each with one value per row.
  public var columns: [[Double]]

  /// Creates a map.
  public init(
    _ title: String, description: String, axes: (x: String, y: String), columns: [[Double]]
  ) {
    self.title = title
    self.description = description
    self.axes = axes
    self.columns = columns
  }

  /// The drawing: rows from the top, columns from the left, and the scale beside them.
  public var figure: Figure {
    let rows = columns.map(\.count).max() ?? 0
    let (left, top, width) = (64.0, 40.0, 480.0)
    let height = max(160, min(480, Double(rows) * 18)) + 84
    let (right, bottom) = (width - 86, height - 44)
    let cell = (
      (right - left) / Double(max(1, columns.count)), (bottom - top) / Double(max(1, rows))
    )
    // A gap between cells reads better, where there is room for one.
    let gap = min(cell.0, cell.1) > 6 ? 1.0 : 0
    var text = "<text class=\"name\" x=\"12\" y=\"20\">\(escaped(title))</text>\n"
    let largest = columns.joined().filter(\.isFinite).max() ?? 0
    for (step, column) in columns.enumerated() {
      for (row, value) in column.enumerated() {
        let (x, y) = (left + Double(step) * cell.0, top + Double(row) * cell.1)
        let depth = value.isFinite && largest > 0 ? max(0, value) / largest : 0
        text +=
          "<rect class=\"cell\" x=\"\(number(x))\" y=\"\(number(y))\" width=\"\(number(cell.0 - gap))\""
          + " height=\"\(number(cell.1 - gap))\" fill-opacity=\"\(number(0.04 + 0.96 * depth))\">"
          + "<title>\(escaped(axes.x)) \(step), \(escaped(axes.y)) \(row): \(label(value))</title></rect>"
      }
      text += "\n"
    }
    text += "<rect class=\"grid\" x=\"\(number(left))\" y=\"\(number(top))\""
    text += " width=\"\(number(right - left))\" height=\"\(number(bottom - top))\"/>\n"
    for step in marks(columns.count) {
      text +=
        "<text x=\"\(number(left + (Double(step) + 0.5) * cell.0))\" y=\"\(number(bottom + 16))\""
        + " text-anchor=\"middle\">\(step)</text>"
    }
    for row in marks(rows) {
      text +=
        "<text x=\"\(number(left - 6))\" y=\"\(number(top + (Double(row) + 0.5) * cell.1))\""
        + " dy=\"4\" text-anchor=\"end\">\(row)</text>"
    }
    for level in 0...10 {
      let y = bottom - Double(level + 1) * (bottom - top) / 11
      text +=
        "<rect class=\"cell\" x=\"\(number(right + 14))\" y=\"\(number(y))\" width=\"12\""
        + " height=\"\(number((bottom - top) / 11))\" fill-opacity=\"\(number(0.04 + 0.096 * Double(level)))\"/>"
    }
    text += "<text x=\"\(number(right + 32))\" y=\"\(number(top + 10))\">\(label(largest))</text>"
    text += "<text x=\"\(number(right + 32))\" y=\"\(number(bottom))\">0</text>\n"
    text +=
      "<text x=\"\(number((left + right) / 2))\" y=\"\(number(height - 8))\" text-anchor=\"middle\">"
      + "\(escaped(axes.x))</text>\n"
    let half = number((top + bottom) / 2)
    text +=
      "<text x=\"14\" y=\"\(half)\" text-anchor=\"middle\" transform=\"rotate(-90 14 \(half))\">"
      + "\(escaped(axes.y))</text>\n"
    return Figure(title, description, width: width, height: height, body: text)
  }

  private func marks(_ count: Int) -> [Int] {
    guard count > 0 else { return [] }
    let step = [1, 2, 5, 10, 20, 50, 100, 200, 500].first { count / $0 <= 12 } ?? (count / 10)
    return Array(stride(from: 0, to: count, by: max(1, step)))
  }
}

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
      height: 220)
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

/// Points in the plane: a path through states, or the eigenvalues of a matrix.
public struct ScatterPlot: Sendable {
  /// The title.
  public var title: String
  /// What the drawing says.
  public var description: String
  /// The names of the axes.
  public var axes: (x: String, y: String)
  /// The points.
  public var points: [(x: Double, y: Double)]
  /// What each point is, one per point.
  public var names: [String]
  /// Whether the points are one path, drawn from pale to deep.
  public var isPath: Bool
  /// Whether the unit circle is drawn, and both axes have one scale.
  public var hasUnitCircle: Bool

  /// Creates a plot.
  public init(
    _ title: String, description: String, axes: (x: String, y: String),
    points: [(x: Double, y: Double)], names: [String], isPath: Bool = false,
    hasUnitCircle: Bool = false
  ) {
    self.title = title
    self.description = description
    self.axes = axes
    self.points = points
    self.names = names
    self.isPath = isPath
    self.hasUnitCircle = hasUnitCircle
  }

  /// The drawing.
  public var figure: Figure {
    let frame: Frame
    if hasUnitCircle {
      let reach = max(1.05, (points.flatMap { [abs($0.x), abs($0.y)] }.max() ?? 1) * 1.05)
      let scale = Scale([-reach, reach])
      frame = Frame(scale, scale, width: 400, height: 408)
    } else {
      frame = Frame(Scale(points.map(\.x)), Scale(points.map(\.y)), height: 340)
    }
    var text = frame.axes(title: title, xName: axes.x, yName: axes.y)
    if hasUnitCircle, let centre = frame.place((0, 0)), let edge = frame.place((1, 1)) {
      text +=
        "<ellipse class=\"axis\" stroke-dasharray=\"4 4\" cx=\"\(number(centre.x))\" cy=\"\(number(centre.y))\""
        + " rx=\"\(number(edge.x - centre.x))\" ry=\"\(number(centre.y - edge.y))\"/>\n"
    }
    let places = points.compactMap { frame.place($0) }
    if isPath {
      let d = places.enumerated().map {
        "\($0.offset == 0 ? "M" : "L")\(number($0.element.x)) \(number($0.element.y))"
      }
      text += "<path class=\"track\" d=\"\(d.joined())\"/>\n"
    }
    for (index, point) in places.enumerated() {
      let share = places.count > 1 ? Double(index) / Double(places.count - 1) : 1
      let depth = isPath ? 0.25 + 0.75 * share : 0.85
      text +=
        "<circle class=\"dot one\" cx=\"\(number(point.x))\" cy=\"\(number(point.y))\" r=\"5\""
        + " fill-opacity=\"\(number(depth))\"><title>"
        + escaped(index < names.count ? names[index] : "\(index)") + "</title></circle>\n"
    }
    if isPath, let first = places.first, let last = places.last {
      for (point, word) in [(first, "first"), (last, "last")] {
        let before = point.x > frame.right - 50
        text +=
          "<text x=\"\(number(point.x + (before ? -9 : 9)))\" y=\"\(number(point.y - 8))\""
          + " text-anchor=\"\(before ? "end" : "start")\">\(word)</text>\n"
      }
    }
    return Figure(title, description, width: frame.width, height: frame.height, body: text)
  }
}
