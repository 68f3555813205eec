import Tensors

/// Where a writer puts its bytes, in order.
package protocol ByteSink: AnyObject {
  /// Appends bytes; throws with kind `.inputOutput` when the system refuses them.
  func write(_ bytes: UnsafeRawBufferPointer) throws

  /// Appends everything that a source holds; throws what either of them throws.
  func write(_ source: any ByteSource) throws

  /// Appends everything that a source holds, and shows every run of it with its position in the source, in
  /// any order.
  func write(
    _ source: any ByteSource, noting note: (Int, UnsafeRawBufferPointer) -> Void) throws

  /// Puts other bytes in the place of some that were written, at `offset` from the first of all.
  func replace(at offset: Int, with bytes: [UInt8]) throws
}

extension ByteSink {
  /// Appends bytes in memory.
  package func write(_ bytes: [UInt8]) throws { try bytes.withUnsafeBytes { try write($0) } }

  /// Appends a source piece by piece.
  package func write(_ source: any ByteSource) throws { try source.forEachChunk { try write($0) } }

  /// Appends a source piece by piece.
  package func write(
    _ source: any ByteSource, noting note: (Int, UnsafeRawBufferPointer) -> Void
  ) throws { try writeInOrder(source, noting: note) }

  package func writeInOrder(
    _ source: any ByteSource, noting note: (Int, UnsafeRawBufferPointer) -> Void
  ) throws {
    var offset = 0
    try source.forEachChunk {
      note(offset, $0)
      try write($0)
      offset += $0.count
    }
  }
}

/// Collects bytes in memory.
package final class MemorySink: ByteSink {
  /// What was written so far.
  package private(set) var bytes: [UInt8] = []

  /// Creates an empty sink.
  package init() {}

  /// Appends bytes.
  package func write(_ bytes: UnsafeRawBufferPointer) throws {
    self.bytes.append(contentsOf: bytes)
  }

  /// Overwrites bytes, which must be there.
  package func replace(at offset: Int, with bytes: [UInt8]) throws {
    self.bytes.replaceSubrange(offset..<offset + bytes.count, with: bytes)
  }
}
