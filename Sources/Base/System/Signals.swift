/// Whether this process ignores a signal, as a parent such as nohup may have decided.
package func isIgnored(_ number: Int32) -> Bool {
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

/// Ends the process as a signal does that nobody handles, so that shells report 128 + n and stop their
/// loops.
package func endProcess(by number: Int32) -> Never {
  _ = signal(number, SIG_DFL)
  var signals = sigset_t()
  sigemptyset(&signals)
  sigaddset(&signals, number)
  pthread_sigmask(SIG_UNBLOCK, &signals, nil)
  // To this thread: another may wait for the signals of the process.
  raise(number)
  _exit(128 + number)
}
