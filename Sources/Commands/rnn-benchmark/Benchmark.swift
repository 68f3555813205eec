// Times the engine for tools/benchmark, which times the peers on the same points in the same minute and
// in turns. A request is a line on standard input, the answer a line on standard output:
//
//   time MILLISECONDS POINT   microseconds per time step, the best of so much time
//   check POINT               some numbers of the result
//   threads COUNT             ok
//   allocations RUNS POINT    heap allocations of so many runs, under tools/ci/streaming_allocations
//   peaks                     operations a second (f32, f64), then bytes and bytes a second, in pairs

import HostSystem
import RNNEngine

/// Seconds of a monotonic clock, or of this process's time on processors.
func now(_ clock: clockid_t = CLOCK_MONOTONIC) -> Double {
  var time = timespec()
  clock_gettime(clock, &time)
  return Double(time.tv_sec) + 1e-9 * Double(time.tv_nsec)
}

/// The count of a library that goes before libc, if there is one.
private let allocationCounter: (@convention(c) () -> Int)? = dlsym(
  UnsafeMutableRawPointer(bitPattern: 0), "counted_allocations"
).map { unsafeBitCast($0, to: (@convention(c) () -> Int).self) }

@main
enum Benchmark {
  static func main() throws {
    var prepared: (point: Point, workload: Workload)?
    while let line = readLine() {
      let words = line.split(separator: " ").map(String.init)
      switch (words.first, words.count) {
      case ("threads", 2):
        threadCount = Int(words[1]) ?? 1
        print("ok")
      case ("peaks", 1):
        let peaks = Peaks()
        print(
          ([peaks.single, peaks.double] + peaks.reading.flatMap { [Double($0.bytes), $0.rate] })
            .map(\.description).joined(separator: " "))
      case ("check", 10):
        guard let point = Point(Array(words[1...])) else { fallthrough }
        print(try Workload(point).numbers().map(\.description).joined(separator: " "))
      case ("allocations", 11):
        guard let point = Point(Array(words[2...])), let count = allocationCounter else {
          fallthrough
        }
        let (run, runs) = (try Workload(point).run, Int(words[1]) ?? 1000)
        // What is made once, at the first runs, does not count.
        for _ in 0..<3 { try run() }
        let before = count()
        for _ in 0..<runs { try run() }
        let after = count()
        print(after - before)
      case ("time", 11):
        guard let point = Point(Array(words[2...])) else { fallthrough }
        if prepared?.point != point {
          prepared = (point, try Workload(point))
          try prepared?.workload.run()
        }
        guard let run = prepared?.workload.run else { fallthrough }
        let seconds = try best(of: (Double(words[1]) ?? 20) / 1000, run)
        print(seconds * 1e6 / Double(point.stepsPerRun))
      default:
        print("?")
      }
      fflush(nil)
    }
  }

  /// The shortest time of one run, in samples long enough for the clock.
  ///
  /// With one thread the clock is the processor's, which stands still while other programs run.
  private static func best(of budget: Double, _ run: () throws -> Void) rethrows -> Double {
    var (best, repeats) = (Double.infinity, 1)
    let clock = threadCount == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC
    let end = now() + budget
    repeat {
      let start = now(clock)
      for _ in 0..<repeats { try run() }
      let elapsed = now(clock) - start
      best = min(best, elapsed / Double(repeats))
      if elapsed < 0.0005 { repeats *= 2 }
    } while now() < end
    return best
  }
}
