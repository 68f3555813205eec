import Tensors

/// A strict recursive-descent parser; the depth limit bounds its recursion.
package struct JSONParser {
  private let bytes: [UInt8]
  private let maxDepth: Int
  private var position = 0

  package init(_ bytes: [UInt8], maxDepth: Int) throws {
    self.bytes = bytes
    self.maxDepth = maxDepth
    if bytes.starts(with: [0xEF, 0xBB, 0xBF]) {
      throw Self.error(.jsonByteOrderMark, 0, "a byte order mark", "a JSON value")
    }
    if let offset = firstInvalidUTF8(bytes) {
      throw Self.error(.jsonUTF8, offset, "bytes that are not UTF-8", "UTF-8 text")
    }
  }

  package mutating func parse() throws -> JSON {
    let value = try parseValue(depth: 0)
    skipWhitespace()
    guard position == bytes.count else {
      throw unexpected(.jsonTrailing, "nothing after the value")
    }
    return value
  }

  private mutating func parseValue(depth: Int) throws -> JSON {
    skipWhitespace()
    if peek == UInt8(ascii: "-") || isDigit { return try parseNumber() }
    switch peek {
    case UInt8(ascii: "{"): return try parseObject(depth: depth + 1)
    case UInt8(ascii: "["): return try parseArray(depth: depth + 1)
    case UInt8(ascii: "\""): return .string(try parseString())
    case UInt8(ascii: "t"): return try parseLiteral("true", .bool(true))
    case UInt8(ascii: "f"): return try parseLiteral("false", .bool(false))
    case UInt8(ascii: "n"): return try parseLiteral("null", .null)
    default: throw unexpected(.jsonSyntax, "a JSON value")
    }
  }

  private mutating func parseObject(depth: Int) throws -> JSON {
    try checkDepth(depth)
    position += 1
    var members: [JSON.Member] = []
    var seen: Set<[UInt8]> = []
    skipWhitespace()
    if take("}") { return .object([]) }
    while true {
      skipWhitespace()
      let start = position
      guard peek == UInt8(ascii: "\"") else { throw unexpected(.jsonSyntax, "a key") }
      let key = try parseString()
      // Swift's String takes NFC and NFD spellings for equal; the bytes decide what a duplicate is.
      guard seen.insert(Array(key.utf8)).inserted else {
        throw Self.error(.jsonDuplicate, start, "the key \"\(key)\" twice", "every key once")
      }
      skipWhitespace()
      guard take(":") else { throw unexpected(.jsonSyntax, "':'") }
      members.append(JSON.Member(key: key, value: try parseValue(depth: depth)))
      skipWhitespace()
      if take("}") { return .object(members) }
      guard take(",") else { throw unexpected(.jsonSyntax, "',' or '}'") }
    }
  }

  private mutating func parseArray(depth: Int) throws -> JSON {
    try checkDepth(depth)
    position += 1
    var elements: [JSON] = []
    skipWhitespace()
    if take("]") { return .array([]) }
    while true {
      elements.append(try parseValue(depth: depth))
      skipWhitespace()
      if take("]") { return .array(elements) }
      guard take(",") else { throw unexpected(.jsonSyntax, "',' or ']'") }
    }
  }

  private mutating func parseNumber() throws -> JSON {
    let start = position
    _ = take("-")
    if take("0") {
      if isDigit { throw unexpected(.jsonNumber, "no leading zero") }
    } else {
      try takeDigits()
    }
    if take(".") { try takeDigits() }
    if take("e") || take("E") {
      if !take("+") { _ = take("-") }
      try takeDigits()
    }
    return .number(String(decoding: bytes[start..<position], as: UTF8.self))
  }

  private mutating func parseLiteral(_ text: StaticString, _ value: JSON) throws -> JSON {
    let expected = String(describing: text)
    guard bytes[position...].starts(with: expected.utf8) else {
      throw unexpected(.jsonSyntax, expected)
    }
    position += text.utf8CodeUnitCount
    return value
  }

  private mutating func parseString() throws -> String {
    position += 1
    var result: [UInt8] = []
    var start = position
    while let byte = peek {
      switch byte {
      case UInt8(ascii: "\""):
        result += bytes[start..<position]
        position += 1
        return String(decoding: result, as: UTF8.self)
      case UInt8(ascii: "\\"):
        result += bytes[start..<position]
        position += 1
        try parseEscape(into: &result)
        start = position
      case 0..<0x20:
        throw unexpected(.jsonString, "control characters escaped")
      default:
        position += 1
      }
    }
    throw unexpected(.jsonString, "'\"'")
  }

  private mutating func parseEscape(into result: inout [UInt8]) throws {
    switch peek {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): result.append(bytes[position])
    case UInt8(ascii: "b"): result.append(0x08)
    case UInt8(ascii: "f"): result.append(0x0C)
    case UInt8(ascii: "n"): result.append(0x0A)
    case UInt8(ascii: "r"): result.append(0x0D)
    case UInt8(ascii: "t"): result.append(0x09)
    case UInt8(ascii: "u"):
      let start = position - 1
      position += 1
      result += String(try parseScalar(escapeAt: start)).utf8
      return
    default: throw unexpected(.jsonString, "one of \" \\ / b f n r t u")
    }
    position += 1
  }

  private mutating func parseScalar(escapeAt start: Int) throws -> Unicode.Scalar {
    let first = try parseHex()
    if let scalar = Unicode.Scalar(first) { return scalar }
    guard first < 0xDC00, take("\\"), take("u") else { throw loneSurrogate(start) }
    let second = try parseHex()
    guard (0xDC00...0xDFFF).contains(second),
      let scalar = Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))
    else { throw loneSurrogate(start) }
    return scalar
  }

  private mutating func parseHex() throws -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<4 {
      guard let byte = peek, let digit = Character(Unicode.Scalar(byte)).hexDigitValue,
        byte < 0x80
      else { throw unexpected(.jsonString, "four hexadecimal digits") }
      value = value << 4 | UInt32(digit)
      position += 1
    }
    return value
  }

  private var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

  private var isDigit: Bool {
    peek.map { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } ?? false
  }

  private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
    guard peek == UInt8(ascii: scalar) else { return false }
    position += 1
    return true
  }

  private mutating func takeDigits() throws {
    guard isDigit else { throw unexpected(.jsonNumber, "a digit") }
    while isDigit { position += 1 }
  }

  private mutating func skipWhitespace() {
    while let byte = peek, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 {
      position += 1
    }
  }

  private func checkDepth(_ depth: Int) throws {
    guard depth <= maxDepth else {
      throw Self.error(
        .jsonDepth, position, "nesting deeper than \(maxDepth)", "at most \(maxDepth) levels")
    }
  }

  private func loneSurrogate(_ offset: Int) -> RecurrentError {
    Self.error(.jsonSurrogate, offset, "a lone surrogate escape", "a surrogate pair")
  }

  private func unexpected(_ reason: RecurrentError.Reason, _ expected: String) -> RecurrentError {
    guard let byte = peek else {
      return Self.error(.jsonTruncated, position, "the end of the text", expected)
    }
    let found =
      (0x21..<0x7F).contains(byte)
      ? "'\(Character(Unicode.Scalar(byte)))'" : "byte 0x\(String(byte, radix: 16))"
    return Self.error(reason, position, found, expected)
  }

  private static func error(
    _ reason: RecurrentError.Reason, _ offset: Int, _ found: String, _ expected: String
  ) -> RecurrentError {
    RecurrentError(reason, at: "byte \(offset)", found: found, expected: expected)
  }
}

/// The offset of the first byte that is not part of well-formed UTF-8 (Unicode table 3-7).
package func firstInvalidUTF8(_ bytes: [UInt8]) -> Int? {
  bytes.withUnsafeBufferPointer { bytes in
    var position = 0
    while position < bytes.count {
      let lead = bytes[position]
      if lead < 0x80 {
        position += 1
        continue
      }
      let length: Int
      var second: ClosedRange<UInt8> = 0x80...0xBF
      switch lead {
      case 0xC2...0xDF: length = 2
      case 0xE0: (length, second) = (3, 0xA0...0xBF)
      case 0xED: (length, second) = (3, 0x80...0x9F)
      case 0xE1...0xEF: length = 3
      case 0xF0: (length, second) = (4, 0x90...0xBF)
      case 0xF4: (length, second) = (4, 0x80...0x8F)
      case 0xF1...0xF3: length = 4
      default: return position
      }
      guard position + length <= bytes.count, second.contains(bytes[position + 1]) else {
        return position
      }
      for next in position + 2..<max(position + 2, position + length)
      where !(0x80...0xBF).contains(bytes[next]) { return position }
      position += length
    }
    return nil
  }
}
