import Tensors

#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// An output file that appears under its name complete, or not at all.
///
/// Bytes go to a temporary file beside the destination; `publish` moves it into place after they have
/// reached the disk. Until then the destination is what it was, whatever fails or is killed.
public final class OutputFile: ByteSink {
  /// Where the bytes are until they are published: `.NAME.rnn-XXXXXX.tmp` beside the destination.
  public let temporaryPath: String
  /// The path as the user gave it.
  public let path: String
  private let destination: OutputDestination
  private let overwrite: Bool
  private var descriptor: Int32
  private var buffer: [UInt8] = []
  private var isFinished = false
  private static let bufferSize = 1 << 20

  /// Creates the temporary file; the destination must not exist unless `overwrite` is set.
  ///
  /// A symbolic link is followed and kept. Throws with kind `.cannotCreate`: `output.exists`,
  /// `output.not-regular`, `output.dangling-link`, `output.directory`, `output.create`.
  public init(path: String, overwrite: Bool) throws {
    self.path = path
    self.overwrite = overwrite
    destination = try OutputDestination(path: path, overwrite: overwrite)
    (temporaryPath, descriptor) = try Self.createTemporary(destination, path)
    buffer.reserveCapacity(Self.bufferSize)
  }

  private static func createTemporary(
    _ destination: OutputDestination, _ path: String
  ) throws -> (String, Int32) {
    var attempt = 0
    while true {
      let candidate = destination.temporaryPath()
      // Registered before it exists, so that no signal falls between the two.
      LiveTemporaries.insert(candidate)
      let descriptor = open(
        candidate, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode_t(0o600))
      if descriptor >= 0 { return (candidate, descriptor) }
      let code = errno
      LiveTemporaries.remove(candidate)
      attempt += 1
      guard code == EEXIST || code == EINTR, attempt < 100 else {
        throw RecurrentError(
          .cannotCreate, "output.create", file: path, found: String(cString: strerror(code)),
          expected: "a directory that can be written to")
      }
    }
  }

  deinit { discard() }

  /// Throws `file.full` when the file system has less than `count` bytes left, before minutes of work.
  public func reserve(_ count: Int) throws {
    var status = statvfs()
    guard fstatvfs(descriptor, &status) == 0 else { return }
    let (free, overflow) = UInt64(status.f_bavail).multipliedReportingOverflow(
      by: UInt64(status.f_frsize))
    guard overflow || count <= 0 || free >= UInt64(count) else {
      throw RecurrentError(
        .inputOutput, "file.full", file: path, found: "\(free) bytes free", expected: "\(count)")
    }
  }

  /// Appends bytes; throws `file.full` or `file.write`.
  public func write(_ bytes: UnsafeRawBufferPointer) throws {
    if buffer.count + bytes.count > Self.bufferSize { try flush() }
    if bytes.count >= Self.bufferSize {
      try writeFully(bytes)
    } else {
      buffer.append(contentsOf: bytes)
    }
  }

  /// Brings every byte to the disk; an error is final.
  public func finishWriting() throws {
    try flush()
    while fsync(descriptor) != 0 {
      if errno != EINTR { throw failure("file.sync", errno) }
    }
    isFinished = true
  }

  /// Gives the file its name, provided that none of the inputs changed meanwhile.
  ///
  /// Without `overwrite` exactly one of several writers succeeds, the others throw `output.exists`.
  public func publish(checking inputs: [InputFile] = []) throws {
    if !isFinished || !buffer.isEmpty { try finishWriting() }
    for input in inputs { try input.checkUnchanged() }
    try destination.applyOwnerAndMode(to: descriptor)
    guard close(takeDescriptor()) == 0 else { throw failure("file.close", errno) }
    let target = destination.resolvedPath
    // link fails where a file exists, atomically; rename replaces it, atomically.
    if overwrite {
      guard rename(temporaryPath, target) == 0 else { throw publishFailure(errno) }
    } else {
      guard link(temporaryPath, target) == 0 else { throw publishFailure(errno) }
      unlink(temporaryPath)
    }
    LiveTemporaries.remove(temporaryPath)
    try destination.syncDirectory()
  }

  /// Removes the temporary file; nothing happens after `publish`.
  public func discard() {
    if descriptor >= 0 { close(takeDescriptor()) }
    if LiveTemporaries.remove(temporaryPath) { unlink(temporaryPath) }
  }

  private func takeDescriptor() -> Int32 {
    defer { descriptor = -1 }
    return descriptor
  }

  private func flush() throws {
    guard !buffer.isEmpty else { return }
    try buffer.withUnsafeBytes { try writeFully($0) }
    buffer.removeAll(keepingCapacity: true)
  }

  private func writeFully(_ bytes: UnsafeRawBufferPointer) throws {
    guard let start = bytes.baseAddress else { return }
    var done = 0
    while done < bytes.count {
      let result = systemWrite(descriptor, start + done, bytes.count - done)
      if result < 0, errno == EINTR { continue }
      guard result > 0 else { throw failure("file.write", result < 0 ? errno : EIO) }
      done += result
    }
  }

  private func failure(_ reason: String, _ code: Int32) -> RecurrentError {
    RecurrentError(
      .inputOutput, code == ENOSPC || code == EDQUOT ? "file.full" : reason, file: path,
      found: String(cString: strerror(code)))
  }

  private func publishFailure(_ code: Int32) -> RecurrentError {
    code == EEXIST
      ? OutputDestination.exists(path)
      : RecurrentError(
        .cannotCreate, "output.publish", file: path, found: String(cString: strerror(code)),
        expected: "a name that the finished file can take")
  }
}

/// `write(2)`, which the method of the same name hides inside the class.
private func systemWrite(_ descriptor: Int32, _ start: UnsafeRawPointer, _ count: Int) -> Int {
  write(descriptor, start, count)
}
