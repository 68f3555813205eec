import HostSystem

/// Numbers as the depth of a colour, such as output probabilities or states over time.
public struct HeatMap: Sendable {
  /// What colours mean.
  package enum Palette: Sendable {
    /// From 0 upwards, in one colour.
    case amount
    /// Positive and negative numbers in two colours.
    case signed
    /// Times a tolerance: up to 1 in one colour, above it by powers of ten in another.
    case tolerance
  }

  /// The title.
  public var title: String
  /// What the drawing says.
  public var description: String
  /// The names of the axes.
  public var axes: (x: String, y: String)
  /// One column per time step, each with one value per row.
  public var columns: [[Double]]
  /// Whether positive and negative numbers have two colours; otherwise one colour goes from 0 upwards.
  public var isSigned: Bool {
    get { palette == .signed }
    set { palette = newValue ? .signed : .amount }
  }
  package var palette: Palette
  /// The magnitude with the full colour; the largest one if `nil`.
  public var reach: Double?
  /// What the rows are called, such as classes; numbers if empty.
  public var rowNames: [String] = []
  /// What the columns are called; numbers if empty.
  public var columnNames: [String] = []
  /// The number of the first column and the first row, of a part of something larger.
  public var origin = (column: 0, row: 0)
  /// A cell with a frame around it.
  public var marked: (column: Int, row: Int)?

  /// Creates a map.
  public init(
    _ title: String, description: String, axes: (x: String, y: String), columns: [[Double]],
    isSigned: Bool = false, reach: Double? = nil
  ) {
    self.init(
      title, description: description, axes: axes, columns: columns,
      palette: isSigned ? .signed : .amount, reach: reach)
  }

  package init(
    _ title: String, description: String, axes: (x: String, y: String), columns: [[Double]],
    palette: Palette, reach: Double? = nil
  ) {
    self.title = title
    self.description = description
    self.axes = axes
    self.columns = columns
    self.palette = palette
    self.reach = reach
  }

  /// The drawing: rows from the top, columns from the left, and the scale above them.
  public var figure: Figure {
    let rows = columns.map(\.count).max() ?? 0
    let longest = min(12, rowNames.map(\.count).max() ?? 3)
    let (left, top, width) = (34 + Double(longest) * Extent.character, 56.0, Extent.width)
    let extent = max(96, min(330, Double(rows) * 15))
    let height = top + extent + 42
    let (right, bottom) = (width - 14, top + extent)
    let cell = (
      width: (right - left) / Double(max(1, columns.count)), height: extent / Double(max(1, rows))
    )
    // A gap between cells reads better, where there is room for one.
    let gap = min(cell.width, cell.height) > 6 ? 1.0 : 0
    let largest = reach ?? columns.joined().filter(\.isFinite).map(\.magnitude).max() ?? 0
    var text = caption(title, width: width) + scale(largest, from: left)
    for (step, column) in columns.enumerated() {
      for (row, value) in column.enumerated() {
        let (x, y) = (left + Double(step) * cell.width, top + Double(row) * cell.height)
        let (style, depth) = colour(value, largest)
        text +=
          "<rect class=\"\(style)\" x=\"\(number(x))\" y=\"\(number(y))\" width=\"\(number(cell.width - gap))\""
          + " height=\"\(number(cell.height - gap))\" fill-opacity=\"\(number(depth))\">"
          + "<title>\(escaped(axes.x)) \(escaped(columnName(step))), \(escaped(axes.y))"
          + " \(escaped(rowName(row))): \(label(value))</title></rect>"
      }
      text += "\n"
    }
    text += "<rect class=\"grid\" x=\"\(number(left))\" y=\"\(number(top))\""
    text += " width=\"\(number(right - left))\" height=\"\(number(bottom - top))\"/>\n"
    if let marked, marked.column < columns.count, marked.row < rows {
      text += "<rect class=\"frame\" x=\"\(number(left + Double(marked.column) * cell.width - 1))\""
      text += " y=\"\(number(top + Double(marked.row) * cell.height - 1))\""
      text +=
        " width=\"\(number(cell.width + 2 - gap))\" height=\"\(number(cell.height + 2 - gap))\"/>\n"
    }
    let widest = (0..<columns.count).map { columnName($0).count }.max() ?? 1
    for step in marks(columns.count, cell.width, needed: Double(widest) * Extent.character + 8) {
      let x = number(left + (Double(step) + 0.5) * cell.width)
      text += "<path class=\"tick\" d=\"M\(x) \(number(bottom))v4\"/>"
      text += "<text x=\"\(x)\" y=\"\(number(bottom + 17))\" text-anchor=\"middle\">"
      text += "\(escaped(columnName(step)))</text>"
    }
    for row in marks(rows, cell.height, needed: 13) {
      let y = number(top + (Double(row) + 0.5) * cell.height)
      text += "<path class=\"tick\" d=\"M\(number(left - 4)) \(y)h4\"/>"
      text += "<text x=\"\(number(left - 7))\" y=\"\(y)\" dy=\"4\" text-anchor=\"end\">"
      text += "\(escaped(shortened(rowName(row))))</text>"
    }
    text += "\n" + axisNames(axes.x, axes.y, left, right, top, bottom, height: height)
    return Figure(title, description, width: width, height: height, body: text)
  }

