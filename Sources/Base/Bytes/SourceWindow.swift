import Tensors

/// A source that is read in many small steps, mostly forwards: a window of it is kept in memory.
package struct SourceWindow: Sendable {
  /// What is read.
  package let source: any ByteSource
  /// How much is read at once.
  private let size: Int
  private var bytes: [UInt8] = []
  private var start = 0

  /// Wraps a source; `size` is how much is read at once.
  package init(_ source: any ByteSource, size: Int) {
    self.source = source
    self.size = size
  }

  /// One byte; `offset` must lie inside the source.
  package mutating func byte(at offset: Int) throws -> UInt8 {
    if offset < start || offset >= start + bytes.count { try move(to: offset) }
    return bytes[offset - start]
  }

  /// A range; throws `file.truncated` where it does not lie inside the source.
  package mutating func bytes(_ range: Range<Int>) throws -> ArraySlice<UInt8> {
    if range.lowerBound < start || range.upperBound > start + bytes.count {
      // What is longer than a window would push out what lies around it; the source itself refuses what it
      // does not have.
      guard range.count <= size, range.upperBound <= source.count else {
        return try source.read(range)[...]
      }
      try move(to: range.lowerBound)
    }
    return bytes[range.lowerBound - start..<range.upperBound - start]
  }

  private mutating func move(to offset: Int) throws {
    bytes = try source.read(offset..<min(source.count, offset + size))
    start = offset
  }
}
