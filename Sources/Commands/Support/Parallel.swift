import HostSystem
import Recurrent

/// The results of `work` for 0..<count in order, of which at most `jobs` run at the same time.
public func inParallel<Result: Sendable>(
  _ count: Int, jobs: Int, _ work: @Sendable (Int) -> Result
) -> [Result] {
  let board = Board<Result>(count: count)
  withoutActuallyEscaping(work) { work in
    let thread = WorkerThread {
      while let index = board.next() { board.finish(index, work(index)) }
    }
    // This thread is one of them; where the system gives no more, it does the work alone.
    let others = (1..<max(1, min(count, jobs))).compactMap { _ in thread.start() }
    thread.body()
    for other in others { pthread_join(other, nil) }
  }
  return board.results
}

/// The processors that are online.
public func processorCount() -> Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }

private final class Board<Result: Sendable>: @unchecked Sendable {
  private let lock = Lock()
  // Guarded by the lock.
  private var position = 0
  private var slots: [Result?]

  init(count: Int) { slots = Array(repeating: nil, count: count) }

  func next() -> Int? {
    lock.withLock {
      guard position < slots.count else { return nil }
      defer { position += 1 }
      return position
    }
  }

  func finish(_ index: Int, _ result: Result) { lock.withLock { slots[index] = result } }

  var results: [Result] { lock.withLock { slots.compactMap { $0 } } }
}
