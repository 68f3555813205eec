/// Lines over a common axis, such as errors or gradient norms over time steps.
public struct LineChart: Sendable {
  /// One line.
  public struct Series: Sendable {
    /// What the legend calls it.
    public var name: String
    /// Its values; what is not finite leaves a gap.
    public var values: [Double]
    /// Where they stand on the horizontal axis; 0, 1, … if empty.
    public var places: [Double]
    /// Whether the line is dashed, for one that may lie under another.
    public var isDashed = false
    /// Whether the line is wide and pale, so that another that lies on it hides nothing.
    public var isWide = false

    /// Creates a line.
    public init(
      _ name: String, _ values: [Double], at places: [Double] = [], isDashed: Bool = false,
      isWide: Bool = false
    ) {
      self.name = name
      self.values = values
      self.places = places
      self.isDashed = isDashed
      self.isWide = isWide
    }

    fileprivate var style: String { (isDashed ? " dashed" : "") + (isWide ? " wide" : "") }

    var points: [(x: Double, y: Double)] {
      values.enumerated().map { index, value in
        (index < places.count ? places[index] : Double(index), value)
      }
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
  /// A place on the horizontal axis to look at.
  public var mark: (name: String, place: Double)?
  /// From the lowest to the highest value around a place, drawn behind the lines.
  public var band: [(place: Double, low: Double, high: Double)] = []
  /// Whether the vertical axis begins at 0.
  public var includesZero = true

  /// Creates a chart.
  public init(
    _ title: String, description: String, axes: (x: String, y: String), series: [Series],
    limit: (name: String, value: Double)? = nil, isLogarithmic: Bool = false,
    mark: (name: String, place: Double)? = nil
  ) {
    self.title = title
    self.description = description
    self.axes = axes
    self.series = series
    self.limit = limit
    self.isLogarithmic = isLogarithmic
    self.mark = mark
  }

  /// The drawing, as wide as a phone's page.
  public var figure: Figure { figure(width: Extent.width) }

  /// The drawing in two widths, of which a page shows the one that fits.
  public var wideFigure: Figure {
    var figure = figure(width: Extent.double)
    figure.narrow = self.figure.inline
    return figure
  }

  private func figure(width: Double) -> Figure {
    let points = series.flatMap(\.points)
    let places = points.map(\.x) + band.map(\.place) + (mark.map { [$0.place] } ?? [])
    let values =
      points.map(\.y) + band.flatMap { [$0.low, $0.high] } + (limit.map { [$0.value] } ?? [])
    let (legend, lines) = legend(width)
    let frame = Frame(
      Scale(places.isEmpty ? [0, 1] : places, isTight: true),
      Scale(values, isLogarithmic: isLogarithmic, includesZero: includesZero), width: width,
      height: 222 + 16 * lines, top: 34 + 16 * lines)
    var text = frame.axes(title: title, xName: axes.x, yName: axes.y) + legend
    text += area(frame)
    for (index, line) in series.enumerated() { text += path(line, frame, colour(index)) }
    if let limit, let place = frame.y.place(limit.value) {
      let height = number(frame.bottom - place * (frame.bottom - frame.top))
      text +=
        "<path class=\"line limit\" d=\"M\(number(frame.left)) \(height)H\(number(frame.right))\"/>\n"
    }
    if let mark, let place = frame.x.place(mark.place) {
      let x = number(frame.left + place * (frame.right - frame.left))
      text +=
        "<path class=\"line mark\" d=\"M\(x) \(number(frame.top))V\(number(frame.bottom))\">"
        + "<title>\(escaped(mark.name))</title></path>\n"
    }
    return Figure(title, description, width: width, height: frame.height, body: text)
  }

  private func colour(_ index: Int) -> String { ["one", "two", "three"][index % 3] }

  /// What the lines are, in as many rows as they need.
  private func legend(_ width: Double) -> (text: String, rows: Double) {
    var entries = series.enumerated().map { index, line in
      (name: line.name, style: colour(index) + line.style)
    }
    if let limit { entries.append((limit.name, "limit")) }
    if let mark { entries.append((mark.name, "mark")) }
    // One line needs no legend: the vertical axis says what it is.
    guard entries.count > 1 else { return ("", 0) }
    var (text, x, row) = ("", 12.0, 0.0)
    for entry in entries {
      let extent = 40 + Double(entry.name.count) * Extent.character
      if x > 12, x + extent > width { (x, row) = (12, row + 1) }
      let y = 38 + row * 16
      text += "<path class=\"line \(entry.style)\" d=\"M\(number(x)) \(number(y - 4))h16\"/>"
      text += "<text x=\"\(number(x + 22))\" y=\"\(number(y))\">\(escaped(entry.name))</text>\n"
      x += extent
    }
    return (text, row + 1)
  }

  private func area(_ frame: Frame) -> String {
    let edges = band.compactMap { part -> (x: Double, low: Double, high: Double)? in
      guard let low = frame.place((part.place, part.low)),
        let high = frame.place((part.place, part.high))
      else { return nil }
      return (low.x, low.y, high.y)
    }
    guard let first = edges.first else { return "" }
    var d = "M\(number(first.x)) \(number(first.high))"
    for edge in edges.dropFirst() { d += "L\(number(edge.x)) \(number(edge.high))" }
    for edge in edges.reversed() { d += "L\(number(edge.x)) \(number(edge.low))" }
    return "<path class=\"band\" d=\"\(d)Z\"/>\n"
  }

  private func path(_ line: Series, _ frame: Frame, _ colour: String) -> String {
    var d = ""
    var isDrawing = false
    var dots = ""
    for (x, value) in line.points {
      guard let point = frame.place((x, value)) else {
        isDrawing = false
        continue
      }
      d += "\(isDrawing ? "L" : "M")\(number(point.x)) \(number(point.y))"
      isDrawing = true
      guard line.values.count <= 40 else { continue }
      dots +=
        "<circle class=\"dot \(colour)\(line.isWide ? " wide" : "")\" cx=\"\(number(point.x))\" cy=\"\(number(point.y))\""
        + " r=\"\(line.isWide ? 6 : 3)\">"
        + "<title>\(escaped(line.name)), \(escaped(axes.x)) \(label(x)): \(label(value))</title></circle>"
    }
    let style = colour + line.style
    return "<path class=\"line \(style)\" d=\"\(d)\"/>\n\(dots)\n"
  }
}
