import Tensors

/// A JSON value as RFC 8259 defines it, with the text of numbers and the order of members kept.
package indirect enum JSON: Sendable {
  /// `null`.
  case null
  /// `true` or `false`.
  case bool(Bool)
  /// A number, as its text: JSON does not say how many digits matter.
  case number(String)
  /// A string, unescaped.
  case string(String)
  /// An array.
  case array([JSON])
  /// An object; members in file order, every key once.
  case object([Member])

  /// One key of an object with its value.
  package struct Member: Sendable, Equatable {
    /// The key, unescaped.
    package let key: String
    /// The value.
    package let value: JSON

    /// Creates a member.
    package init(key: String, value: JSON) {
      self.key = key
      self.value = value
    }

    /// Whether key and value agree, the key byte for byte.
    package static func == (lhs: Member, rhs: Member) -> Bool {
      lhs.key.utf8.elementsEqual(rhs.key.utf8) && lhs.value == rhs.value
    }
  }

  /// Parses one JSON text; throws `json.…` with the byte offset for anything RFC 8259 forbids, and for
  /// duplicate keys and depths above `maxDepth`, which it allows.
  package static func parse(_ bytes: [UInt8], maxDepth: Int = 128) throws -> JSON {
    var parser = try JSONParser(bytes, maxDepth: maxDepth)
    return try parser.parse()
  }

  /// An integer.
  package static func number(_ value: Int) -> JSON { .number(String(value)) }

  /// The shortest decimal that reads back as `value`; what is not finite becomes a string
  /// ("NaN", "Infinity", "-Infinity"), because JSON has no such number.
  package static func number(_ value: Double) -> JSON {
    if value.isNaN { return .string("NaN") }
    if value.isInfinite { return .string(value < 0 ? "-Infinity" : "Infinity") }
    return .number("\(value)")
  }

  /// An object from pairs, in order.
  package static func object(_ pairs: KeyValuePairs<String, JSON>) -> JSON {
    .object(pairs.map { Member(key: $0.key, value: $0.value) })
  }
}

extension JSON: Equatable {
  /// Whether kind and content agree; strings byte for byte, numbers by their text.
  package static func == (lhs: JSON, rhs: JSON) -> Bool {
    switch (lhs, rhs) {
    case (.null, .null): true
    case (.bool(let one), .bool(let other)): one == other
    case (.number(let one), .number(let other)): one.utf8.elementsEqual(other.utf8)
    case (.string(let one), .string(let other)): one.utf8.elementsEqual(other.utf8)
    case (.array(let one), .array(let other)): one == other
    case (.object(let one), .object(let other)): one == other
    default: false
    }
  }
}

extension JSON {
  /// The value of a key of an object; `nil` for a missing key and for anything else than an object.
  package subscript(key: String) -> JSON? {
    guard case .object(let members) = self else { return nil }
    return members.first { $0.key.utf8.elementsEqual(key.utf8) }?.value
  }

  /// The string.
  package var stringValue: String? {
    if case .string(let value) = self { value } else { nil }
  }

  /// The truth value.
  package var boolValue: Bool? {
    if case .bool(let value) = self { value } else { nil }
  }

  /// The number when it is written as an integer that fits; `1.0`, `1e3` and `-0` are not integers.
  package var intValue: Int? {
    guard case .number(let text) = self, text != "-0" else { return nil }
    return Int(text)
  }

  /// The number rounded to binary64; `nil` beyond its range.
  package var doubleValue: Double? {
    guard case .number(let text) = self, let value = Double(text), value.isFinite else {
      return nil
    }
    return value
  }

  /// The elements of an array.
  package var arrayValue: [JSON]? {
    if case .array(let value) = self { value } else { nil }
  }

  /// The members of an object.
  package var objectValue: [Member]? {
    if case .object(let value) = self { value } else { nil }
  }
}
