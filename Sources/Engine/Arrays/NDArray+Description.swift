extension NDArray: CustomStringConvertible {
  /// The array as NumPy prints it: aligned, at most 8 decimals, and of more than 1000 elements three at each end
  /// of an axis.
  public var description: String {
    if rank == 0, let only = elements.first { return "\(only)" }
    guard count > 0 else { return "[]" }
    let shown: [[Int?]] = shape.map { extent in
      guard count > 1000, extent > 6 else { return Array(0..<extent) }
      return [0, 1, 2, nil, extent - 3, extent - 2, extent - 1]
    }
    var printer = ArrayPrinter(shown: shown, strides: rowMajorStrides(shape), words: [:])
    var offsets: [Int] = []
    printer.forEachOffset { offsets.append($0) }
    let texts = offsets.map { "\(elements[$0])" }
    let words =
      Element.self is any BinaryInteger.Type
      ? padded(texts) : NumberColumn(texts.map { Decimal($0) }).words
    printer.words = Dictionary(zip(offsets, words)) { first, _ in first }
    return printer.text(axis: 0, offset: 0, indent: " ", width: 75)
  }

  private func padded(_ texts: [String]) -> [String] {
    let width = texts.map(\.count).max() ?? 0
    return texts.map { String(repeating: " ", count: width - $0.count) + $0 }
  }
}

/// Brackets, line breaks and what is left out.
private struct ArrayPrinter {
  /// The places that are shown of each axis; `nil` stands for those that are not.
  let shown: [[Int?]]
  let strides: [Int]
  var words: [Int: String]

  func forEachOffset(axis: Int = 0, offset: Int = 0, _ body: (Int) -> Void) {
    guard axis < shown.count else { return body(offset) }
    for case let place? in shown[axis] {
      forEachOffset(axis: axis + 1, offset: offset + place * strides[axis], body)
    }
  }

  func text(axis: Int, offset: Int, indent: String, width: Int) -> String {
    var (text, line) = ("", indent)
    let left = shown.count - axis
    for (index, place) in shown[axis].enumerated() {
      let isLast = index == shown[axis].count - 1
      guard left == 1 else {
        let inner =
          place.map {
            self.text(
              axis: axis + 1, offset: offset + $0 * strides[axis], indent: indent + " ",
              width: width - 1)
          } ?? "..."
        text += indent + inner + (isLast ? "" : String(repeating: "\n", count: left - 1))
        continue
      }
      let word = place.map { words[offset + $0 * strides[axis]] ?? "" } ?? "..."
      if line.count + word.count > width - 1 {
        while line.last == " " { line.removeLast() }
        text += line + "\n"
        line = indent
      }
      line += word + (isLast ? "" : " ")
    }
    if left == 1 { text += line }
    return "[" + text.dropFirst(indent.count) + "]"
  }
}

/// A number as its shortest decimal digits: ± 0.d₁d₂d₃… × 10^point.
private struct Decimal {
  let text: String
  let isNegative: Bool
  var digits: [Int]
  var point: Int

  var isFinite: Bool { text.last?.isNumber ?? false }
  var isZero: Bool { digits.isEmpty }

  init(_ text: String) {
    self.text = text
    isNegative = text.hasPrefix("-")
    let parts = text.drop { $0 == "-" }.split(separator: "e")
    let mantissa = (parts.first ?? "").split(separator: ".", omittingEmptySubsequences: false)
    let all = mantissa.joined().map { $0.wholeNumberValue ?? 0 }
    let zeros = all.prefix { $0 == 0 }.count
    digits = Array(all.dropFirst(zeros))
    while digits.last == 0 { digits.removeLast() }
    point = (mantissa.first?.count ?? 0) - zeros + (parts.count > 1 ? Int(parts[1]) ?? 0 : 0)
    if digits.isEmpty { point = 1 }
  }

  /// Rounds to so many digits.
  mutating func round(to count: Int) {
    guard count < digits.count else { return }
    let roundsUp = count >= 0 && digits[Swift.max(0, count)] >= 5
    digits = Array(digits.prefix(Swift.max(0, count)))
    if roundsUp {
      var place = digits.count - 1
      while place >= 0, digits[place] == 9 { place -= 1 }
      if place < 0 {
        (digits, point) = ([1], point + 1)
      } else {
        digits = digits[..<place] + [digits[place] + 1]
      }
    }
    while digits.last == 0 { digits.removeLast() }
    if digits.isEmpty { point = 1 }
  }

  /// What stands before the point, and behind it.
  var positional: (whole: String, fraction: String) {
    let whole = (0..<Swift.max(0, point)).map { $0 < digits.count ? digits[$0] : 0 }
    let fraction =
      [Int](repeating: 0, count: Swift.max(0, -point)) + digits.dropFirst(Swift.max(0, point))
    let sign = isNegative ? "-" : ""
    return (
      sign + (whole.isEmpty ? "0" : whole.map(String.init).joined()),
      digits.isEmpty ? "" : fraction.map(String.init).joined()
    )
  }

  /// The mantissa's parts and the exponent.
  var scientific: (whole: String, fraction: String, exponent: Int) {
    let sign = isNegative ? "-" : ""
    return (
      sign + String(digits.first ?? 0), digits.dropFirst().map(String.init).joined(), point - 1
    )
  }
}

/// Numbers in one column, by NumPy's rules.
private struct NumberColumn {
  let words: [String]

  init(_ numbers: [Decimal]) {
    let finite = numbers.filter(\.isFinite)
    let sizes = finite.filter { !$0.isZero }
    func spaces(_ count: Int) -> String { String(repeating: " ", count: Swift.max(0, count)) }
    /// Whether one number is above a power of ten times another; both positive.
    func exceeds(_ a: Decimal, _ b: Decimal, power: Int) -> Bool {
      let (left, right) = (a.point, b.point + power)
      return left != right ? left > right : b.digits.lexicographicallyPrecedes(a.digits)
    }
    let largest = sizes.max { exceeds($1, $0, power: 0) }
    let smallest = sizes.min { exceeds($1, $0, power: 0) }
    var isScientific = false
    if let largest, let smallest {
      isScientific =
        largest.point > 8 || smallest.point < -3 || exceeds(largest, smallest, power: 3)
    }
    var pairs: [(left: String, right: String)] = []
    if isScientific {
      let parts = finite.map { number in
        var number = number
        number.round(to: 9)
        return number.scientific
      }
      let fraction = parts.map(\.fraction.count).max() ?? 0
      let exponent = Swift.max(2, parts.map { String($0.exponent.magnitude).count }.max() ?? 2)
      pairs = parts.map { part in
        let digits = String(part.exponent.magnitude)
        return (
          part.whole,
          part.fraction + String(repeating: "0", count: fraction - part.fraction.count) + "e"
            + (part.exponent < 0 ? "-" : "+")
            + String(repeating: "0", count: exponent - digits.count) + digits
        )
      }
    } else {
      pairs = finite.map { number in
        var number = number
        number.round(to: number.point + 8)
        let parts = number.positional
        return (parts.whole, parts.fraction)
      }
    }
    let others = numbers.filter { !$0.isFinite }.map(\.text.count).max() ?? 0
    let right = pairs.map(\.right.count).max() ?? 0
    let left = Swift.max(pairs.map(\.left.count).max() ?? 0, others - right - 1)
    var next = pairs.makeIterator()
    words = numbers.map { number in
      guard number.isFinite, let pair = next.next() else {
        return spaces(left + right + 1 - number.text.count) + number.text
      }
      return spaces(left - pair.left.count) + pair.left + "." + pair.right
        + spaces(right - pair.right.count)
    }
  }
}
