import HostSystem

/// An array of a file: an element type known at run time, a shape, and bytes that are row-major,
/// contiguous and little-endian.
///
/// The bytes may be a window on an open file; nothing is read until they are asked for.
public struct Tensor: Sendable {
  /// The element type.
  public let dtype: DType
  /// The size of each axis; empty for a scalar.
  public let shape: [Int]
  /// Where the bytes come from.
  package let source: any ByteSource

  /// Creates a tensor over a source; throws `tensor.size` when the source's length does not fit.
  package init(dtype: DType, shape: [Int], source: any ByteSource) throws {
    let bytes = try Tensors.byteCount(of: shape, elementSize: dtype.byteCount)
    guard bytes == source.count else {
      throw RecurrentError(
        .tensorSize, found: "\(source.count) bytes",
        expected: "\(bytes) bytes for \(dtype.rawValue) \(shape)")
    }
    self.dtype = dtype
    self.shape = shape
    self.source = source
  }

  /// Creates a tensor in memory; throws `tensor.size` unless the bytes fill the shape exactly.
  public init(dtype: DType, shape: [Int], bytes: [UInt8]) throws {
    try self.init(dtype: dtype, shape: shape, source: MemorySource(bytes))
  }

  /// The number of elements.
  public var elementCount: Int { shape.reduce(1, *) }

  /// The number of bytes.
  public var byteCount: Int { source.count }

  /// Reads the bytes; throws `file.read` or `file.truncated` where that fails.
  public func bytes() throws -> [UInt8] { try source.readAll() }

  /// The same bytes held in memory.
  package func loaded() throws -> Tensor {
    try Tensor(dtype: dtype, shape: shape, bytes: bytes())
  }

  /// Whether dtype, shape and every byte agree; reads both in pieces.
  public func isIdentical(to other: Tensor) throws -> Bool {
    guard dtype == other.dtype, shape == other.shape else { return false }
    // One of them in the order that it likes best.
    let (first, second) = source.isTiled ? (source, other.source) : (other.source, source)
    var isIdentical = true
    try withScratch(max(1, min(byteCount, 1 << 18))) { buffer in
      func compare(_ offset: Int, _ run: UnsafeRawBufferPointer) throws {
        var done = 0
        while isIdentical, done < run.count {
          let piece = UnsafeRawBufferPointer(rebasing: run[done...].prefix(buffer.count))
          let others = UnsafeMutableRawBufferPointer(rebasing: buffer[..<piece.count])
          try second.read(at: offset + done, into: others)
          isIdentical = piece.isEqual(to: others)
          done += piece.count
        }
      }
      if second.isTiled {
        try first.forEachPiece(compare)
      } else {
        try first.forEachRun(.any, compare)
      }
    }
    return isIdentical
  }
}

extension UnsafeRawBufferPointer {
  fileprivate func isEqual(to other: UnsafeMutableRawBufferPointer) -> Bool {
    guard let start = baseAddress, let others = other.baseAddress else { return true }
    return memcmp(start, others, count) == 0
  }
}
