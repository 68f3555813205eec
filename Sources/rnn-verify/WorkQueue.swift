import Dispatch
import Recurrent

#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// Hands out fixtures to workers and collects results in order.
final class WorkQueue: @unchecked Sendable {
  // Guarded by the serial queue.
  private let guardian = DispatchQueue(label: "results")
  private var position = 0
  private var slots: [FixtureResult?]

  init(count: Int) { slots = Array(repeating: nil, count: count) }

  func next() -> Int? {
    guardian.sync {
      guard position < slots.count else { return nil }
      defer { position += 1 }
      return position
    }
  }

  func finish(_ index: Int, _ result: FixtureResult) {
    guardian.sync { slots[index] = result }
  }

  var results: [FixtureResult] { guardian.sync { slots.compactMap { $0 } } }
}

/// The processors that are online.
func coreCount() -> Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }
