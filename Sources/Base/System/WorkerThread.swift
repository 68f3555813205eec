/// Work that another thread may do.
///
/// A thread of our own: the library of queues takes longer to load than a small file to convert.
package final class WorkerThread: Sendable {
  /// The work.
  package let body: @Sendable () -> Void

  /// Names the work; nothing runs yet.
  package init(_ body: @escaping @Sendable () -> Void) { self.body = body }

  /// Runs the body on another thread, which the caller joins, or gives `nil` if the system has none.
  package func start() -> pthread_t? {
    let reference = Unmanaged.passRetained(self)
    let context = reference.toOpaque()
    #if canImport(Darwin)
      var thread: pthread_t?
      let status = pthread_create(&thread, nil, { run($0) }, context)
    #else
      var thread = pthread_t()
      let status = pthread_create(&thread, nil, { run($0) }, context)
    #endif
    if status == 0 { return thread }
    reference.release()
    return nil
  }
}

private func run(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
  guard let context else { return nil }
  Unmanaged<WorkerThread>.fromOpaque(context).takeRetainedValue().body()
  return nil
}
