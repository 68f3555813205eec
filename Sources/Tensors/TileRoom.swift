#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// The memory in which tensors are transposed, lent to one of them at a time.
///
/// Fresh pages cost as much as what is done in them, so the tensors of one state dict share theirs. They
/// are taken when the first tensor needs them, and given back with the last.
public final class TileRoom: @unchecked Sendable {
  /// The bytes for a tile.
  static let tileBytes = 14 << 20
  /// The bytes for what two threads read from a file at once; it is still in the processor's cache when it
  /// moves into a tile.
  static let stagingBytes = 1 << 19

  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  // Guarded by the mutex.
  private var pages: UnsafeMutableRawBufferPointer?

  /// Creates a room that has no memory yet.
  public init() {
    mutex.initialize(to: pthread_mutex_t())
    pthread_mutex_init(mutex, nil)
  }

  deinit {
    if let pages { munmap(pages.baseAddress, pages.count) }
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
  }

  /// Lends memory for a tile and for staging; what lies in it is left over from the borrower before.
  ///
  /// Who comes while it is lent gets other memory.
  func lend(
    _ body: (_ tile: UnsafeMutableRawBufferPointer, _ staging: UnsafeMutableRawBufferPointer) throws
      -> Void
  ) throws {
    guard pthread_mutex_trylock(mutex) == 0 else { return try TileRoom().lend(body) }
    defer { pthread_mutex_unlock(mutex) }
    let pages = try self.pages ?? mappedPages(Self.tileBytes + Self.stagingBytes)
    self.pages = pages
    try body(
      UnsafeMutableRawBufferPointer(rebasing: pages[..<Self.tileBytes]),
      UnsafeMutableRawBufferPointer(rebasing: pages[Self.tileBytes...]))
  }
}
