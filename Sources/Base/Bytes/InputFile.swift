import HostSystem
import Tensors

/// An input file, opened once and read with `pread`.
///
/// It is never reopened by path, so that what was checked is what is read; a file that shrinks or is
/// rewritten meanwhile is an error (exit status 75), not a crash as with a memory map.
package final class InputFile: ByteSource {
  /// The path as the user gave it.
  package let path: String
  /// The size in bytes when the file was opened.
  package let count: Int
  private let descriptor: Int32
  private let identity: FileIdentity

  /// Opens a regular file; throws with kind `.noInput` or `.permission`.
  ///
  /// A symbolic link is an error when `followsLinks` is false: users may choose links, files may not.
  package init(path: String, followsLinks: Bool = true) throws {
    self.path = path
    // O_NONBLOCK: opening a FIFO must not wait for a writer.
    let descriptor = open(
      path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | (followsLinks ? 0 : O_NOFOLLOW))
    guard descriptor >= 0 else {
      let code = errno
      let denied = code == EACCES || code == EPERM
      throw RecurrentError(
        denied ? .filePermission : .fileMissing, file: path,
        found: systemMessage(code), expected: "a readable file")
    }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      close(descriptor)
      throw RecurrentError(
        .fileNotRegular, file: path,
        found: fileKind(status), expected: "a regular file")
    }
    self.descriptor = descriptor
    identity = FileIdentity(status)
    count = Int(status.st_size)
  }

  deinit { close(descriptor) }

  /// Whether `path` names this very file (same device and inode).
  package func isSameFile(as path: String) -> Bool {
    var status = stat()
    guard stat(path, &status) == 0 else { return false }
    return FileIdentity(status).isSameFile(as: identity)
  }

  /// Throws with kind `.inputChanged` when size or modification time are no longer what they were.
  package func checkUnchanged() throws {
    var status = stat()
    guard fstat(descriptor, &status) == 0, FileIdentity(status) == identity else {
      throw Self.changed(path)
    }
  }

  /// Reads with `pread`; a short read means that the file shrank.
  package func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
    var done = 0
    while done < buffer.count {
      let got = pread(
        descriptor, buffer.baseAddress.map { $0 + done }, buffer.count - done,
        off_t(offset + done))
      if got < 0 && errno == EINTR { continue }
      guard got >= 0 else {
        throw RecurrentError(
          .fileRead, file: path, at: "byte \(offset + done)",
          found: systemMessage())
      }
      guard got > 0 else { throw Self.changed(path) }
      done += got
    }
  }

  /// Copies inside the kernel, from page to page.
  package func copy(_ range: Range<Int>, to descriptor: Int32) -> Int {
    copyInKernel(range, from: self.descriptor, to: descriptor)
  }

  private static func changed(_ path: String) -> RecurrentError {
    RecurrentError(
      .fileChanged, file: path, found: "the file changed while it was read",
      expected: "a file that nobody writes to", hint: "Try again when the writer has finished.")
  }

}
