import Bytes
import Tensors

/// A bounded position in bytes that were read from the file; nothing is read past its end.
package struct HDF5Cursor {
  package let offsetSize: Int
  package let lengthSize: Int
  private var reader: ByteReader
  /// Where the bytes lie in the source.
  private let origin: Int

  package init(_ bytes: [UInt8], at origin: Int, offsetSize: Int, lengthSize: Int) {
    reader = ByteReader(bytes)
    self.origin = origin
    self.offsetSize = offsetSize
    self.lengthSize = lengthSize
  }

  /// The number of bytes that are left.
  package var count: Int { reader.count }
  /// The next byte, counted from the first.
  package var position: Int { reader.position }
  /// Where reading ends, counted from the first byte.
  package var end: Int { reader.end }

  /// The position, for messages.
  package var place: String { "byte \(origin + position)" }

  package mutating func u8() throws -> Int { Int(try uint(1)) }
  package mutating func u16() throws -> Int { Int(try uint(2)) }
  package mutating func u32() throws -> Int { Int(try uint(4)) }

  /// A little-endian number of `width` bytes, at most eight.
  package mutating func uint(_ width: Int) throws -> UInt64 {
    do { return try reader.unsigned(width) } catch { throw damage(error) }
  }

  /// An address; `nil` when it is undefined (all ones).
  package mutating func address() throws -> Int? {
    let place = place
    let value = try uint(offsetSize)
    if value == UInt64.max >> UInt64(64 - 8 * offsetSize) { return nil }
    return try fitting(value, "an address", at: place)
  }

  /// An address that must be defined.
  package mutating func requiredAddress(_ what: String) throws -> Int {
    let place = place
    guard let address = try address() else {
      throw RecurrentError(
        .hdf5Address, at: place, found: "no address of \(what)",
        expected: "an address inside the file")
    }
    return address
  }

  package mutating func length() throws -> Int {
    let place = place
    return try fitting(try uint(lengthSize), "a length", at: place)
  }

  /// A number of `width` bytes that must fit in 63 bits.
  package mutating func int(_ width: Int) throws -> Int {
    let place = place
    return try fitting(try uint(width), "a number", at: place)
  }

  package mutating func skip(_ count: Int) throws {
    do { _ = try reader.take(count) } catch { throw damage(error) }
  }

  package mutating func take(_ count: Int) throws -> [UInt8] {
    do { return Array(try reader.take(count)) } catch { throw damage(error) }
  }

  /// The bytes up to a NUL, which is passed over.
  package mutating func text(_ what: String) throws -> [UInt8] {
    guard let text = reader.bytes(until: 0) else {
      throw damage("\(what) without an end", "a NUL after it")
    }
    return Array(text)
  }

  /// A cursor on the next `count` bytes, which are passed over.
  package mutating func part(_ count: Int) throws -> HDF5Cursor {
    var part = self
    do { part.reader = try reader.part(count) } catch { throw damage(error) }
    return part
  }

  /// The same bytes from `offset` on, counted from the first.
  package func moved(to offset: Int) throws -> HDF5Cursor {
    var copy = self
    do { try copy.reader.move(to: offset) } catch {
      throw damage("an offset of \(offset)", "an offset of at most \(end)")
    }
    return copy
  }

  package mutating func expect(_ signature: String) throws {
    let place = place
    let found = try take(4)
    guard found == Array(signature.utf8) else {
      throw RecurrentError(
        .hdf5Structure, at: place, found: "the bytes \(found)",
        expected: "the signature \(signature)")
    }
  }

  package mutating func expect(version: Int, of what: String) throws {
    let place = place
    let found = try u8()
    guard found == version else {
      throw RecurrentError(
        .hdf5Structure, at: place, found: "version \(found) of \(what)",
        expected: "version \(version)")
    }
  }

  /// Reads a checksum and compares it with that of everything from `start` up to here.
  package mutating func expectChecksum(from start: Int = 0) throws {
    let place = place
    let computed = hdf5Checksum(reader.read(since: start))
    let stored = UInt32(truncatingIfNeeded: try uint(4))
    guard isRight(stored, for: computed) else {
      throw RecurrentError(
        .hdf5Checksum, at: place,
        found: "a checksum of \(String(stored, radix: 16))",
        expected: "\(String(computed, radix: 16)) for the bytes before it",
        hint: "The file is damaged; fetch or save it again.")
    }
  }

  /// An error at this position.
  package func damage(_ found: String, _ expected: String) -> RecurrentError {
    RecurrentError(.hdf5Structure, at: place, found: found, expected: expected)
  }

  /// A feature that the format has and this reader has not.
  package func outside(_ what: String) -> RecurrentError {
    RecurrentError(
      .hdf5OutsideSubset, at: place, found: what,
      expected: "what h5py, Keras and PyTables write")
  }

  private func damage(_ shortage: ByteReader.Shortage) -> RecurrentError {
    damage("\(shortage.left) bytes", "\(shortage.wanted) more")
  }

  private func fitting(_ value: UInt64, _ what: String, at place: String) throws -> Int {
    guard let number = Int(exactly: value) else {
      throw RecurrentError(
        .hdf5Address, at: place, found: "\(what) of \(value)",
        expected: "a number that fits in 63 bits")
    }
    return number
  }
}
