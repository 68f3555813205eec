// Numbers for people.

/// `12,345,678`.
public func grouped(_ number: Int) -> String {
  var digits = Array(String(number.magnitude).reversed())
  var position = 3
  while position < digits.count {
    digits.insert(",", at: position)
    position += 4
  }
  return (number < 0 ? "-" : "") + String(digits.reversed())
}

/// `1 tensor`, `2 tensors`.
public func counted(_ number: Int, _ noun: String) -> String {
  "\(grouped(number)) \(noun)\(number == 1 ? "" : "s")"
}

/// A number with three significant digits, for people.
public func short(_ value: Double) -> String {
  guard value.isFinite, value != 0 else { return "\(value)" }
  var mantissa = value.magnitude
  var exponent = 0
  if mantissa >= 1e-3, mantissa < 1e5 { return trimmed((value * 1e4).rounded() / 1e4) }
  while mantissa < 1 { (mantissa, exponent) = (mantissa * 10, exponent - 1) }
  while mantissa >= 10 { (mantissa, exponent) = (mantissa / 10, exponent + 1) }
  return (value < 0 ? "-" : "") + trimmed((mantissa * 100).rounded() / 100) + "e\(exponent)"
}

private func trimmed(_ value: Double) -> String {
  let text = "\(value)"
  return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
}
