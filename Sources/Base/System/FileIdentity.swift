/// Which file this is, and which state of it: two readings are equal while nobody writes to it or replaces
/// it.
package struct FileIdentity: Equatable, Sendable {
  package let device: UInt64
  package let inode: UInt64
  package let size: Int64
  /// Seconds and nanoseconds of the last change of the contents and of the file's entry.
  private let times: [Int]

  /// What the system says of a file.
  package init(_ status: stat) {
    #if canImport(Darwin)
      let (modified, changed) = (status.st_mtimespec, status.st_ctimespec)
    #else
      let (modified, changed) = (status.st_mtim, status.st_ctim)
    #endif
    times = [modified.tv_sec, modified.tv_nsec, changed.tv_sec, changed.tv_nsec]
    device = UInt64(truncatingIfNeeded: status.st_dev)
    inode = UInt64(status.st_ino)
    size = Int64(status.st_size)
  }

  /// Whether both are the same file, in whatever state.
  package func isSameFile(as other: FileIdentity) -> Bool {
    device == other.device && inode == other.inode
  }
}

/// Appends a range of one open file to another inside the kernel, and returns how many bytes it took; 0 where
/// the system has no such call.
package func copyInKernel(_ range: Range<Int>, from source: Int32, to target: Int32) -> Int {
  #if canImport(Glibc)
    var position = off_t(range.lowerBound)
    return max(0, sendfile(target, source, &position, range.count))
  #else
    return 0
  #endif
}

/// What a file is that is no regular one: `a directory`, `a device`, `a pipe`, `a socket`.
package func fileKind(_ status: stat) -> String {
  switch status.st_mode & S_IFMT {
  case S_IFDIR: "a directory"
  case S_IFCHR, S_IFBLK: "a device"
  case S_IFIFO: "a pipe"
  case S_IFSOCK: "a socket"
  default: "a special file"
  }
}
