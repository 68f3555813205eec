/// A page of tables and drawings as one file of HTML that fetches nothing and runs nothing.
///
/// Light and dark as the reader's system is, in one column on a narrow screen; tables are tables. The
/// file is well-formed XML too.
public struct Page: Sendable {
  private let title: String
  private var body = ""

  /// Creates a page with its heading.
  public init(_ title: String) { self.title = title }

  /// Adds a line of text under the heading or in a section.
  public mutating func note(_ text: String) {
    body += "<p class=\"note\">\(escaped(text))</p>\n"
  }

  /// Adds the result in a word or two, coloured and said.
  public mutating func verdict(_ text: String, isGood: Bool) {
    body += "<p class=\"verdict \(isGood ? "good" : "bad")\">\(escaped(text))</p>\n"
  }

  /// Begins a section, which ends with `endSection`.
  public mutating func beginSection(_ heading: String, id: String? = nil) {
    body += "<section\(id.map { " id=\"\(escaped($0))\"" } ?? "")><h2>\(escaped(heading))</h2>\n"
  }

  /// Ends a section.
  public mutating func endSection() { body += "</section>\n" }

  /// Begins a part that can be folded, which ends with `endFold`.
  ///
  /// `heading` stays visible, with a verdict before it and `more` behind it. A link to `id` opens it.
  public mutating func beginFold(
    _ heading: String, verdict: (text: String, isGood: Bool)? = nil, more: String? = nil,
    id: String? = nil, isOpen: Bool = false, isHeading: Bool = false
  ) {
    body += "<details class=\"fold\"\(isOpen ? " open=\"open\"" : "")><summary>"
    if let verdict { body += html(.verdict(verdict.text, isGood: verdict.isGood)) + " " }
    body += isHeading ? "<h2>\(escaped(heading))</h2>" : escaped(heading)
    if let more { body += " <span class=\"more\">\(escaped(more))</span>" }
    // Browsers open a fold for a link to what is inside it.
    body += "</summary><div\(id.map { " id=\"\(escaped($0))\"" } ?? "")>\n"
  }

  /// Ends a part that can be folded.
  public mutating func endFold() { body += "</div></details>\n" }

  /// Adds a heading inside a section.
  public mutating func heading(_ text: String) { body += "<h3>\(escaped(text))</h3>\n" }

  /// Adds text that somebody or something else wrote, line by line, with a line about it.
  public mutating func quote(_ text: String, about caption: String) {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    body += "<blockquote><p class=\"note\">\(escaped(caption))</p><pre>"
    body += lines.map { escaped(String($0)) }.joined(separator: "\n") + "</pre></blockquote>\n"
  }

  /// One cell of a table.
  public enum Cell: Sendable {
    /// Text, the first of a row as its heading.
    case text(String)
    /// A number, set flush right.
    case number(String)
    /// Text that leads to a section.
    case link(String, id: String)
    /// A verdict, coloured and said.
    case verdict(String, isGood: Bool)
    /// How many times a tolerance was used, as a bar and a number; more than 1 is too much.
    case share(Double)
    /// The same without a bar; `nil` where nothing was compared.
    case times(Double?)
  }

  /// Adds a table; the first cell of every row is its heading.
  ///
  /// On a narrow screen the rows become blocks where there are more than five columns, or as said.
  public mutating func table(
    _ caption: String, head: [String], rows: [[Cell]], becomesBlocks: Bool? = nil
  ) {
    let style = becomesBlocks ?? (head.count > 5) ? " class=\"blocks\"" : ""
    body +=
      "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"\(escaped(caption))\">"
    body += "<table\(style)><caption>\(escaped(caption))</caption>\n<thead><tr>"
    for (column, name) in head.enumerated() {
      var isNumber = false
      if let row = rows.first, column < row.count, row[column].isNumber { isNumber = true }
      body += "<th scope=\"col\"\(isNumber ? " class=\"number\"" : "")>\(escaped(name))</th>"
    }
    body += "</tr></thead>\n<tbody>\n"
    for row in rows {
      body += "<tr>"
      for (column, cell) in row.enumerated() {
        body += self.cell(cell, column, column < head.count ? head[column] : "")
      }
      body += "</tr>\n"
    }
    body += "</tbody></table></div>\n"
  }

  private func cell(_ cell: Cell, _ column: Int, _ name: String) -> String {
    guard column > 0 else {
      // Names of files and tensors may be broken where their parts end, and only there.
      let text: String
      if case .text(let name) = cell { text = breakable(name) } else { text = html(cell) }
      return "<th scope=\"row\"\(cell.isNumber ? " class=\"number\"" : "")>\(text)</th>"
    }
    var styles: [String] = []
    if cell.isNumber { styles.append("number") }
    switch cell {
    case .text(let text) where text.count > 24: styles.append("long")
    case .verdict: styles.append("plain")
    case .text("–"), .number("–"), .times(nil): styles.append("empty")
    default: break
    }
    let style = styles.isEmpty ? "" : " class=\"\(styles.joined(separator: " "))\""
    return "<td\(style) data-label=\"\(escaped(name))\">\(html(cell))</td>"
  }

  private func html(_ cell: Cell) -> String {
    switch cell {
    case .text(let text), .number(let text): return escaped(text)
    case .link(let text, let id):
      return "<a href=\"#\(escaped(id))\">\(breakable(text))</a>"
    case .verdict(let text, let isGood):
      return "<span class=\"verdict \(isGood ? "good" : "bad")\">\(escaped(text))</span>"
    case .times(nil): return "–"
    case .times(let share?):
      return "<span class=\"\(share <= 1 ? "good" : "bad")\">"
        + "\(times(share, decimals: 1))</span>"
    case .share(let share):
      let width = share.isFinite ? min(100, share * 100) : 100
      return "<span class=\"meter\(share <= 1 ? "" : " over")\" aria-hidden=\"true\">"
        + "<i style=\"width:\(number(width))%\"></i></span> \(times(share))"
    }
  }

  private func breakable(_ name: String) -> String {
    escaped(name).map { "/._".contains($0) ? "\($0)<wbr/>" : String($0) }.joined()
  }

  private func times(_ share: Double, decimals: Int = 2) -> String {
    share.isFinite ? label(share, decimals: decimals) : "no number"
  }

  /// Adds drawings side by side, where there is room.
  public mutating func figures(_ figures: [Figure]) {
    guard !figures.isEmpty else { return }
    body += "<div class=\"figures\">\n"
    for figure in figures {
      let drawing =
        figure.narrow.map {
          "<div class=\"if-wide\">\(figure.inline)</div><div class=\"if-narrow\">\($0)</div>"
        } ?? figure.inline
      body += "<figure\(figure.narrow == nil ? "" : " class=\"double\"")>\(drawing)"
      body += "<figcaption>\(escaped(figure.description))</figcaption></figure>\n"
    }
    body += "</div>\n"
  }

  /// The complete file.
  public var html: String {
    """
    <!DOCTYPE html>
    <html xmlns="http://www.w3.org/1999/xhtml" lang="en"><head><meta charset="utf-8"/>
    <meta name="viewport" content="width=device-width,initial-scale=1"/>
    <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'"/>
    <title>\(escaped(title))</title>
    <style>\(Stylesheet.colours(on: ":root"))\(Stylesheet.drawing)\(Stylesheet.page)</style></head>
    <body><main><h1>\(escaped(title))</h1>
    \(body)</main></body></html>

    """
  }
}

extension Page.Cell {
  fileprivate var isNumber: Bool {
    switch self {
    case .number, .times: true
    default: false
    }
  }
}
