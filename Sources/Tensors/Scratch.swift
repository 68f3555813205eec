#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// Memory for one piece of work, given back at once and as a whole.
///
/// Large pieces are pages of their own: a heap that gets and returns large blocks grows to several times
/// their size. Throws `memory.block` when the system has none.
func withScratch<Result>(
  _ byteCount: Int, _ body: (UnsafeMutableRawBufferPointer) throws -> Result
) throws -> Result {
  guard byteCount >= 1 << 17 else {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 64)
    defer { buffer.deallocate() }
    return try body(buffer)
  }
  let pages = try mappedPages(byteCount)
  defer { munmap(pages.baseAddress, pages.count) }
  return try body(pages)
}

/// Fresh pages, all zero, which `munmap` gives back.
func mappedPages(_ byteCount: Int) throws -> UnsafeMutableRawBufferPointer {
  let pages = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0)
  guard let pages, pages != MAP_FAILED else {
    throw RecurrentError(
      .resources, "memory.block", found: String(cString: strerror(errno)),
      expected: "\(byteCount) bytes of memory")
  }
  #if os(Linux)
    // Thousands of page faults for one block take as long as the work on it.
    if byteCount >= 2 << 20 { madvise(pages, byteCount, MADV_HUGEPAGE) }
  #endif
  return UnsafeMutableRawBufferPointer(start: pages, count: byteCount)
}
