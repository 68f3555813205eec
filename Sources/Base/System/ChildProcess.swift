/// A process that this one started, and the socket to it.
package struct ChildProcess {
  /// The process.
  package let identifier: pid_t
  /// Our end; the child has the other as its standard input.
  package let socket: Int32

  /// Starts a program with nothing but a socket as its standard input, and an environment of its own; returns
  /// the error number where the system refuses.
  package static func start(
    _ executable: String, arguments: [String], environment: [String]
  ) -> Result<ChildProcess, SystemFailure> {
    guard let (ours, theirs) = connectedSockets() else { return .failure(SystemFailure(errno)) }
    defer { close(theirs) }
    #if canImport(Darwin)
      var actions: posix_spawn_file_actions_t?
    #else
      var actions = posix_spawn_file_actions_t()
    #endif
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, theirs, 0)
    // What a crash prints is of no use to anybody.
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
    func duplicated(_ texts: [String]) -> [UnsafeMutablePointer<CChar>?] {
      texts.map { strdup($0) } + [nil]
    }
    let (words, variables) = (duplicated([executable] + arguments), duplicated(environment))
    defer { for text in words + variables { free(text) } }
    var process: pid_t = 0
    let status = posix_spawn(&process, executable, &actions, nil, words, variables)
    guard status == 0 else {
      close(ours)
      return .failure(SystemFailure(status))
    }
    return .success(ChildProcess(identifier: process, socket: ours))
  }

  /// Two ends of a connection that no other program inherits, and whose writes never end the process.
  private static func connectedSockets() -> (Int32, Int32)? {
    var pair: [Int32] = [-1, -1]
    #if canImport(Glibc)
      let type = Int32(SOCK_STREAM.rawValue)
    #else
      let type = SOCK_STREAM
    #endif
    guard socketpair(AF_UNIX, type, 0, &pair) == 0 else { return nil }
    for descriptor in pair {
      _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
      #if canImport(Darwin)
        var one: Int32 = 1
        let size = socklen_t(MemoryLayout<Int32>.size)
        setsockopt(descriptor, SOL_SOCKET, SO_NOSIGPIPE, &one, size)
      #endif
    }
    return (pair[0], pair[1])
  }
}

/// An error number of the system.
package struct SystemFailure: Error {
  package let code: Int32

  package init(_ code: Int32) { self.code = code }
}

/// The variables of this process that tell the loader where libraries are, as `NAME=VALUE`.
package func loaderEnvironment() -> [String] {
  ["LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"].compactMap { (name: String) in
    getenv(name).map { "\(name)=\(String(cString: $0))" }
  }
}

/// A path that starts this program again; `nil` where the system does not say.
package func ownExecutablePath() -> String? {
  #if canImport(Darwin)
    var size: UInt32 = 4096
    var buffer = [CChar](repeating: 0, count: Int(size))
    guard _NSGetExecutablePath(&buffer, &size) == 0 else { return nil }
    return buffer.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } }
  #else
    return "/proc/self/exe"
  #endif
}

/// Leaves this process processor time for `seconds`, a little memory where that can be limited, and no new
/// files.
package func limitResources(seconds: Int) {
  #if canImport(Glibc)
    func limit(_ resource: __rlimit_resource, _ value: Int) {
      var limit = rlimit(rlim_cur: rlim_t(value), rlim_max: rlim_t(value))
      setrlimit(__rlimit_resource_t(resource.rawValue), &limit)
    }
    limit(RLIMIT_AS, 4 << 30)
  #else
    func limit(_ resource: Int32, _ value: Int) {
      var limit = rlimit(rlim_cur: rlim_t(value), rlim_max: rlim_t(value))
      setrlimit(resource, &limit)
    }
  #endif
  limit(RLIMIT_CPU, seconds)
  limit(RLIMIT_FSIZE, 0)
  limit(RLIMIT_CORE, 0)
  limit(RLIMIT_NOFILE, 64)
}
