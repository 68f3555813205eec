#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

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
  public let source: any ByteSource

  /// Creates a tensor over a source; throws `tensor.size` when the source's length does not fit.
  public init(dtype: DType, shape: [Int], source: any ByteSource) throws {
    let bytes = try Tensors.byteCount(of: shape, elementSize: dtype.byteCount)
    guard bytes == source.count else {
      throw RecurrentError(
        .malformed, "tensor.size", found: "\(source.count) bytes",
        expected: "\(bytes) bytes for \(dtype.rawValue) \(shape)")
    }
    self.dtype = dtype
    self.shape = shape
    self.source = source
  }

  /// Creates a tensor in memory.
  public init(dtype: DType, shape: [Int], bytes: [UInt8]) throws {
    try self.init(dtype: dtype, shape: shape, source: MemorySource(bytes))
  }

  /// The number of elements.
  public var elementCount: Int { shape.reduce(1, *) }

  /// The number of bytes.
  public var byteCount: Int { source.count }

  /// Reads the bytes.
  public func bytes() throws -> [UInt8] { try source.readAll() }

  /// The same bytes held in memory.
  public func loaded() throws -> Tensor {
    try Tensor(dtype: dtype, shape: shape, bytes: bytes())
  }

  /// Whether dtype, shape and every byte agree; reads both in pieces.
  public func isIdentical(to other: Tensor) throws -> Bool {
    guard dtype == other.dtype, shape == other.shape else { return false }
    var offset = 0
    var isIdentical = true
    let size = max(1, min(byteCount, 1 << 18))
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 64)
    defer { buffer.deallocate() }
    try source.forEachChunk(of: size) { piece in
      guard isIdentical, let bytes = piece.baseAddress, let others = buffer.baseAddress else {
        return
      }
      try other.source.read(
        at: offset, into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<piece.count]))
      isIdentical = memcmp(bytes, others, piece.count) == 0
      offset += piece.count
    }
    return isIdentical
  }
}
