import HostSystem
import Tensors

/// An output file that appears under its name complete, or not at all.
///
/// Bytes go to a temporary file in the destination's directory; `publish` moves it into place after they
/// have reached the disk. Until then the destination is what it was, whatever fails or is killed. Where
/// the system can, the temporary file has no name, so that not even SIGKILL leaves it behind.
package final class OutputFile: ByteSink {
  /// The path as the user gave it.
  package let path: String
  private let destination: OutputDestination
  private let overwrite: Bool
  private var descriptor: Int32
  private var temporaryName: String?
  /// The mode that the system gives a new file of this process.
  private var usualMode: mode_t = 0o600
  private var buffer: [UInt8] = []
  private var isFinished = false
  /// Whether the file has its name; an error of `publish` may come after that.
  package private(set) var isPublished = false
  private var hasReserve = false
  /// How many bytes left the buffer.
  private var flushed = 0
  private static let bufferSize = 1 << 18

  /// Creates the temporary file; the destination must not exist unless `overwrite` is set.
  ///
  /// A symbolic link is followed and kept. Throws with kind `.cannotCreate`: `output.exists`,
  /// `output.not-regular`, `output.dangling-link`, `output.directory`, `output.create`.
  package convenience init(path: String, overwrite: Bool) throws {
    try self.init(
      path: path, overwrite: overwrite,
      destination: OutputDestination(path: path, overwrite: overwrite))
  }

  private init(path: String, overwrite: Bool, destination: OutputDestination) throws {
    self.path = path
    self.overwrite = overwrite
    self.destination = destination
    if let unnamed = destination.openUnnamed() {
      descriptor = unnamed
    } else {
      descriptor = -1
      descriptor = try withTemporaryName {
        open($0, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, destination.creationMode)
      }
    }
    usualMode = try destination.hide(descriptor)
    buffer.reserveCapacity(Self.bufferSize)
  }

  /// A file of the same kind beside this one, for what has to lie in a file on the way; discard it.
  package func scratch() throws -> OutputFile {
    try OutputFile(path: path, overwrite: overwrite, destination: destination)
  }

  /// Where the bytes are until they are published: `.NAME.rnn-XXXXXX.tmp` beside the destination.
  ///
  /// For libraries that insist on a name; from then on SIGKILL leaves the file behind.
  package var temporaryPath: String {
    get throws {
      if let temporaryName { return temporaryName }
      let descriptor = descriptor
      _ = try withTemporaryName { files_name(descriptor, $0) }
      return temporaryName ?? ""
    }
  }

  /// A path under which this process can open the bytes, whether they have a name or not.
  package var readingPath: String { temporaryName ?? "/proc/self/fd/\(descriptor)" }

  /// Tries fresh names until `create` returns no error.
  private func withTemporaryName(_ create: (String) -> Int32) throws -> Int32 {
    var attempt = 0
    while true {
      let candidate = destination.temporaryPath()
      // Registered before it exists, so that no signal falls between the two.
      LiveTemporaries.insert(candidate)
      let result = create(candidate)
      if result >= 0 {
        temporaryName = candidate
        return result
      }
      let code = errno
      LiveTemporaries.remove(candidate)
      attempt += 1
      guard code == EEXIST || code == EINTR, attempt < 100 else {
        throw RecurrentError(
          .outputCreate, file: path, found: systemMessage(code),
          expected: "a directory that can be written to")
      }
    }
  }

  /// What replacing the file at `path` does beyond giving it new bytes, one sentence each.
  package static func remarks(onReplacing path: String) -> [Remark] {
    OutputDestination.remarks(onReplacing: path)
  }

  deinit { discard() }

  /// Takes the blocks for `count` bytes; throws `file.full` when they are not there, before minutes of
  /// work, and `file.write` when the file may not become so large.
  package func reserve(_ count: Int) throws {
    guard count > 0 else { return }
    var status = statvfs()
    if fstatvfs(descriptor, &status) == 0 {
      let (free, overflow) = UInt64(status.f_bavail).multipliedReportingOverflow(
        by: UInt64(status.f_frsize))
      guard overflow || free >= UInt64(count) else {
        throw RecurrentError(
          .fileFull, file: path, found: "\(free) bytes free", expected: "\(count)")
      }
    }
    // Other failures: a file system without the call, which writing does not need.
    if files_preallocate(descriptor, Int64(count)) != 0,
      [ENOSPC, EDQUOT, EFBIG, EIO].contains(errno)
    {
      throw failure(.fileWrite, errno)
    }
    hasReserve = true
  }

  /// Appends bytes; throws `file.full` or `file.write`.
  package func write(_ bytes: UnsafeRawBufferPointer) throws {
    if buffer.count + bytes.count > Self.bufferSize { try flush() }
    if bytes.count >= Self.bufferSize {
      try writeFully(bytes)
    } else {
      buffer.append(contentsOf: bytes)
    }
  }

  /// Appends a source, large ones inside the kernel where it can.
  package func write(_ source: any ByteSource) throws {
    guard source.count >= Self.bufferSize else {
      return try source.forEachChunk { try write($0) }
    }
    try flush()
    try append(source, to: descriptor) { failure(.fileWrite, $0) }
    flushed += source.count
  }

  /// Appends a source and shows what it consists of; tiled ones are not written in their order.
  package func write(
    _ source: any ByteSource, noting note: (Int, UnsafeRawBufferPointer) -> Void
  ) throws {
    guard source.isTiled, source.count >= Self.bufferSize else {
      return try writeInOrder(source, noting: note)
    }
    try flush()
    try appendRuns(of: source, to: descriptor, note) { failure(.fileWrite, $0) }
    flushed += source.count
  }

  /// Overwrites bytes, in the buffer or in the file.
  package func replace(at offset: Int, with bytes: [UInt8]) throws {
    if offset >= flushed {
      let start = offset - flushed
      return buffer.replaceSubrange(start..<start + bytes.count, with: bytes)
    }
    try flush()
    try bytes.withUnsafeBytes {
      try put($0, at: offset, of: descriptor) { failure(.fileWrite, $0) }
    }
  }

  /// Brings every byte to the disk; an error is final.
  package func finishWriting() throws {
    try flush()
    try releaseReserve()
    while fsync(descriptor) != 0 {
      if errno != EINTR { throw failure(.fileSync, errno) }
    }
    isFinished = true
  }

  /// Gives back blocks behind the last byte.
  private func releaseReserve() throws {
    guard hasReserve else { return }
    var status = stat()
    guard fstat(descriptor, &status) == 0, ftruncate(descriptor, status.st_size) == 0 else {
      throw failure(.fileWrite, errno)
    }
    hasReserve = false
  }

  /// Gives the file its name, provided that none of the inputs changed meanwhile.
  ///
  /// Without `overwrite` exactly one of several writers succeeds, the others throw `output.exists`.
  package func publish(checking inputs: [InputFile] = []) throws {
    if !isFinished || !buffer.isEmpty { try finishWriting() }
    for input in inputs { try input.checkUnchanged() }
    try destination.applyOwnerAndMode(to: descriptor, usual: usualMode)
    let target = destination.resolvedPath
    if !overwrite, temporaryName == nil {
      guard files_name(descriptor, target) == 0 else { throw publishFailure(errno) }
      // All bytes are on the disk: closing has nothing left that could fail.
      close(takeDescriptor())
    } else {
      let from = try temporaryPath
      guard close(takeDescriptor()) == 0 else { throw failure(.fileClose, errno) }
      guard overwrite ? rename(from, target) == 0 : renamedExclusively(from, target) else {
        throw publishFailure(errno)
      }
      LiveTemporaries.remove(from)
      temporaryName = nil
    }
    isPublished = true
    try destination.syncDirectory()
  }

  /// A rename that fails where a file exists, or what comes nearest on this file system.
  private func renamedExclusively(_ from: String, _ target: String) -> Bool {
    if files_rename_exclusively(from, target) == 0 { return true }
    guard errno != EEXIST else { return false }
    if link(from, target) == 0 {
      unlink(from)
      return true
    }
    guard [EPERM, ENOSYS, EOPNOTSUPP, EINVAL, EMLINK].contains(errno) else { return false }
    // Neither call (some FUSE file systems): between looking and renaming another writer may come.
    var status = stat()
    guard lstat(target, &status) != 0 else {
      errno = EEXIST
      return false
    }
    return rename(from, target) == 0
  }

  /// Removes the temporary file; nothing happens after `publish`.
  package func discard() {
    if descriptor >= 0 { close(takeDescriptor()) }
    if let name = temporaryName, LiveTemporaries.remove(name) { unlink(name) }
    temporaryName = nil
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
    try append(bytes, to: descriptor) { failure(.fileWrite, $0) }
    flushed += bytes.count
  }

  private func failure(_ reason: RecurrentError.Reason, _ code: Int32) -> RecurrentError {
    RecurrentError(
      code == ENOSPC || code == EDQUOT ? .fileFull : reason, file: path,
      found: systemMessage(code))
  }

  private func publishFailure(_ code: Int32) -> RecurrentError {
    code == EEXIST
      ? OutputDestination.exists(path)
      : RecurrentError(
        .outputPublish, file: path, found: systemMessage(code),
        expected: "a name that the finished file can take")
  }
}

extension StateDict {
  /// The bytes that every container stores at least; tied tensors may be stored once.
  package var storedByteCount: Int {
    var total = 0
    for entry in entries where ties[entry.name] == nil {
      let (sum, overflow) = total.addingReportingOverflow(entry.tensor.byteCount)
      if overflow { return 0 }
      total = sum
    }
    return total
  }
}
