import CKernels

/// Uninitialised memory for elements, from the memory pool, aligned for vectors.
///
/// Large blocks return to the pool and are used again: new memory costs a page fault every 4 KB.
final class PooledMemory<S: Scalar>: @unchecked Sendable {
  let count: Int
  let elements: UnsafeMutablePointer<S>

  private var bytes: Int { count * MemoryLayout<S>.stride }

  init(count: Int) {
    self.count = count
    elements = ck_pool_take(count * MemoryLayout<S>.stride).bindMemory(to: S.self, capacity: count)
  }

  deinit { ck_pool_give(elements, bytes) }
}

extension Array where Element: Scalar {
  /// An array for a kernel to fill, every element of it.
  static func unfilled(_ count: Int) -> [Element] {
    if count > 16384 { ck_keep_the_heap() }
    return [Element](unsafeUninitializedCapacity: count) { $1 = count }
  }
}
