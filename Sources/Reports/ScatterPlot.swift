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
  /// The class of each point, which decides its colour and is written beside it; may be empty.
  public var classes: [String] = []
  /// Whether the points are one path, drawn from pale to deep.
  public var isPath: Bool
  /// Whether the unit circle is drawn, and both axes have one scale.
  public var hasUnitCircle: Bool

  /// So many names can be read beside their points.
  private static let namedPoints = 40
  private static let colours = ["one", "two", "three", "four", "five", "six"]

  /// Creates a plot.
  public init(
    _ title: String, description: String, axes: (x: String, y: String),
    points: [(x: Double, y: Double)], names: [String], classes: [String] = [],
    isPath: Bool = false, hasUnitCircle: Bool = false
  ) {
    self.title = title
    self.description = description
    self.axes = axes
    self.points = points
    self.names = names
    self.classes = classes
    self.isPath = isPath
    self.hasUnitCircle = hasUnitCircle
  }

  /// The drawing.
  public var figure: Figure {
    let frame: Frame
    if hasUnitCircle {
      let reach = max(1.05, (points.flatMap { [abs($0.x), abs($0.y)] }.max() ?? 1) * 1.05)
      let scale = Scale([-reach, reach])
      // As high as wide between the axes.
      frame = Frame(scale, scale, height: Extent.width + 2)
    } else {
      frame = Frame(Scale(points.map(\.x)), Scale(points.map(\.y)), height: 290)
    }
    var text = frame.axes(title: title, xName: axes.x, yName: axes.y)
    if hasUnitCircle, let centre = frame.place((0, 0)), let edge = frame.place((1, 1)) {
      text +=
        "<ellipse class=\"axis\" stroke-dasharray=\"4 4\" cx=\"\(number(centre.x))\" cy=\"\(number(centre.y))\""
        + " rx=\"\(number(edge.x - centre.x))\" ry=\"\(number(centre.y - edge.y))\"/>\n"
    }
    let places = points.enumerated().compactMap { index, point in
      frame.place(point).map { (index: index, x: $0.x, y: $0.y) }
    }
    if isPath {
      let d = places.enumerated().map {
        "\($0.offset == 0 ? "M" : "L")\(number($0.element.x)) \(number($0.element.y))"
      }
      text += "<path class=\"track\" d=\"\(d.joined())\"/>\n"
    }
    let kinds = kinds
    for (order, place) in places.enumerated() {
      let share = places.count > 1 ? Double(order) / Double(places.count - 1) : 1
      let depth = isPath ? 0.3 + 0.7 * share : 0.85
      let kind = place.index < classes.count ? kinds.firstIndex(of: classes[place.index]) : nil
      let colour = Self.colours[(kind ?? 0) % Self.colours.count]
      var name = place.index < names.count ? names[place.index] : "\(place.index)"
      if place.index < classes.count { name += ", \(classes[place.index])" }
      text +=
        "<circle class=\"dot \(colour)\" cx=\"\(number(place.x))\" cy=\"\(number(place.y))\" r=\"4.5\""
        + " fill-opacity=\"\(number(depth))\"><title>\(escaped(name))</title></circle>\n"
    }
    for (order, place) in places.enumerated() {
      guard let word = word(at: place.index, isFirst: order == 0, isLast: order == places.count - 1)
      else { continue }
      let isLate = place.x > frame.right - 12 - Double(word.count) * Extent.character
      let y = place.y - 5 > frame.top + 10 ? place.y - 5 : place.y + 14
      text +=
        "<text class=\"beside\" x=\"\(number(place.x + (isLate ? -8 : 8)))\" y=\"\(number(y))\""
        + " text-anchor=\"\(isLate ? "end" : "start")\">\(escaped(word))</text>\n"
    }
    return Figure(title, description, width: frame.width, height: frame.height, body: text)
  }

  /// The classes in the order in which they come.
  private var kinds: [String] {
    var seen: Set<String> = []
    return classes.filter { seen.insert($0).inserted }
  }

  /// What is written beside a point.
  private func word(at index: Int, isFirst: Bool, isLast: Bool) -> String? {
    let end = isPath ? (isFirst ? "first" : isLast ? "last" : nil) : nil
    guard index < classes.count, points.count <= Self.namedPoints || end != nil else { return end }
    return end.map { "\(classes[index]) (\($0))" } ?? classes[index]
  }
}
