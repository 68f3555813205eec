/// A source that tells which of its bytes were read.
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
}

extension StateDict {
  /// The same tensors, calling `onRead` after every read with the tensor's position and the bytes read.
  public func observed(
    _ onRead: @escaping @Sendable (_ position: Int, _ bytes: Range<Int>) -> Void
  ) throws -> StateDict {
    var result = StateDict()
    result.metadata = metadata
    result.ties = ties
    result.skipped = skipped
    for (position, entry) in entries.enumerated() {
      let source = ObservedSource(base: entry.tensor.source) { onRead(position, $0) }
      try result.append(
        entry.name,
        Tensor(dtype: entry.tensor.dtype, shape: entry.tensor.shape, source: source))
    }
    return result
  }
}
