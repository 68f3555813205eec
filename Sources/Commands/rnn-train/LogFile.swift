import HostSystem
import Recurrent

/// A file that grows by one JSON object per line; every line is written at once.
final class LogFile {
  private let path: String
  private let descriptor: Int32

  /// Opens the file for appending; throws `output.create`.
  init(path: String) throws {
    self.path = path
    descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, mode_t(0o666))
    guard descriptor >= 0 else {
      throw RecurrentError(
        .cannotCreate, "output.create", file: path, found: String(cString: strerror(errno)),
        expected: "a file that can be written to")
    }
  }

  deinit { close(descriptor) }

  func write(_ object: KeyValuePairs<String, JSON>) throws { try write(JSON.object(object)) }

  func write(_ object: JSON) throws {
    let line = Array((object.serialized() + "\n").utf8)
    var done = 0
    while done < line.count {
      let sent = line.withUnsafeBytes { bytes in
        systemWrite(descriptor, bytes.baseAddress.map { $0 + done }, line.count - done)
      }
      if sent < 0, errno == EINTR { continue }
      guard sent > 0 else {
        throw RecurrentError(
          .inputOutput, "file.write", file: path,
          found: String(cString: strerror(sent < 0 ? errno : EIO)))
      }
      done += sent
    }
  }
}

/// `write(2)`, which the method of the same name hides inside the class.
private func systemWrite(_ descriptor: Int32, _ start: UnsafeRawPointer?, _ count: Int) -> Int {
  write(descriptor, start, count)
}
