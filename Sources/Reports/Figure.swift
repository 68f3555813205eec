/// A drawing as SVG: text for files and for pages, without anything to fetch.
///
/// Colours are CSS variables, so that one drawing serves light and dark surroundings.
public struct Figure: Sendable {
  /// What the drawing is called; every drawing has a title, also for those who cannot see it.
  public let title: String
  /// What it shows, in a sentence or two.
  public let description: String
  /// The extent of the drawing, in pixels at its natural size.
  public let size: (width: Double, height: Double)
  let body: String
  /// The same drawing for a page that is too narrow for this one.
  var narrow: String?

  init(
    _ title: String, _ description: String, width: Double, height: Double, body: String
  ) {
    self.title = title
    self.description = description
    size = (width, height)
    self.body = body
  }

  /// A complete SVG file, with its own colours for light and dark.
  public var file: String {
    let extent = "width=\"\(number(size.width))\" height=\"\(number(size.height))\""
    return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
      + element(extent, "<style>\(Stylesheet.colours(on: ":root"))\(Stylesheet.drawing)</style>\n")
  }

  /// The `<svg>` element for a page that has the stylesheet.
  public var inline: String { element("", "") }

  private func element(_ extent: String, _ style: String) -> String {
    "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"figure\" \(extent) "
      + "viewBox=\"0 0 \(number(size.width)) \(number(size.height))\" role=\"img\" "
      + "aria-label=\"\(escaped(title + ". " + description))\">\n<title>\(escaped(title))</title>\n"
      + "<desc>\(escaped(description))</desc>\n\(style)"
      + "<rect class=\"surface\" width=\"100%\" height=\"100%\"/>\n\(body)</svg>\n"
  }
}

/// Text for XML and HTML; what could steer a reader or a terminal is spelled out.
func escaped(_ text: String) -> String {
  var result = ""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "&": result += "&amp;"
    case "<": result += "&lt;"
    case ">": result += "&gt;"
    case "\"": result += "&quot;"
    default:
      switch scalar.properties.generalCategory {
      case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse,
        .unassigned:
        result += "\\u{" + String(scalar.value, radix: 16) + "}"
      default: result.unicodeScalars.append(scalar)
      }
    }
  }
  return result
}

/// A coordinate with two decimals; what is no number is drawn at 0.
func number(_ value: Double) -> String {
  guard value.isFinite, value.magnitude < 1e9 else { return "0" }
  let rounded = (value * 100).rounded() / 100
  return rounded == rounded.rounded() ? "\(Int(rounded))" : "\(rounded)"
}

/// A number for people: three significant digits, and powers of ten from `below` on, with so many decimals.
func label(_ value: Double, below largest: Double = 1e5, decimals: Int = 2) -> String {
  guard value.isFinite, value != 0 else { return value == 0 ? "0" : "\(value)" }
  var (mantissa, exponent) = (value.magnitude, 0)
  if mantissa >= 1e-3, mantissa < largest {
    let scale = mantissa >= 100 ? 1.0 : mantissa >= 10 ? 10 : mantissa >= 1 ? 100 : 1e4
    return trimmed((value * scale).rounded() / scale)
  }
  let scale = decimals == 1 ? 10.0 : 100
  while mantissa < 1 { (mantissa, exponent) = (mantissa * 10, exponent - 1) }
  while mantissa >= 10 { (mantissa, exponent) = (mantissa / 10, exponent + 1) }
  return (value < 0 ? "-" : "") + trimmed((mantissa * scale).rounded() / scale) + "e\(exponent)"
}

private func trimmed(_ value: Double) -> String {
  let text = "\(value)"
  return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
}
