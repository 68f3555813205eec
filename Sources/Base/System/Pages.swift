/// Fresh pages of memory, all zero, which `unmapPages` gives back; `nil`, with `errno` set, where the system
/// has none.
package func mapPages(_ byteCount: Int) -> UnsafeMutableRawBufferPointer? {
  let pages = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0)
  guard let pages, pages != MAP_FAILED else { return nil }
  #if os(Linux)
    // Thousands of page faults for one block take as long as the work on it.
    if byteCount >= 2 << 20 { madvise(pages, byteCount, MADV_HUGEPAGE) }
  #endif
  return UnsafeMutableRawBufferPointer(start: pages, count: byteCount)
}

/// Gives pages back.
package func unmapPages(_ pages: UnsafeMutableRawBufferPointer) {
  munmap(pages.baseAddress, pages.count)
}
