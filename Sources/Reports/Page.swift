/// A page of tables and drawings as one file of HTML that fetches nothing.
///
/// Light and dark as the reader's system is, in one column on a narrow screen; tables are tables.
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
    /// A share of a tolerance as a bar and in percent; more than 1 is too much.
    case share(Double)
  }

  /// Adds a table; the first cell of every row is its heading.
  public mutating func table(_ caption: String, head: [String], rows: [[Cell]]) {
    body +=
      "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"\(escaped(caption))\">"
    body += "<table><caption>\(escaped(caption))</caption>\n<thead><tr>"
    for (column, name) in head.enumerated() {
      var isNumber = false
      if let row = rows.first, column < row.count, case .number = row[column] { isNumber = true }
      body += "<th scope=\"col\"\(isNumber ? " class=\"number\"" : "")>\(escaped(name))</th>"
    }
    body += "</tr></thead>\n<tbody>\n"
    for row in rows {
      body += "<tr>"
      for (column, cell) in row.enumerated() {
        let tag = column == 0 ? "th" : "td"
        let scope = column == 0 ? " scope=\"row\"" : ""
        switch cell {
        case .number: body += "<\(tag)\(scope) class=\"number\">\(html(cell))</\(tag)>"
        case .text(let text) where column > 0 && text.count > 24:
          body += "<\(tag) class=\"long\">\(html(cell))</\(tag)>"
        default: body += "<\(tag)\(scope)>\(html(cell))</\(tag)>"
        }
      }
      body += "</tr>\n"
    }
    body += "</tbody></table></div>\n"
  }

  private func html(_ cell: Cell) -> String {
    switch cell {
    case .text(let text), .number(let text): return escaped(text)
    case .link(let text, let id): return "<a href=\"#\(escaped(id))\">\(escaped(text))</a>"
    case .verdict(let text, let isGood):
      return "<span class=\"verdict \(isGood ? "good" : "bad")\">\(escaped(text))</span>"
    case .share(let share):
      let width = share.isFinite ? min(100, share * 100) : 100
      let text = share.isFinite ? "\(label(share * 100)) %" : "no number"
      return "<span class=\"meter\(share <= 1 ? "" : " over")\" aria-hidden=\"true\">"
        + "<i style=\"width:\(number(width))%\"></i></span> \(text)"
    }
  }

  /// Adds drawings side by side, where there is room.
  public mutating func figures(_ figures: [Figure]) {
    guard !figures.isEmpty else { return }
    body += "<div class=\"figures\">\n"
    for figure in figures {
      body +=
        "<figure>\(figure.inline)<figcaption>\(escaped(figure.description))</figcaption></figure>\n"
    }
    body += "</div>\n"
  }

  /// The complete file.
  public var html: String {
    """
    <!DOCTYPE html>
    <html lang="en"><head><meta charset="utf-8">
    <meta name="viewport" content="width=device-width,initial-scale=1">
    <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
    <title>\(escaped(title))</title>
    <style>\(Stylesheet.colours(on: ":root"))\(Stylesheet.drawing)\(Stylesheet.page)</style></head>
    <body><main><h1>\(escaped(title))</h1>
    \(body)</main></body></html>

    """
  }
}
