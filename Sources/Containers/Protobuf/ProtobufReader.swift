// Protocol buffers, as far as ONNX needs them. A message is a sequence of fields:
//
//   key      varint: field number << 3 | wire type
//   value    wire type 0: varint        base 128, low group first, at most 10 bytes
//            wire type 1: 8 bytes       little-endian
//            wire type 2: varint n, then n bytes: a string, a message, or packed numbers
//            wire type 5: 4 bytes       little-endian
//
// Wire types 3 and 4 (groups) are older than ONNX and occur in none of its messages. Fields come in
// any order; of a field that occurs twice and is not repeated, the last counts.
import Bytes
import Tensors

/// One field of a message.
package struct ProtobufField {
  /// What a field holds; numbers of wire types 1 and 5 are given as the range of their bytes.
  package enum Value {
    case varint(UInt64)
    case fixed64(Range<Int>)
    case fixed32(Range<Int>)
    case bytes(Range<Int>)
  }

  /// The field's number.
  package let number: Int
  /// The field's value.
  package let value: Value
  /// Where the value begins in the file.
  package let offset: Int
}

/// Walks the fields of one message.
///
/// A reader of our own and not swift-protobuf: the generated code would load tensors of gigabytes into
/// memory, where here they stay windows on the file; it recurses as deep as the file says, has no limit
/// on what a small file unfolds into, and would be the package's only large dependency.
package struct ProtobufReader {
  /// The file.
  package let bytes: ProtobufBytes
  private var position: Int
  private let end: Int

  /// Reads a whole file as one message.
  package init(_ bytes: ProtobufBytes) { self.init(bytes, 0..<bytes.source.count) }

  /// Reads a range that a length-delimited field gave.
  package init(_ bytes: ProtobufBytes, _ range: Range<Int>) {
    self.bytes = bytes
    position = range.lowerBound
    end = range.upperBound
  }

  /// The first byte of the next field's key, or `nil` where there is none.
  package var nextKey: UInt8? { position < end ? try? bytes.byte(at: position) : nil }

  /// The next field, or `nil` at the end of the message.
  ///
  /// Throws `protobuf.truncated`, `protobuf.varint`, `protobuf.key` or `protobuf.wire-type`.
  package mutating func next() throws -> ProtobufField? {
    guard position < end else { return nil }
    let start = position
    try bytes.charge(1, at: start)
    let key = try varint()
    let number = key >> 3
    guard number > 0, number < 1 << 29 else {
      throw Self.error(.protobufKey, start, "field number \(number)", "1 to 536870911")
    }
    let valueStart = position
    let value: ProtobufField.Value
    switch key & 7 {
    case 0: value = .varint(try varint())
    case 1: value = .fixed64(try take(8))
    case 2:
      let length = try varint()
      value = .bytes(try take(length))
    case 5: value = .fixed32(try take(4))
    default:
      throw Self.error(.protobufWireType, start, "wire type \(key & 7)", "0, 1, 2 or 5")
    }
    return ProtobufField(number: Int(number), value: value, offset: valueStart)
  }

  /// The next number of a packed field, or `nil` at its end.
  package mutating func nextPacked() throws -> UInt64? {
    guard position < end else { return nil }
    return try varint()
  }

  private mutating func varint() throws -> UInt64 {
    let start = position
    var result: UInt64 = 0
    for shift in stride(from: 0, to: 70, by: 7) {
      guard position < end else { throw Self.truncated(start, 0, "a whole number") }
      let byte = try bytes.byte(at: position)
      position += 1
      // The tenth byte has room for one bit.
      guard shift < 63 || byte < 2 else { break }
      result |= UInt64(byte & 0x7F) << UInt64(shift)
      if byte < 0x80 { return result }
    }
    throw Self.error(.protobufVarint, start, "a number of more than 64 bits", "at most 64")
  }

  private mutating func take(_ count: UInt64) throws -> Range<Int> {
    guard count <= UInt64(end - position) else {
      throw Self.truncated(position, end - position, "\(count)")
    }
    defer { position += Int(count) }
    return position..<position + Int(count)
  }

  private static func truncated(_ offset: Int, _ left: Int, _ expected: String) -> RecurrentError {
    var result = error(.protobufTruncated, offset, "\(left) bytes left in the message", expected)
    result.advice = "The file is cut off, or a length in it is damaged."
    return result
  }

  private static func error(
    _ reason: RecurrentError.Reason, _ offset: Int, _ found: String, _ expected: String
  ) -> RecurrentError {
    RecurrentError(reason, at: "byte \(offset)", found: found, expected: expected)
  }
}

extension ProtobufField {
  private func mismatch(_ expected: String) -> RecurrentError {
    RecurrentError(
      .protobufWireType, at: "byte \(offset)",
      found: "field \(number) with another wire type", expected: expected)
  }

  /// The value as a number.
  package func unsigned() throws -> UInt64 {
    guard case .varint(let value) = value else { throw mismatch("a varint") }
    return value
  }

  /// The value as a signed number.
  package func integer() throws -> Int { Int(truncatingIfNeeded: try unsigned()) }

  /// The value as the range of a message, a string or packed numbers.
  package func range() throws -> Range<Int> {
    guard case .bytes(let range) = value else { throw mismatch("a length-delimited value") }
    return range
  }

  /// The value as a binary32.
  package func float(_ bytes: ProtobufBytes) throws -> Float {
    guard case .fixed32(let range) = value else { throw mismatch("four bytes") }
    return Float(bitPattern: UInt32(littleEndian: try bytes.bytes(range, limit: 4)))
  }

  /// The value as a message.
  package func message(_ bytes: ProtobufBytes) throws -> ProtobufReader {
    ProtobufReader(bytes, try range())
  }

  /// The value as a name; throws `protobuf.utf8`, or `protobuf.limit` beyond 64 KiB.
  package func name(_ bytes: ProtobufBytes) throws -> Name {
    guard let name = Name(validating: try bytes.bytes(range(), limit: 1 << 16)) else {
      throw RecurrentError(
        .protobufUTF8, at: "byte \(offset)", found: "bytes that are not UTF-8",
        expected: "UTF-8 text")
    }
    return name
  }

  /// The value as text; throws like ``name(_:)``, beyond 16 MiB.
  package func text(_ bytes: ProtobufBytes, limit: Int = 1 << 24) throws -> String {
    let raw = try bytes.bytes(range(), limit: limit)
    if let invalid = firstInvalidUTF8(raw) {
      throw RecurrentError(
        .protobufUTF8, at: "byte \(offset + invalid)",
        found: "bytes that are not UTF-8", expected: "UTF-8 text")
    }
    return String(decoding: raw, as: UTF8.self)
  }

  /// Appends the numbers of a repeated field, packed or not; each costs a field of the allowance.
  package func appendIntegers(to numbers: inout [Int], _ bytes: ProtobufBytes) throws {
    if case .varint(let value) = value {
      numbers.append(Int(truncatingIfNeeded: value))
      return
    }
    var packed = try message(bytes)
    while let value = try packed.nextPacked() {
      try bytes.charge(1, at: offset)
      numbers.append(Int(truncatingIfNeeded: value))
    }
  }
}
