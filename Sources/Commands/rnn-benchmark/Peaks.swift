import CKernels

/// What this machine does at most at this moment: operations in registers, and bytes from each memory.
struct Peaks {
  /// Operations a second, one thread.
  let single, double: Double
  /// Bytes a second, one thread, by the size of what is read.
  let reading: [(bytes: Int, rate: Double)]

  init() {
    single = Peaks.arithmetic(4)
    double = Peaks.arithmetic(8)
    reading = [24 << 10, 512 << 10, 8 << 20, 256 << 20].map { ($0, Peaks.reading($0)) }
  }

  private static func arithmetic(_ elementSize: Int) -> Double {
    guard let kernels = ck_find(elementSize, nil) else { return 0 }
    return best(of: 12) { kernels.pointee.peak_arithmetic(200_000) }
  }

  private static func reading(_ bytes: Int) -> Double {
    guard let kernels = ck_find(4, nil) else { return 0 }
    let memory = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 4096)
    defer { memory.deallocate() }
    memory.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
    let repeats = max(1, (16 << 20) / bytes)
    return best(of: 10) {
      for _ in 0..<repeats { _ = kernels.pointee.peak_reading(memory, bytes / 4) }
      return Double(repeats * bytes)
    }
  }

  private static func best(of rounds: Int, _ body: () -> Double) -> Double {
    var best = 0.0
    for _ in 0..<rounds {
      let start = now()
      let amount = body()
      best = max(best, amount / (now() - start))
    }
    return best
  }
}
