import Tensors

/// The bytes of a pickle and how far it has been read.
package struct PickleProgram {
  package let bytes: [UInt8]
  package private(set) var position = 0
  /// Whether the bytes ended before the pickle did.
  package private(set) var ranOut = false

  package init(_ bytes: [UInt8]) { self.bytes = bytes }

  package mutating func take(_ count: Int) throws -> ArraySlice<UInt8> {
    guard count >= 0, count <= bytes.count - position else {
      ranOut = true
      throw failure("\(bytes.count - position) bytes left", "\(count)")
    }
    defer { position += count }
    return bytes[position..<position + count]
  }

  package mutating func byte() throws -> UInt8 {
    guard position < bytes.count else {
      ranOut = true
      throw failure("the end", "an opcode")
    }
    defer { position += 1 }
    return bytes[position]
  }

  package mutating func unsigned(_ count: Int) throws -> UInt64 {
    try take(count).reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }

  package mutating func length(_ width: Int) throws -> Int {
    let value = try width == 1 ? UInt64(byte()) : unsigned(width)
    guard value <= UInt64(bytes.count - position) else {
      ranOut = true
      throw failure("a length of \(value)", "at most the bytes that are left")
    }
    return Int(value)
  }

  package mutating func line() throws -> String {
    guard let end = bytes[position...].prefix(4096).firstIndex(of: 0x0A) else {
      ranOut = bytes.count - position < 4096
      throw failure("a name without end", "a short line")
    }
    defer { position = end + 1 }
    return String(decoding: bytes[position..<end], as: UTF8.self)
  }

  /// Checks that a frame of the length that comes next is there; its content is read as usual.
  package mutating func frame() throws {
    guard try unsigned(8) <= UInt64(bytes.count - position) else {
      ranOut = true
      throw failure("a frame that reaches past the end", "one inside the pickle")
    }
  }

  package var place: String { "pickle, byte \(max(0, position - 1))" }

  package func failure(
    _ found: String, _ expected: String, _ kind: RecurrentError.Kind = .malformed
  ) -> RecurrentError {
    RecurrentError(
      kind, kind == .malformed ? "pickle.malformed" : "pickle.protocol", at: place, found: found,
      expected: expected)
  }
}
