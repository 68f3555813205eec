import HostSystem
import Tensors

/// The place that an output file will take, as found before any work.
package struct OutputDestination {
  package let resolvedPath: String
  private let directory: String
  private let name: String
  private let path: String
  private let replaced: Replaced?

  private struct Replaced {
    let mode: mode_t
    let owner: uid_t
    let group: gid_t
  }

  package init(path: String, overwrite: Bool) throws {
    self.path = path
    var status = stat()
    var resolved = path
    if lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFLNK {
      guard let real = realpath(path, nil) else {
        throw RecurrentError(
          .outputDanglingLink, file: path,
          found: "a symbolic link to nothing: " + systemMessage(),
          expected: "a link to a file, or no link")
      }
      resolved = String(cString: real)
      free(real)
    }
    if stat(resolved, &status) == 0 {
      guard status.st_mode & S_IFMT == S_IFREG else {
        throw RecurrentError(
          .outputNotRegular, file: path,
          found: fileKind(status), expected: "a regular file")
      }
      guard overwrite else { throw Self.exists(path) }
      replaced = Replaced(
        mode: status.st_mode & 0o777, owner: status.st_uid, group: status.st_gid)
    } else {
      replaced = nil
    }
    resolvedPath = resolved
    let slash = resolved.utf8.lastIndex(of: UInt8(ascii: "/"))
    name = slash.map { String(resolved[resolved.index(after: $0)...]) } ?? resolved
    directory = slash.map { $0 == resolved.startIndex ? "/" : String(resolved[..<$0]) } ?? "."
    guard !name.isEmpty, stat(directory, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
      throw RecurrentError(
        .outputDirectory, file: path,
        found: name.isEmpty ? "no file name" : "no directory \"\(directory)\"",
        expected: "a file in a directory that exists")
    }
  }

  /// A fresh name beside the destination; a rename must not cross file systems.
  package func temporaryPath() -> String {
    let letters = Array("abcdefghijklmnopqrstuvwxyz0123456789")
    let random = String((0..<6).map { _ in letters[Int.random(in: 0..<letters.count)] })
    var stem = name
    // The longest component that file systems allow has 255 bytes.
    while stem.utf8.count > 230 { stem.removeLast() }
    let prefix = directory == "." ? "" : directory == "/" ? "/" : directory + "/"
    return "\(prefix).\(stem).rnn-\(random).tmp"
  }

  /// Opens a file that has no name yet and vanishes with the process, or `nil` where there is no such
  /// thing.
  package func openUnnamed() -> Int32? {
    let descriptor = files_open_unnamed(directory, creationMode)
    return descriptor >= 0 ? descriptor : nil
  }

  /// The mode to create the file with: the usual one, of which the system takes what the process's mask
  /// says, or nobody else's until a replacement gets what the old file had.
  package var creationMode: mode_t { replaced == nil ? 0o666 : 0o600 }

  /// Keeps others from a file that was just created, and returns the mode that the system gave it.
  package func hide(_ descriptor: Int32) throws -> mode_t {
    var status = stat()
    guard fstat(descriptor, &status) == 0, fchmod(descriptor, 0o600) == 0 else {
      throw modeFailure()
    }
    return status.st_mode & 0o777
  }

  /// Gives a new file the usual mode, and a replacement the owner, mode and attributes of the old file.
  package func applyOwnerAndMode(to descriptor: Int32, usual: mode_t) throws {
    if let replaced {
      // Only root may give files away; the mode matters more than the owner.
      _ = fchown(descriptor, replaced.owner, replaced.group)
    }
    guard fchmod(descriptor, replaced?.mode ?? usual) == 0 else {
      throw modeFailure()
    }
    if replaced != nil { files_copy_attributes(resolvedPath, descriptor) }
  }

  private func modeFailure() -> RecurrentError {
    RecurrentError(.fileMode, file: path, found: systemMessage())
  }

  /// Makes the new name durable; file systems that cannot sync a directory need no such call.
  package func syncDirectory() throws {
    let descriptor = open(directory, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return }
    defer { close(descriptor) }
    if fsync(descriptor) != 0, errno == EIO {
      throw RecurrentError(
        .fileDirectorySync, file: path,
        found: "the file is complete, but its name may be lost in a power failure: "
          + systemMessage(EIO))
    }
  }

  /// A replacement is another file: other names and, unless root writes it, the owner stay behind.
  package static func remarks(onReplacing path: String) -> [Remark] {
    var status = stat()
    guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return [] }
    var remarks: [Remark] = []
    if status.st_nlink > 1 {
      remarks.append(.hardLinks(Int(status.st_nlink)))
    }
    if status.st_uid != geteuid(), geteuid() != 0 {
      remarks.append(.newOwner)
    }
    return remarks
  }

  package static func exists(_ path: String) -> RecurrentError {
    RecurrentError(
      .outputExists, file: path, found: "a file that exists",
      expected: "a new name", hint: "Use \(.replacing) to replace it.")
  }
}
