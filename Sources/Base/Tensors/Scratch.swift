import HostSystem

/// Memory for one piece of work, given back immediately and as a whole.
///
/// Large pieces are pages of their own: a heap that gets and returns large blocks grows to several times
/// their size. Throws `memory.block` when the system has none.
package func withScratch<Result>(
  _ byteCount: Int, _ body: (UnsafeMutableRawBufferPointer) throws -> Result
) throws -> Result {
  guard byteCount >= 1 << 17 else {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 64)
    defer { buffer.deallocate() }
    return try body(buffer)
  }
  let pages = try mappedPages(byteCount)
  defer { unmapPages(pages) }
  return try body(pages)
}

/// Fresh pages, all zero, which `unmapPages` gives back; throws `memory.block` when the system has none.
package func mappedPages(_ byteCount: Int) throws -> UnsafeMutableRawBufferPointer {
  guard let pages = mapPages(byteCount) else {
    throw RecurrentError(
      .memoryBlock, found: systemMessage(), expected: "\(byteCount) bytes of memory")
  }
  return pages
}
