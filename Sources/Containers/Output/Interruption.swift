#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// Lets work that takes hours save itself when the user ends the process.
///
/// Needs `removeTemporariesOnSignals()`, whose thread receives the signals.
public enum Interruption {
  nonisolated(unsafe) private static var isAwaited = false
  nonisolated(unsafe) private static var noted: Int32 = 0
  nonisolated(unsafe) private static let mutex: UnsafeMutablePointer<pthread_mutex_t> = {
    let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    pthread_mutex_init(mutex, nil)
    return mutex
  }()

  /// From now on the first signal is only noted; a second one ends the process as ever.
  public static func deferSignals() {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    isAwaited = true
  }

  /// The signal that asked the process to end, if one did.
  public static var signal: Int32? {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return noted == 0 ? nil : noted
  }

  /// Whether a signal is only to be noted, and not to be obeyed at once.
  package static func notes(_ number: Int32) -> Bool {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    guard isAwaited, noted == 0 else { return false }
    noted = number
    return true
  }

  /// Ends the process as the signal would have, so that shells report 128 + n and stop their loops.
  public static func end(by number: Int32) -> Never {
    _ = systemSignal(number, SIG_DFL)
    var signals = sigset_t()
    sigemptyset(&signals)
    sigaddset(&signals, number)
    pthread_sigmask(SIG_UNBLOCK, &signals, nil)
    raise(number)
    _exit(128 + number)
  }
}

/// `signal(3)`, which the property of the same name hides inside the enum.
#if canImport(Darwin)
  private func systemSignal(_ number: Int32, _ handler: sig_t?) -> sig_t? {
    signal(number, handler)
  }
#else
  private func systemSignal(_ number: Int32, _ handler: __sighandler_t?) -> __sighandler_t? {
    signal(number, handler)
  }
#endif
