import HostSystem
import Networks
import Tensors

/// Directories, as far as a batch needs them.
enum FileTree {
  /// What makes two paths one file.
  struct Identity: Hashable {
    private let device: UInt64
    private let node: UInt64

    /// `nil` when nothing is there.
    init?(_ path: String) {
      var status = stat()
      guard stat(path, &status) == 0 else { return nil }
      device = UInt64(truncatingIfNeeded: status.st_dev)
      node = UInt64(status.st_ino)
    }
  }

  static func isDirectory(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  /// Whether a path, which need not exist yet, is a directory or lies somewhere below it.
  static func contains(_ directory: String, _ path: String) -> Bool {
    guard let root = Identity(directory) else { return false }
    // From the nearest place that exists upwards, on the real path.
    var place = path
    while realpath(place, nil).map({ free($0) }) == nil {
      guard let slash = place.lastIndex(of: "/") else {
        place = "."
        break
      }
      place = slash == place.startIndex ? "/" : String(place[..<slash])
    }
    guard let real = realpath(place, nil) else { return false }
    defer { free(real) }
    var current = String(cString: real)
    while true {
      if Identity(current) == root { return true }
      guard current != "/", let slash = current.lastIndex(of: "/") else { return false }
      current = slash == current.startIndex ? "/" : String(current[..<slash])
    }
  }

  /// The regular files below a directory in the order of names, relative to it; dot files are left out,
  /// and so are symbolic links to directories, so that no cycle can arise.
  ///
  /// A directory that cannot be read is listed with the reason.
  static func files(below root: String) -> [(path: String, error: RecurrentError?)] {
    var files: [(String, RecurrentError?)] = []
    var pending = [""]
    while let next = pending.popLast() {
      let path = next.isEmpty ? root : root + "/" + next
      var status = stat()
      guard lstat(path, &status) == 0 else { continue }
      if status.st_mode & S_IFMT == S_IFDIR || next.isEmpty {
        do throws(RecurrentError) {
          let names = try entries(path)
          pending += names.reversed().map { next.isEmpty ? $0 : next + "/" + $0 }
        } catch {
          files.append((next.isEmpty ? "." : next, error))
        }
      } else if stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG {
        files.append((next, nil))
      }
    }
    return files
  }

  private static func entries(_ path: String) throws(RecurrentError) -> [String] {
    guard let directory = opendir(path) else {
      let code = errno
      throw RecurrentError(
        code == EACCES ? .filePermission : .fileRead, file: path,
        found: systemMessage(code), expected: "a directory that can be read")
    }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if !name.hasPrefix(".") { names.append(name) }
    }
    return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }
}
