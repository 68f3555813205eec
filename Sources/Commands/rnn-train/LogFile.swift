import Bytes
import Containers
import HostSystem
import Recurrent

/// A file that grows by one JSON object per line; every line is written at once.
final class LogFile {
  private let path: String
  private let descriptor: Int32

  /// Opens the file for appending; throws `output.create`, and `output.exists` for a file that is no log.
  init(path: String) throws {
    self.path = path
    try Self.checkIsLog(path)
    descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, mode_t(0o666))
    guard descriptor >= 0 else {
      throw RecurrentError(
        .outputCreate, file: path, found: systemMessage(),
        expected: "a file that can be written to")
    }
  }

  deinit { close(descriptor) }

  func write(_ object: KeyValuePairs<String, JSON>) throws { try write(JSON.object(object)) }

  func write(_ object: JSON) throws {
    let line = Array((object.serialized() + "\n").utf8)
    let code = line.withUnsafeBytes { writeFully($0, to: descriptor) }
    guard code == 0 else {
      throw RecurrentError(.fileWrite, file: path, found: systemMessage(code))
    }
  }

  /// Lines are added to a log, and to nothing else that is there.
  private static func checkIsLog(_ path: String) throws {
    guard let file = try? InputFile(path: path), file.count > 0 else { return }
    let start = try file.read(0..<min(1 << 16, file.count))
    let line = start.prefix { $0 != UInt8(ascii: "\n") }
    let first = try? JSON.parse(Array(line))
    guard first?["step"] != nil || first?["event"] != nil else {
      throw RecurrentError(
        .outputExists, file: path, found: "a file that is no log of a training",
        expected: "a new file, or a log to go on")
    }
  }
}
