#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// An input file, opened once and read with `pread`.
///
/// It is never reopened by path, so that what was checked is what is read; a file that shrinks or is
/// rewritten meanwhile is an error (exit status 75), not a crash as with a memory map.
public final class InputFile: ByteSource {
  /// The path as the user gave it.
  public let path: String
  /// The size in bytes when the file was opened.
  public let count: Int
  private let descriptor: Int32
  private let identity: Identity

  private struct Identity: Equatable, Sendable {
    var device: UInt64
    var inode: UInt64
    var size: Int64
    var modified: [Int]
  }

  /// Opens a regular file; throws with kind `.noInput` or `.permission`.
  ///
  /// A symbolic link is an error when `followsLinks` is false: users may choose links, files may not.
  public init(path: String, followsLinks: Bool = true) throws {
    self.path = path
    // O_NONBLOCK: opening a FIFO must not wait for a writer.
    let descriptor = open(
      path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | (followsLinks ? 0 : O_NOFOLLOW))
    guard descriptor >= 0 else {
      let code = errno
      let denied = code == EACCES || code == EPERM
      throw RecurrentError(
        denied ? .permission : .noInput, denied ? "file.permission" : "file.missing", file: path,
        found: String(cString: strerror(code)), expected: "a readable file")
    }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      let isDirectory = status.st_mode & S_IFMT == S_IFDIR
      close(descriptor)
      throw RecurrentError(
        .noInput, "file.not-regular", file: path,
        found: isDirectory ? "a directory" : "not a regular file", expected: "a regular file")
    }
    self.descriptor = descriptor
    identity = Self.identity(of: status)
    count = Int(status.st_size)
  }

  deinit { close(descriptor) }

  /// Whether `path` names this very file (same device and inode).
  public func isSameFile(as path: String) -> Bool {
    var status = stat()
    guard stat(path, &status) == 0 else { return false }
    let other = Self.identity(of: status)
    return other.device == identity.device && other.inode == identity.inode
  }

  /// Throws with kind `.inputChanged` when size or modification time are no longer what they were.
  public func checkUnchanged() throws {
    var status = stat()
    guard fstat(descriptor, &status) == 0, Self.identity(of: status) == identity else {
      throw Self.changed(path)
    }
  }

  /// Reads with `pread`; a short read means that the file shrank.
  public func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
    var done = 0
    while done < buffer.count {
      let got = pread(
        descriptor, buffer.baseAddress.map { $0 + done }, buffer.count - done,
        off_t(offset + done))
      if got < 0 && errno == EINTR { continue }
      guard got >= 0 else {
        throw RecurrentError(
          .inputOutput, "file.read", file: path, at: "byte \(offset + done)",
          found: String(cString: strerror(errno)))
      }
      guard got > 0 else { throw Self.changed(path) }
      done += got
    }
  }

  /// Copies inside the kernel, from page to page.
  public func copy(_ range: Range<Int>, to descriptor: Int32) -> Int {
    #if canImport(Glibc)
      var position = off_t(range.lowerBound)
      return max(0, sendfile(descriptor, self.descriptor, &position, range.count))
    #else
      return 0
    #endif
  }

  private static func changed(_ path: String) -> RecurrentError {
    RecurrentError(
      .inputChanged, "file.changed", file: path, found: "the file changed while it was read",
      expected: "a file that nobody writes to", hint: "Try again when the writer has finished.")
  }

  private static func identity(of status: stat) -> Identity {
    #if canImport(Darwin)
      let times = [
        status.st_mtimespec.tv_sec, status.st_mtimespec.tv_nsec, status.st_ctimespec.tv_sec,
        status.st_ctimespec.tv_nsec,
      ]
    #else
      let times = [
        status.st_mtim.tv_sec, status.st_mtim.tv_nsec, status.st_ctim.tv_sec,
        status.st_ctim.tv_nsec,
      ]
    #endif
    return Identity(
      device: UInt64(truncatingIfNeeded: status.st_dev), inode: UInt64(status.st_ino),
      size: Int64(status.st_size), modified: times)
  }
}
