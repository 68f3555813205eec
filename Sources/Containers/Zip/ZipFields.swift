import Bytes
import Tensors

/// A cursor over little-endian fields; every read is checked.
package struct ZipFields {
  private var reader: ByteReader
  private let place: String

  package init(_ bytes: ArraySlice<UInt8>, at place: String) {
    reader = ByteReader(bytes)
    self.place = place
  }

  package init(_ bytes: [UInt8], at place: String) { self.init(bytes[...], at: place) }

  package var remaining: Int { reader.count }

  package mutating func take(_ count: Int) throws -> ArraySlice<UInt8> {
    do { return try reader.take(count) } catch {
      throw RecurrentError(
        .zipTruncated, at: place, found: "\(error.left) bytes left",
        expected: "\(error.wanted)")
    }
  }

  package mutating func u16() throws -> Int { Int(try unsigned(2)) }
  package mutating func u32() throws -> UInt64 { try unsigned(4) }
  package mutating func u64() throws -> UInt64 { try unsigned(8) }

  private mutating func unsigned(_ count: Int) throws -> UInt64 {
    UInt64(littleEndian: try take(count))
  }

  /// The value of an extra-field record, or `nil`; trailing bytes that form no record are ignored,
  /// because old versions of Android's zipalign write them.
  package static func extra(_ id: Int, in bytes: ArraySlice<UInt8>, at place: String) throws
    -> ArraySlice<UInt8>?
  {
    var fields = ZipFields(bytes, at: place)
    var found: ArraySlice<UInt8>?
    while fields.remaining >= 4 {
      let record = try fields.u16()
      let value = try fields.take(try fields.u16())
      guard record == id else { continue }
      guard found == nil else {
        throw RecurrentError(
          .zipExtra, at: place, found: "extra field \(id) twice", expected: "once")
      }
      found = value
    }
    return found
  }
}

/// Turns a 64-bit field of the file into a position, refusing what no file can reach.
package func zipInt(_ value: UInt64, at place: String) throws -> Int {
  guard let result = Int(exactly: value), result <= Int.max / 4 else {
    throw RecurrentError(
      .zipSize, at: place, found: "a size or offset of \(value)",
      expected: "one inside the file")
  }
  return result
}
