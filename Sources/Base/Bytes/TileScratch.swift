import HostSystem
import Tensors

/// Scratch memory in which tensors are transposed, lent to one of them at a time.
///
/// Fresh pages cost as much as what is done in them, so the tensors of one state dict share theirs. They
/// are taken when the first tensor needs them, and given back with the last.
package final class TileScratch: @unchecked Sendable {
  /// The bytes for a tile.
  static let tileBytes = 14 << 20
  /// The bytes for what two threads read from a file concurrently; it is still in the processor's cache when it
  /// moves into a tile.
  static let stagingBytes = 1 << 19

  private let lock = Lock()
  // Guarded by the lock.
  private var pages: UnsafeMutableRawBufferPointer?

  /// Creates scratch memory that has no pages yet.
  package init() {}

  deinit {
    if let pages { unmapPages(pages) }
  }

  /// Lends memory for a tile and for staging; what lies in it is left over from the borrower before.
  ///
  /// Who comes while it is lent gets other memory.
  func lend(
    _ body: (_ tile: UnsafeMutableRawBufferPointer, _ staging: UnsafeMutableRawBufferPointer) throws
      -> Void
  ) throws {
    let done: Void? = try lock.withLockIfFree {
      let pages = try self.pages ?? mappedPages(Self.tileBytes + Self.stagingBytes)
      self.pages = pages
      try body(
        UnsafeMutableRawBufferPointer(rebasing: pages[..<Self.tileBytes]),
        UnsafeMutableRawBufferPointer(rebasing: pages[Self.tileBytes...]))
    }
    if done == nil { try TileScratch().lend(body) }
  }
}
