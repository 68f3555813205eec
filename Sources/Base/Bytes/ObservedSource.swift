import Tensors

/// A source that tells which of its bytes were read; of runs without an order it tells how many.
struct ObservedSource: ByteSource {
  let base: any ByteSource
  let onRead: @Sendable (Range<Int>) -> Void

  var count: Int { base.count }

  func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
    try base.read(at: offset, into: buffer)
    onRead(offset..<offset + buffer.count)
  }

  func copy(_ range: Range<Int>, to descriptor: Int32) -> Int {
    let count = base.copy(range, to: descriptor)
    if count > 0 { onRead(range.lowerBound..<range.lowerBound + count) }
    return count
  }

  var isTiled: Bool { base.isTiled }

  func forEachRun(
    _ order: RunOrder, _ body: (Int, UnsafeRawBufferPointer) throws -> Void
  ) throws {
    var done = 0
    try base.forEachRun(order) { offset, bytes in
      try body(offset, bytes)
      onRead(done..<done + bytes.count)
      done += bytes.count
    }
  }
}

extension Tensor {
  /// The same tensor, calling `onRead` after every read with the bytes read.
  package func observed(_ onRead: @escaping @Sendable (Range<Int>) -> Void) throws -> Tensor {
    try Tensor(dtype: dtype, shape: shape, source: ObservedSource(base: source, onRead: onRead))
  }
}

extension StateDict {
  /// The same tensors, calling `onRead` after every read with the tensor's position and the bytes read;
  /// where a tensor is cheaper in another order, with as many from its beginning as were read.
  package func observed(
    _ onRead: @escaping @Sendable (_ position: Int, _ bytes: Range<Int>) -> Void
  ) throws -> StateDict {
    var result = StateDict()
    result.metadata = metadata
    result.structure = structure
    result.keepsOrder = keepsOrder
    result.ties = ties
    result.skipped = skipped
    for (position, entry) in entries.enumerated() {
      try result.append(entry.name, entry.tensor.observed { onRead(position, $0) })
    }
    return result
  }
}
