import Bytes
import Tensors

/// The bytes of a pickle and how far it has been read.
package struct PickleProgram {
  package let bytes: [UInt8]
  private var reader: ByteReader
  /// Whether the bytes ended before the pickle did.
  package private(set) var ranOut = false

  package init(_ bytes: [UInt8]) {
    self.bytes = bytes
    reader = ByteReader(bytes)
  }

  /// The next byte.
  package var position: Int { reader.position }

  package mutating func take(_ count: Int) throws -> ArraySlice<UInt8> {
    do { return try reader.take(count) } catch {
      ranOut = true
      throw failure("\(error.left) bytes left", "\(error.wanted)")
    }
  }

  package mutating func byte() throws -> UInt8 {
    do { return UInt8(truncatingIfNeeded: try reader.unsigned(1)) } catch {
      ranOut = true
      throw failure("the end", "an opcode")
    }
  }

  package mutating func unsigned(_ count: Int) throws -> UInt64 {
    UInt64(littleEndian: try take(count))
  }

  package mutating func length(_ width: Int) throws -> Int {
    let value = try width == 1 ? UInt64(byte()) : unsigned(width)
    guard value <= UInt64(reader.count) else {
      ranOut = true
      throw failure("a length of \(value)", "at most the bytes that are left")
    }
    return Int(value)
  }

  package mutating func line() throws -> String {
    guard let line = reader.bytes(until: 0x0A, limit: 4096) else {
      ranOut = reader.count < 4096
      throw failure("a name without end", "a short line")
    }
    return String(decoding: line, as: UTF8.self)
  }

  /// Checks that a frame of the length that comes next is there; its content is read as usual.
  package mutating func frame() throws {
    guard try unsigned(8) <= UInt64(reader.count) else {
      ranOut = true
      throw failure("a frame that reaches past the end", "one inside the pickle")
    }
  }

  package var place: String { "pickle, byte \(max(0, position - 1))" }

  package func failure(
    _ found: String, _ expected: String, _ reason: RecurrentError.Reason = .pickleMalformed
  ) -> RecurrentError {
    RecurrentError(reason, at: place, found: found, expected: expected)
  }
}
