import CKernels
import HostSystem

/// How many threads the engine may use for one call, in the whole process; results have the same bits for
/// any count.
///
/// One is used where more would not pay. Starts as the number of processors, or as the environment
/// variable `RECURRENT_THREADS` says; a number below 1 counts as 1.
public var threadCount: Int {
  get { Int(ck_threads()) }
  set { ck_set_threads(Int32(clamping: max(1, newValue))) }
}

/// Cuts `0..<count` into at most `threadCount` ranges of at least `grain` and hands each to a thread.
///
/// The body must not care how the range is cut.
@inline(__always)
func inParallel(_ count: Int, grain: Int, _ body: (Range<Int>) -> Void) {
  let shares = min(threadCount, count / max(1, grain))
  guard shares > 1 else { return body(0..<count) }
  withoutActuallyEscaping(body) { body in
    var job = Share(count: count, body: body)
    withUnsafeMutablePointer(to: &job) { job in
      ck_parallel(
        Int32(shares),
        { context, index, shares in
          guard let context else { return }
          let job = context.assumingMemoryBound(to: Share.self).pointee
          let (index, shares) = (Int(index), Int(shares))
          job.body(job.count * index / shares..<job.count * (index + 1) / shares)
        }, job)
    }
  }
}

/// Does all cells of a grid, those of a row one after the other, and each after the one above it; the rows
/// run concurrently on at most `threadCount` threads.
@inline(__always)
func inWavefront(rows: Int, columns: Int, _ body: (_ row: Int, _ column: Int) -> Void) {
  withoutActuallyEscaping(body) { body in
    var grid = Grid(body: body)
    withUnsafeMutablePointer(to: &grid) { grid in
      ck_wavefront(
        Int32(rows), Int32(columns), Int32(clamping: threadCount),
        { context, row, column in
          guard let context else { return }
          context.assumingMemoryBound(to: Grid.self).pointee.body(Int(row), Int(column))
        }, grid)
    }
  }
}

private struct Grid {
  let body: (Int, Int) -> Void
}

private struct Share {
  let count: Int
  let body: (Range<Int>) -> Void
}
