/// A program of the user's that this process runs and waits for, in a process group of its own, so that whatever it
/// starts ends with it.
package enum ProgramRun {
  /// How a program ended.
  package enum End: Sendable, Equatable {
    /// By itself, with a status.
    case status(Int32)
    /// By a signal.
    case signal(Int32)
    /// By us, because its time was over.
    case timedOut
  }

  /// Runs a command of the shell with words behind it; what it prints on either stream goes to the file `log`.
  ///
  /// Throws the system's failure to start it.
  package static func run(
    _ command: String, _ words: [String], log: String, seconds: Double
  ) throws -> End {
    #if canImport(Darwin)
      var actions: posix_spawn_file_actions_t?
      var attributes: posix_spawnattr_t?
    #else
      var actions = posix_spawn_file_actions_t()
      var attributes = posix_spawnattr_t()
    #endif
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    posix_spawn_file_actions_adddup2(&actions, 1, 2)
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    // The program starts as a shell would start it: what we block or ignore is our own affair.
    var none = sigset_t()
    var defaults = sigset_t()
    sigemptyset(&none)
    sigemptyset(&defaults)
    for number in [SIGPIPE, SIGXFSZ] { sigaddset(&defaults, number) }
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setsigdefault(&attributes, &defaults)
    posix_spawnattr_setpgroup(&attributes, 0)
    let flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP
    posix_spawnattr_setflags(&attributes, Int16(flags))
    let arguments: [UnsafeMutablePointer<CChar>?] =
      (["/bin/sh", "-c", command + " \"$@\"", "rnn-verify"] + words).map { strdup($0) } + [nil]
    defer { for text in arguments { free(text) } }
    var process: pid_t = 0
    let status = LiveProcesses.started {
      posix_spawn(&process, "/bin/sh", &actions, &attributes, arguments, environ) == 0
        ? process : nil
    }
    guard status else { throw SystemFailure(errno) }
    defer { LiveProcesses.ended(process) }
    return wait(for: process, seconds: seconds)
  }

  private static func wait(for process: pid_t, seconds: Double) -> End {
    let start = ContinuousClock.now
    var status: Int32 = 0
    // Short at first, because many programs are.
    var pause: UInt32 = 500
    while true {
      let found = waitpid(process, &status, WNOHANG)
      if found == process { return end(status) }
      if found < 0, errno != EINTR { return .status(127) }
      if start.duration(to: .now) > .seconds(seconds) {
        kill(-process, SIGKILL)
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        return .timedOut
      }
      usleep(pause)
      pause = min(pause * 2, 20_000)
    }
  }

  private static func end(_ status: Int32) -> End {
    let signal = status & 0x7f
    return signal == 0 ? .status((status >> 8) & 0xff) : .signal(signal)
  }
}

/// The programs that run, so that a signal that ends this process ends them too.
package enum LiveProcesses {
  nonisolated(unsafe) private static var running: Set<pid_t> = []
  nonisolated(unsafe) private static var folders: [String: ScratchFolder] = [:]
  private static let lock = Lock()

  /// Starts one under the lock, so that none is missed; says whether it started.
  static func started(_ start: () -> pid_t?) -> Bool {
    lock.withLock {
      guard let process = start() else { return false }
      running.insert(process)
      return true
    }
  }

  static func ended(_ process: pid_t) { lock.withLock { _ = running.remove(process) } }

  static func made(_ folder: ScratchFolder) {
    lock.withLock { folders[folder.path] = folder }
  }

  static func removed(_ folder: ScratchFolder) {
    lock.withLock { folders[folder.path] = nil }
  }

  /// Ends all of them with whatever they started, and removes their folders.
  package static func endAll() {
    lock.withLock {
      for process in running { kill(-process, SIGKILL) }
      for folder in folders.values { folder.empty() }
    }
  }
}

/// A folder of this process's own for files that a program reads and writes; removed with what is in it.
package struct ScratchFolder: Sendable {
  package let path: String

  /// Makes one where the system keeps temporary files.
  package init() throws {
    var parent = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
    if parent.isEmpty { parent = "/tmp" }
    var template = Array("\(parent)/rnn-verify-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw SystemFailure(errno) }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    LiveProcesses.made(self)
  }

  /// A file in it.
  package func file(_ name: String) -> String { "\(path)/\(name)" }

  /// Removes the files in it, and it.
  package func remove() {
    empty()
    LiveProcesses.removed(self)
  }

  fileprivate func empty() {
    if let directory = opendir(path) {
      while let entry = readdir(directory) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
          $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if name != ".", name != ".." { unlink(file(name)) }
      }
      closedir(directory)
    }
    rmdir(path)
  }
}
