/// A matrix rearranged for products, at an address that vectors like; never written once it is made.
final class PackedMatrix<S: Scalar>: @unchecked Sendable {
  let elements: UnsafePointer<S>
  private let storage: UnsafeMutableRawPointer

  /// Allocates `count` elements, which `fill` must all write.
  init(count: Int, fill: (UnsafeMutablePointer<S>) -> Void) {
    storage = UnsafeMutableRawPointer.allocate(
      byteCount: max(1, count) * MemoryLayout<S>.stride, alignment: 64)
    let memory = storage.bindMemory(to: S.self, capacity: count)
    fill(memory)
    elements = UnsafePointer(memory)
  }

  deinit { storage.deallocate() }
}
