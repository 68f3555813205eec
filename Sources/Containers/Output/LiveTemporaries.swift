#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// The temporary files of this process that nobody has published or discarded yet.
package enum LiveTemporaries {
  nonisolated(unsafe) private static var paths: Set<String> = []
  nonisolated(unsafe) private static let mutex: UnsafeMutablePointer<pthread_mutex_t> = {
    let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    pthread_mutex_init(mutex, nil)
    return mutex
  }()

  package static func insert(_ path: String) {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    paths.insert(path)
  }

  @discardableResult package static func remove(_ path: String) -> Bool {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return paths.remove(path) != nil
  }

  /// Unlinks every file and keeps the lock, so that no other can be created before the process ends.
  fileprivate static func unlinkAllForever() {
    pthread_mutex_lock(mutex)
    for path in paths { unlink(path) }
  }
}

/// Makes SIGINT, SIGTERM and SIGHUP remove unpublished files before they end the process, and turns
/// SIGPIPE and SIGXFSZ into errors of the write that caused them.
///
/// Call it first in `main`: threads inherit the blocked signals from the thread that starts them. One
/// thread waits with `sigwait`, so that cleaning up is not limited to async-signal-safe calls.
public func removeTemporariesOnSignals() {
  signal(SIGPIPE, SIG_IGN)
  signal(SIGXFSZ, SIG_IGN)
  var signals = sigset_t()
  sigemptyset(&signals)
  // A signal that the parent ignores (nohup) stays ignored.
  for number in [SIGINT, SIGTERM, SIGHUP] where !isIgnored(number) { sigaddset(&signals, number) }
  pthread_sigmask(SIG_BLOCK, &signals, nil)
  #if canImport(Darwin)
    var thread: pthread_t?
  #else
    var thread = pthread_t()
  #endif
  guard pthread_create(&thread, nil, { _ in waitForSignal() }, nil) == 0 else {
    pthread_sigmask(SIG_UNBLOCK, &signals, nil)
    return
  }
}

private func waitForSignal() -> UnsafeMutableRawPointer? {
  var signals = sigset_t()
  // The mask is inherited: what is blocked here is what was asked for.
  pthread_sigmask(SIG_BLOCK, nil, &signals)
  var watched = sigset_t()
  sigemptyset(&watched)
  for number in [SIGINT, SIGTERM, SIGHUP] where sigismember(&signals, number) == 1 {
    sigaddset(&watched, number)
  }
  var number: Int32 = 0
  repeat {
    while sigwait(&watched, &number) != 0 {}
  } while Interruption.notes(number)
  LiveTemporaries.unlinkAllForever()
  signal(number, SIG_DFL)
  pthread_sigmask(SIG_UNBLOCK, &watched, nil)
  kill(getpid(), number)
  _exit(128 + number)
}

private func isIgnored(_ number: Int32) -> Bool {
  var action = sigaction()
  guard sigaction(number, nil, &action) == 0 else { return false }
  #if canImport(Darwin)
    let handler = unsafeBitCast(action.__sigaction_u.__sa_handler, to: Int.self)
  #elseif canImport(Musl)
    let handler = unsafeBitCast(action.__sa_handler.sa_handler, to: Int.self)
  #else
    let handler = unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self)
  #endif
  return handler == 1
}
