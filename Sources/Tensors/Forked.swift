#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// Does two pieces of work, the second on another thread if the system has one to give.
///
/// Throws what either of them throws, after both have ended.
func forked(
  _ first: () throws -> Void, _ second: @Sendable () throws -> Void
) throws {
  try withoutActuallyEscaping(second) { second in
    let branch = Branch(second)
    let thread = branch.start()
    let problem: (any Error)?
    do {
      try first()
      problem = nil
    } catch {
      problem = error
    }
    if let thread { pthread_join(thread, nil) } else { branch.run() }
    if let problem = problem ?? branch.problem { throw problem }
  }
}

private final class Branch: @unchecked Sendable {
  private let body: @Sendable () throws -> Void
  /// Read by the thread that joined.
  private(set) var problem: (any Error)?

  init(_ body: @escaping @Sendable () throws -> Void) { self.body = body }

  func run() {
    do { try body() } catch { problem = error }
  }

  /// The caller joins the thread and keeps this object until then.
  func start() -> pthread_t? {
    let context = Unmanaged.passUnretained(self).toOpaque()
    #if canImport(Darwin)
      var thread: pthread_t?
      let status = pthread_create(&thread, nil, { enter($0) }, context)
    #else
      var thread = pthread_t()
      let status = pthread_create(&thread, nil, { enter($0) }, context)
    #endif
    return status == 0 ? thread : nil
  }
}

private func enter(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
  guard let context else { return nil }
  Unmanaged<Branch>.fromOpaque(context).takeUnretainedValue().run()
  return nil
}
