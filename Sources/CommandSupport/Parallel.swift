import Dispatch

#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// The results of `work` for 0..<count in order, of which at most `jobs` run at the same time.
public func inParallel<Result: Sendable>(
  _ count: Int, jobs: Int, _ work: @Sendable (Int) -> Result
) -> [Result] {
  let board = Board<Result>(count: count)
  DispatchQueue.concurrentPerform(iterations: min(count, max(1, jobs))) { _ in
    while let index = board.next() { board.finish(index, work(index)) }
  }
  return board.results
}

/// The processors that are online.
public func processorCount() -> Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }

private final class Board<Result: Sendable>: @unchecked Sendable {
  // Guarded by the serial queue.
  private let guardian = DispatchQueue(label: "results")
  private var position = 0
  private var slots: [Result?]

  init(count: Int) { slots = Array(repeating: nil, count: count) }

  func next() -> Int? {
    guardian.sync {
      guard position < slots.count else { return nil }
      defer { position += 1 }
      return position
    }
  }

  func finish(_ index: Int, _ result: Result) { guardian.sync { slots[index] = result } }

  var results: [Result] { guardian.sync { slots.compactMap { $0 } } }
}
