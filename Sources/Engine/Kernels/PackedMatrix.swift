/// A matrix rearranged for products, at an address that vectors like; never written once it is made.
final class PackedMatrix<S: Scalar>: @unchecked Sendable {
  let elements: UnsafePointer<S>
  private let storage: UnsafeMutableRawPointer

  /// Makes room for `count` elements, which `fill` must all write.
  init(count: Int, fill: (UnsafeMutablePointer<S>) -> Void) {
    storage = UnsafeMutableRawPointer.allocate(
      byteCount: max(1, count) * MemoryLayout<S>.stride, alignment: 64)
    let room = storage.bindMemory(to: S.self, capacity: count)
    fill(room)
    elements = UnsafePointer(room)
  }

  deinit { storage.deallocate() }
}
