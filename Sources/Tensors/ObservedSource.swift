/// A source that tells how many of its bytes were read.
struct ObservedSource: ByteSource {
  let base: any ByteSource
  let onRead: @Sendable (Int) -> Void

  var count: Int { base.count }

  func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
    try base.read(at: offset, into: buffer)
    onRead(buffer.count)
  }
}

extension StateDict {
  /// The same tensors, calling `onRead` with the number of bytes after every read of any of them.
  public func observed(_ onRead: @escaping @Sendable (Int) -> Void) throws -> StateDict {
    var result = StateDict()
    result.metadata = metadata
    result.ties = ties
    result.skipped = skipped
    for entry in entries {
      let tensor = entry.tensor
      try result.append(
        entry.name,
        Tensor(
          dtype: tensor.dtype, shape: tensor.shape,
          source: ObservedSource(base: tensor.source, onRead: onRead)))
    }
    return result
  }
}
