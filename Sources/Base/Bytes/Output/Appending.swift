import HostSystem
import Tensors

/// Writes every byte at a descriptor's position; `failure` makes an error of the system's number.
package func append(
  _ bytes: UnsafeRawBufferPointer, to descriptor: Int32, _ failure: (Int32) -> RecurrentError
) throws {
  let code = writeFully(bytes, to: descriptor)
  if code != 0 { throw failure(code) }
}

/// Writes every byte at `position`, wherever the descriptor's own is.
package func put(
  _ bytes: UnsafeRawBufferPointer, at position: Int, of descriptor: Int32,
  _ failure: (Int32) -> RecurrentError
) throws {
  let code = writeFully(bytes, at: position, of: descriptor)
  if code != 0 { throw failure(code) }
}

/// Writes a source at a descriptor's position, inside the kernel as far as that takes it, or in the order
/// that the source likes best.
package func append(
  _ source: any ByteSource, to descriptor: Int32, _ failure: (Int32) -> RecurrentError
) throws {
  if source.isTiled { return try appendRuns(of: source, to: descriptor, { _, _ in }, failure) }
  var done = 0
  while done < source.count {
    let copied = source.copy(done..<min(source.count, done + 8 << 20), to: descriptor)
    guard copied > 0 else { break }
    done += copied
  }
  try WindowSource(source, offset: done, count: source.count - done).forEachChunk {
    try append($0, to: descriptor, failure)
  }
}

/// Linux takes the pages of a file in blocks as long as a write, and long blocks are slow to find.
private let longestWrite = 1 << 17

/// Writes a tiled source at a descriptor's position, and shows every run before it is written.
package func appendRuns(
  of source: any ByteSource, to descriptor: Int32,
  _ note: (Int, UnsafeRawBufferPointer) -> Void, _ failure: (Int32) -> RecurrentError
) throws {
  let start = lseek(descriptor, 0, SEEK_CUR)
  guard start >= 0 else { throw failure(errno) }
  try source.forEachRun(.forwards) { offset, run in
    note(offset, run)
    for piece in stride(from: 0, to: run.count, by: longestWrite) {
      let bytes = UnsafeRawBufferPointer(rebasing: run[piece...].prefix(longestWrite))
      try put(bytes, at: Int(start) + offset + piece, of: descriptor, failure)
    }
  }
  let end = start + off_t(source.count)
  guard lseek(descriptor, end, SEEK_SET) == end else { throw failure(errno) }
}
