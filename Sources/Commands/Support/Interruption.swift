import Bytes
import HostSystem

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
  if WorkerThread({ waitForSignal() }).start() == nil {
    pthread_sigmask(SIG_UNBLOCK, &signals, nil)
  }
}

private func waitForSignal() {
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
  LiveProcesses.endAll()
  endProcess(by: number)
}

/// Lets work that takes hours save itself when the user ends the process.
///
/// Needs `removeTemporariesOnSignals()`, whose thread receives the signals.
public enum Interruption {
  nonisolated(unsafe) private static var isAwaited = false
  nonisolated(unsafe) private static var noted: Int32 = 0
  private static let lock = Lock()

  /// From now on the first signal is only noted; a second one ends the process as ever.
  public static func deferSignals() {
    lock.withLock { isAwaited = true }
  }

  /// The signal that asked the process to end, if one did.
  public static var signal: Int32? {
    lock.withLock { noted == 0 ? nil : noted }
  }

  /// Whether a signal is only to be noted, and not to be obeyed at once.
  static func notes(_ number: Int32) -> Bool {
    lock.withLock {
      guard isAwaited, noted == 0 else { return false }
      noted = number
      return true
    }
  }
}
