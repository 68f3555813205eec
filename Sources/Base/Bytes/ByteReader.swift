/// A position in bytes that were read from a file: every read is checked, and none goes past the end.
///
/// A read that does not fit throws ``Shortage`` and moves nothing; each format turns that into its own error,
/// with its own words and place.
package struct ByteReader: Sendable {
  /// A read that needs more bytes than there are.
  package struct Shortage: Error {
    /// The bytes that the read needs.
    package let wanted: Int
    /// The bytes that are left.
    package let left: Int
  }

  private let bytes: ArraySlice<UInt8>
  /// The next byte, counted from the first.
  package private(set) var position = 0
  /// Where reading ends, counted from the first byte.
  package private(set) var end: Int

  /// Reads a slice from its first byte.
  package init(_ bytes: ArraySlice<UInt8>) {
    self.bytes = bytes
    end = bytes.count
  }

  /// Reads bytes from the first.
  package init(_ bytes: [UInt8]) { self.init(bytes[...]) }

  /// The number of bytes that are left.
  package var count: Int { end - position }

  /// The next `count` bytes.
  package mutating func take(_ count: Int) throws(Shortage) -> ArraySlice<UInt8> {
    guard count >= 0, count <= end - position else {
      throw Shortage(wanted: count, left: end - position)
    }
    let start = bytes.startIndex + position
    position += count
    return bytes[start..<start + count]
  }

  /// The next number of `width` bytes, at most eight, the lowest byte first.
  package mutating func unsigned(_ width: Int) throws(Shortage) -> UInt64 {
    UInt64(littleEndian: try take(width))
  }

  /// The next bytes up to `stop`, which is passed over; `nil` where there is none among the next `limit`.
  package mutating func bytes(until stop: UInt8, limit: Int = .max) -> ArraySlice<UInt8>? {
    let start = bytes.startIndex + position
    let rest = bytes[start..<bytes.startIndex + end].prefix(limit)
    guard let found = rest.firstIndex(of: stop) else { return nil }
    position = found - bytes.startIndex + 1
    return bytes[start..<found]
  }

  /// A reader of the next `count` bytes, which are passed over.
  package mutating func part(_ count: Int) throws(Shortage) -> ByteReader {
    var part = self
    part.end = position + (try take(count)).count
    return part
  }

  /// Goes to `offset`, counted from the first byte.
  package mutating func move(to offset: Int) throws(Shortage) {
    guard offset >= 0, offset <= end else { throw Shortage(wanted: offset, left: end) }
    position = offset
  }

  /// What was read since `start`, counted from the first byte.
  package func read(since start: Int) -> ArraySlice<UInt8> {
    bytes[bytes.startIndex + start..<bytes.startIndex + position]
  }

  /// The next number of seven bits per byte, the lowest first; `nil` when it is cut off or has more than 64
  /// bits.
  package mutating func varint() -> UInt64? {
    var value: UInt64 = 0
    for index in 0..<min(10, count) {
      let byte = bytes[bytes.startIndex + position + index]
      // The tenth byte has room for one bit.
      guard index < 9 || byte < 2 else { return nil }
      value |= UInt64(byte & 0x7F) << UInt64(7 * index)
      if byte < 0x80 {
        position += index + 1
        return value
      }
    }
    return nil
  }
}

extension UInt64 {
  /// The number that at most eight bytes are, the lowest first.
  package init(littleEndian bytes: some BidirectionalCollection<UInt8>) {
    self = bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }

  /// The number that at most eight bytes are, the highest first.
  package init(bigEndian bytes: some Sequence<UInt8>) {
    self = bytes.reduce(0) { $0 << 8 | UInt64($1) }
  }
}

extension UInt32 {
  /// The number that at most four bytes are, the lowest first.
  package init(littleEndian bytes: some BidirectionalCollection<UInt8>) {
    self.init(truncatingIfNeeded: UInt64(littleEndian: bytes))
  }
}
