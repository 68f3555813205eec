/// Does two pieces of work, the second on another thread if the system has one to give.
///
/// Throws what either of them throws, after both have ended.
package func forked(
  _ first: () throws -> Void, _ second: @Sendable () throws -> Void
) throws {
  try withoutActuallyEscaping(second) { second in
    let outcome = Outcome()
    let branch = WorkerThread { outcome.value = Result { try second() } }
    let thread = branch.start()
    let ours = Result { try first() }
    if let thread { pthread_join(thread, nil) } else { branch.body() }
    try ours.get()
    try outcome.value.get()
  }
}

/// Written by one thread, and read by another that has joined it.
private final class Outcome: @unchecked Sendable {
  var value: Result<Void, any Error> = .success(())
}
