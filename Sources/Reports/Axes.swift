import HostSystem

/// A scale from numbers to pixels with round marks, linear or logarithmic.
struct Scale {
  let isLogarithmic: Bool
  let low, high: Double
  let marks: [Double]

  /// Spans the finite values; a logarithmic scale leaves out what is not positive.
  ///
  /// `isTight` ends the scale at the values themselves, and not at the next round number.
  init(
    _ values: [Double], isLogarithmic: Bool = false, includesZero: Bool = false,
    isTight: Bool = false
  ) {
    let usable = values.filter { $0.isFinite && (!isLogarithmic || $0 > 0) }
    self.isLogarithmic = isLogarithmic
    var (low, high) = (usable.min() ?? (isLogarithmic ? 1 : 0), usable.max() ?? 1)
    if isLogarithmic {
      let (first, last) = (floor(log10(low)), max(floor(log10(low)) + 1, ceil(log10(high))))
      let stride = max(1, ceil((last - first) / 6))
      // Within a decade or two, the marks of whole decades say too little.
      let parts = last - first <= 2 ? [1.0, 2, 5] : [1]
      marks = Array(Swift.stride(from: first, through: last, by: stride)).flatMap { power in
        parts.map { $0 * pow(10, power) }
      }.filter { $0 <= pow(10, last) * 1.0001 }
      (self.low, self.high) = (first, last)
      return
    }
    if includesZero { (low, high) = (min(low, 0), max(high, 0)) }
    if low == high { (low, high) = (low - 0.5, high + 0.5) }
    let rough = (high - low) / 5
    // Far apart beyond all numbers, or too near for a mark between them: no marks but the ends.
    guard rough.isFinite, rough > 0, rough > low.magnitude * 1e-12 else {
      (self.low, self.high, marks) = (low, high, [low, high])
      return
    }
    let power = pow(10, floor(log10(rough)))
    let step = ([1, 2, 5].first { $0 * power >= rough } ?? 10) * power
    let (first, last) = (floor(low / step), ceil(high / step))
    let all = (0...Int(last - first)).map { (first + Double($0)) * step }
    (self.low, self.high) = isTight ? (low, high) : (first * step, last * step)
    marks = isTight ? all.filter { $0 >= low && $0 <= high } : all
  }

  /// Where a value lies, from 0 to 1; `nil` for one that cannot be shown.
  func place(_ value: Double) -> Double? {
    guard value.isFinite, !isLogarithmic || value > 0 else { return nil }
    let position = isLogarithmic ? log10(value) : value
    return high > low ? (position - low) / (high - low) : 0.5
  }
}

/// The extents that drawings share. They are shown at their natural size, so that type has one size
/// everywhere: three columns on a wide page, one on a phone.
enum Extent {
  /// The width of a drawing that fits a phone.
  static let width = 344.0
  /// The width of two columns of a page.
  static let double = 704.0
  /// What a character of the drawings' type takes, on average.
  static let character = 6.6
}

/// The frame of a drawing with two axes.
struct Frame {
  let width, height: Double
  let left, right, top, bottom: Double
  let x, y: Scale

  init(
    _ x: Scale, _ y: Scale, width: Double = Extent.width, height: Double = 240, top: Double = 34
  ) {
    (self.x, self.y, self.width, self.height, self.top) = (x, y, width, height, top)
    left = 70
    right = width - 14
    bottom = height - 42
  }

  func place(_ point: (x: Double, y: Double)) -> (x: Double, y: Double)? {
    guard let h = x.place(point.x), let v = y.place(point.y) else { return nil }
    return (left + h * (right - left), bottom - v * (bottom - top))
  }

  func axes(title: String, xName: String, yName: String) -> String {
    var text = caption(title, width: width)
    for mark in y.marks {
      guard let v = y.place(mark) else { continue }
      let h = number(bottom - v * (bottom - top))
      text += "<path class=\"grid\" d=\"M\(number(left)) \(h)H\(number(right))\"/>"
      text += "<path class=\"tick\" d=\"M\(number(left - 4)) \(h)h4\"/>"
      text +=
        "<text x=\"\(number(left - 7))\" y=\"\(h)\" dy=\"4\" text-anchor=\"end\">"
        + "\(label(mark, below: 1e4))</text>\n"
    }
    for mark in x.marks {
      guard let h = x.place(mark) else { continue }
      let position = number(left + h * (right - left))
      text += "<path class=\"tick\" d=\"M\(position) \(number(bottom))v4\"/>"
      text +=
        "<text x=\"\(position)\" y=\"\(number(bottom + 17))\" text-anchor=\"middle\">"
        + "\(label(mark))</text>\n"
    }
    text += "<path class=\"axis\" d=\"M\(number(left)) \(number(top))V\(number(bottom))"
    text += "H\(number(right))\"/>\n"
    return text + axisNames(xName, yName, left, right, top, bottom, height: height)
  }
}

/// The title of a drawing, cut to its width.
func caption(_ title: String, width: Double) -> String {
  let most = Int((width - 20) / (Extent.character + 0.6))
  let shown = title.count > most ? title.prefix(max(1, most - 1)) + "…" : title[...]
  return "<text class=\"name\" x=\"10\" y=\"18\">\(escaped(String(shown)))</text>\n"
}

/// The names of both axes, below and to the left.
func axisNames(
  _ x: String, _ y: String, _ left: Double, _ right: Double, _ top: Double, _ bottom: Double,
  height: Double
) -> String {
  let half = number((top + bottom) / 2)
  return "<text x=\"\(number((left + right) / 2))\" y=\"\(number(height - 7))\""
    + " text-anchor=\"middle\">\(escaped(x))</text>\n"
    + "<text x=\"12\" y=\"\(half)\" text-anchor=\"middle\" transform=\"rotate(-90 12 \(half))\">"
    + "\(escaped(y))</text>\n"
}
