/// Writes every byte at a descriptor's position; gives the error number of the call that failed, or 0.
package func writeFully(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32) -> Int32 {
  writeFully(bytes) { write(descriptor, $0, $1) }
}

/// Writes every byte from `position` on, wherever the descriptor's own is; gives the error number of the call
/// that failed, or 0.
package func writeFully(
  _ bytes: UnsafeRawBufferPointer, at position: Int, of descriptor: Int32
) -> Int32 {
  var position = off_t(position)
  return writeFully(bytes) {
    let count = pwrite(descriptor, $0, $1, position)
    position += off_t(max(0, count))
    return count
  }
}

private func writeFully(
  _ bytes: UnsafeRawBufferPointer, _ call: (UnsafeRawPointer?, Int) -> Int
) -> Int32 {
  var done = 0
  while done < bytes.count {
    let count = call(bytes.baseAddress.map { $0 + done }, bytes.count - done)
    if count < 0, errno == EINTR { continue }
    // A call that takes nothing would be made for ever.
    guard count > 0 else { return count < 0 ? errno : EIO }
    done += count
  }
  return 0
}
