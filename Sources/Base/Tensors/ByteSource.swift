/// Bytes that can be read by position: memory, a window on an open file, or a view computed on demand.
///
/// A source knows its length without reading anything, so shapes can be checked before memory is taken.
package protocol ByteSource: Sendable {
  /// The number of bytes.
  var count: Int { get }

  /// Fills `buffer` with the bytes that begin at `offset`, or throws; a short read is an error.
  ///
  /// `offset + buffer.count` must not exceed `count`.
  func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws

  /// Lets the system append bytes to an open file that never pass through this process, and returns how
  /// many of them, from the beginning of `range`, it took.
  ///
  /// The others must be read and written, and what hinders the system is found there.
  func copy(_ range: Range<Int>, to descriptor: Int32) -> Int

  /// Whether `forEachRun` delivers the bytes much faster than reading them in their order.
  var isTiled: Bool { get }

  /// Calls `body` with every byte once, in runs with their positions; `order` is what suits the caller, and
  /// the runs may come in another.
  func forEachRun(
    _ order: RunOrder, _ body: (Int, UnsafeRawBufferPointer) throws -> Void) throws
}

extension ByteSource {
  /// Most bytes are cheapest in their order.
  package var isTiled: Bool { false }

  /// Calls `body` with consecutive pieces.
  package func forEachRun(
    _ order: RunOrder, _ body: (Int, UnsafeRawBufferPointer) throws -> Void
  ) throws {
    try forEachPiece(body)
  }

  /// Calls `body` with consecutive pieces and their positions.
  package func forEachPiece(_ body: (Int, UnsafeRawBufferPointer) throws -> Void) throws {
    var offset = 0
    try forEachChunk {
      try body(offset, $0)
      offset += $0.count
    }
  }

  /// The system knows nothing about these bytes.
  package func copy(_ range: Range<Int>, to descriptor: Int32) -> Int { 0 }

  /// Reads a range into memory.
  package func read(_ range: Range<Int>) throws -> [UInt8] {
    guard range.lowerBound >= 0, range.upperBound <= count else {
      throw RecurrentError(
        .fileTruncated, at: "byte \(range.lowerBound)",
        found: "only \(count) bytes", expected: "at least \(range.upperBound)")
    }
    return try [UInt8](unsafeUninitializedCapacity: range.count) { buffer, initialized in
      try read(at: range.lowerBound, into: UnsafeMutableRawBufferPointer(buffer))
      initialized = range.count
    }
  }

  /// Reads everything into memory.
  package func readAll() throws -> [UInt8] { try read(0..<count) }

  /// Calls `body` with consecutive pieces of at most `size` bytes, so that memory stays bounded; such
  /// a piece is still in the processor's cache when it is used.
  package func forEachChunk(
    of size: Int = 1 << 18, _ body: (UnsafeRawBufferPointer) throws -> Void
  ) throws {
    try withScratch(max(1, min(size, count))) { buffer in
      var offset = 0
      while offset < count {
        let length = min(buffer.count, count - offset)
        let piece = UnsafeMutableRawBufferPointer(rebasing: buffer[0..<length])
        try read(at: offset, into: piece)
        try body(UnsafeRawBufferPointer(piece))
        offset += length
      }
    }
  }
}

/// The order in which somebody wants to have the bytes of a source.
package enum RunOrder: Sendable {
  /// Forwards, as long as that does not cost much.
  case forwards
  /// Whatever is the fastest.
  case any
}

/// Bytes in memory.
package struct MemorySource: ByteSource {
  /// The bytes.
  package let bytes: [UInt8]

  /// Wraps bytes.
  package init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// The number of bytes.
  package var count: Int { bytes.count }

  /// Copies the bytes that begin at `offset`.
  package func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
    bytes.withUnsafeBytes {
      buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[offset..<offset + buffer.count]))
    }
  }
}

/// A range of another source.
package struct WindowSource: ByteSource {
  /// The source that the window looks at.
  package let base: any ByteSource
  /// Where the window begins.
  package let offset: Int
  /// The number of bytes.
  package let count: Int

  /// Creates a window; the range must lie inside `base`.
  package init(_ base: any ByteSource, offset: Int, count: Int) throws {
    let (end, overflow) = offset.addingReportingOverflow(count)
    guard offset >= 0, count >= 0, !overflow, end <= base.count else {
      throw RecurrentError(
        .fileTruncated, at: "byte \(offset)",
        found: "\(max(0, base.count - max(0, offset))) bytes", expected: "\(count)")
    }
    self.base = base
    self.offset = offset
    self.count = count
  }

  /// Reads through to the base.
  package func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
    try base.read(at: self.offset + offset, into: buffer)
  }

  /// Passes the range on to the base.
  package func copy(_ range: Range<Int>, to descriptor: Int32) -> Int {
    base.copy(offset + range.lowerBound..<offset + range.upperBound, to: descriptor)
  }
}

/// The elements of another source with the byte order of each reversed.
package struct ByteSwappedSource: ByteSource {
  /// The source with big-endian elements.
  package let base: any ByteSource
  /// Bytes per element.
  package let elementSize: Int

  /// Wraps a source whose elements have `elementSize` bytes.
  package init(_ base: any ByteSource, elementSize: Int) {
    self.base = base
    self.elementSize = elementSize
  }

  /// The number of bytes.
  package var count: Int { base.count }

  /// Reads whole elements, swaps, and copies the part asked for.
  package func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
    let first = offset / elementSize * elementSize
    let end = (offset + buffer.count + elementSize - 1) / elementSize * elementSize
    var bytes = try base.read(first..<end)
    for start in stride(from: 0, to: bytes.count, by: elementSize) {
      bytes[start..<start + elementSize].reverse()
    }
    bytes.withUnsafeBytes {
      let begin = offset - first
      buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[begin..<begin + buffer.count]))
    }
  }
}

/// The number of elements of a shape, with every product checked.
package func elementCount(of shape: [Int]) throws -> Int {
  // Zeros make the count zero, but a size beside them that no file could have is a lie in any order.
  var product = 1
  var isEmpty = false
  for size in shape {
    guard size >= 0 else {
      throw RecurrentError(
        .tensorShape, found: "shape \(shape)", expected: "no negative size")
    }
    isEmpty = isEmpty || size == 0
    let (next, overflow) = product.multipliedReportingOverflow(by: max(size, 1))
    guard !overflow else {
      throw RecurrentError(
        .tensorShape, found: "shape \(shape)",
        expected: "a number of elements that fits in 63 bits")
    }
    product = next
  }
  return isEmpty ? 0 : product
}

/// The number of bytes of a shape, with every product checked.
package func byteCount(of shape: [Int], elementSize: Int) throws -> Int {
  let (bytes, overflow) = try elementCount(of: shape).multipliedReportingOverflow(by: elementSize)
  guard !overflow else {
    throw RecurrentError(
      .tensorShape, found: "shape \(shape)",
      expected: "a number of bytes that fits in 63 bits")
  }
  return bytes
}