  private func rowName(_ row: Int) -> String {
    row < rowNames.count ? rowNames[row] : "\(origin.row + row)"
  }

  private func columnName(_ column: Int) -> String {
    column < columnNames.count ? shortened(columnNames[column]) : "\(origin.column + column)"
  }

  private func shortened(_ name: String) -> String {
    name.count > 12 ? name.prefix(11) + "…" : name
  }

  private func colour(_ value: Double, _ largest: Double) -> (style: String, depth: Double) {
    guard !value.isNaN else { return ("nothing", 0) }
    let share = value.isInfinite ? 1 : largest > 0 ? min(1, value.magnitude / largest) : 0
    switch palette {
    case .amount: return ("cell", 0.04 + 0.96 * (value < 0 ? 0 : share))
    case .signed: return (value < 0 ? "cell below" : "cell", 0.04 + 0.96 * share)
    case .tolerance where value <= 1: return ("cell within", 0.06 + 0.3 * value)
    case .tolerance:
      guard value.isFinite, largest > 1 else { return ("cell over", 1) }
      return ("cell over", 0.35 + 0.65 * min(1, log10(value) / log10(largest)))
    }
  }

  /// The scale of colours, between its ends in numbers.
  private func scale(_ largest: Double, from left: Double) -> String {
    let top = 30.0
    var parts: [(levels: [Double], name: String)]
    switch palette {
    case .amount: parts = [((0...8).map { Double($0) / 8 * largest }, label(largest))]
    case .signed: parts = [((-4...4).map { Double($0) / 4 * largest }, label(largest))]
    case .tolerance:
      parts = [([0, 0.5, 1], "1")]
      if largest > 1 {
        let powers = largest.isFinite ? log10(largest) : 1
        parts.append(((1...6).map { pow(10, powers * Double($0) / 6) }, label(largest)))
      }
    }
    var x = left
    func word(_ text: String) -> String {
      defer { x += Double(text.count) * Extent.character + 10 }
      return "<text x=\"\(number(x))\" y=\"\(number(top + 11))\">\(text)</text>"
    }
    var text = word(palette == .signed ? label(-largest) : "0")
    for part in parts {
      for level in part.levels {
        let (style, depth) = colour(level, largest)
        text += "<rect class=\"\(style)\" x=\"\(number(x))\" y=\"\(number(top))\""
        text += " width=\"12\" height=\"12\" fill-opacity=\"\(number(depth))\"/>"
        x += 12
      }
      x += 6
      text += word(part.name)
    }
    return text + "\n"
  }

  /// The cells that have room for a name of `needed` pixels.
  private func marks(_ count: Int, _ extent: Double, needed: Double) -> [Int] {
    guard count > 0 else { return [] }
    let steps = [1, 2, 5, 10, 20, 50, 100, 200, 500]
    let step = steps.first { Double($0) * extent >= needed } ?? (count / 4)
    return Array(stride(from: 0, to: count, by: max(1, step)))
  }
}
