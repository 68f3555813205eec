import HostSystem
import Tensors

/// The block that a computed source worked out last.
///
/// Working out a block costs the same however few of its bytes are read at once, so it is kept until its
/// last byte was handed out. Reading forwards computes every block once and holds one at a time.
package final class BlockCache: @unchecked Sendable {
  /// The size that blocks should have in bytes.
  ///
  /// Transposing reads runs of a block's rows, so larger blocks mean fewer and longer reads.
  package static let blockSize = 12 << 20

  private let lock = Lock()
  // Guarded by the lock.
  private var block: UnsafeMutableRawBufferPointer?
  private var start = 0

  /// Creates an empty cache.
  package init() {}

  deinit { release() }

  /// Fills `buffer` with the bytes from `offset` on.
  ///
  /// `blockAt` names the block that a position belongs to; `fill` works out the bytes of a block, which
  /// are zero before.
  package func read(
    at offset: Int, into buffer: UnsafeMutableRawBufferPointer, blockAt: (Int) -> Range<Int>,
    fill: (Range<Int>, UnsafeMutableRawBufferPointer) throws -> Void
  ) throws {
    try lock.withLock {
      var done = 0
      while done < buffer.count {
        let position = offset + done
        let current = try held(position) ?? compute(blockAt(position), fill)
        let begin = position - start
        let length = min(buffer.count - done, current.count - begin)
        UnsafeMutableRawBufferPointer(rebasing: buffer[done..<done + length])
          .copyMemory(from: UnsafeRawBufferPointer(rebasing: current[begin..<begin + length]))
        done += length
        if begin + length == current.count { release() }
      }
    }
  }

  private func held(_ position: Int) -> UnsafeMutableRawBufferPointer? {
    guard let block, position >= start, position < start + block.count else { return nil }
    return block
  }

  private func compute(
    _ range: Range<Int>, _ fill: (Range<Int>, UnsafeMutableRawBufferPointer) throws -> Void
  ) throws -> UnsafeMutableRawBufferPointer {
    release()
    let fresh = try mappedPages(range.count)
    (block, start) = (fresh, range.lowerBound)
    do {
      try fill(range, fresh)
    } catch {
      release()
      throw error
    }
    return fresh
  }

  private func release() {
    if let block { unmapPages(block) }
    block = nil
  }
}
