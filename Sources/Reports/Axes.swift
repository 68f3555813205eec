import HostSystem

/// A scale from numbers to pixels with round marks, linear or logarithmic.
struct Scale {
  let isLogarithmic: Bool
  let low, high: Double
  let marks: [Double]

  /// Spans the finite values; a logarithmic scale leaves out what is not positive.
  init(_ values: [Double], isLogarithmic: Bool = false, includesZero: Bool = false) {
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
    (self.low, self.high) = (floor(low / step) * step, ceil(high / step) * step)
    let first = self.low
    marks = (0...Int(((self.high - first) / step).rounded())).map { first + Double($0) * step }
  }

  /// Where a value lies, from 0 to 1; `nil` for one that cannot be shown.
  func place(_ value: Double) -> Double? {
    guard value.isFinite, !isLogarithmic || value > 0 else { return nil }
    let position = isLogarithmic ? log10(value) : value
    return high > low ? (position - low) / (high - low) : 0.5
  }
}

/// The frame of a drawing with two axes.
struct Frame {
  let width, height: Double
  let left, right, top, bottom: Double
  let x, y: Scale

  init(
    _ x: Scale, _ y: Scale, width: Double = 480, height: Double = 300, top: Double = 44
  ) {
    (self.x, self.y, self.width, self.height, self.top) = (x, y, width, height, top)
    left = 64
    right = width - 16
    bottom = height - 44
  }

  func place(_ point: (x: Double, y: Double)) -> (x: Double, y: Double)? {
    guard let h = x.place(point.x), let v = y.place(point.y) else { return nil }
    return (left + h * (right - left), bottom - v * (bottom - top))
  }

  func axes(title: String, xName: String, yName: String) -> String {
    var text = "<text class=\"name\" x=\"12\" y=\"20\">\(escaped(title))</text>\n"
    for mark in y.marks {
      guard let v = y.place(mark) else { continue }
      let h = number(bottom - v * (bottom - top))
      text += "<path class=\"grid\" d=\"M\(number(left)) \(h)H\(number(right))\"/>"
      text +=
        "<text x=\"\(number(left - 6))\" y=\"\(h)\" dy=\"4\" text-anchor=\"end\">\(label(mark))</text>\n"
    }
    for mark in x.marks {
      guard let h = x.place(mark) else { continue }
      let position = number(left + h * (right - left))
      text +=
        "<text x=\"\(position)\" y=\"\(number(bottom + 16))\" text-anchor=\"middle\">"
        + "\(label(mark))</text>\n"
    }
    text += "<path class=\"axis\" d=\"M\(number(left)) \(number(bottom))H\(number(right))\"/>\n"
    let middle = number((left + right) / 2)
    text +=
      "<text x=\"\(middle)\" y=\"\(number(height - 8))\" text-anchor=\"middle\">\(escaped(xName))"
      + "</text>\n"
    let half = number((top + bottom) / 2)
    text +=
      "<text x=\"14\" y=\"\(half)\" text-anchor=\"middle\" transform=\"rotate(-90 14 \(half))\">"
      + "\(escaped(yName))</text>\n"
    return text
  }
}
