import Bytes
import CommandSupport
import Recurrent

/// The file that a page is written to, again and again while a training goes on.
struct PageFile {
  let path: String

  /// Checks that the page can be written, and that it replaces no file that is something else.
  ///
  /// Throws `output.exists` for a file that is no page, and what creating a file throws.
  init(_ path: String) throws {
    self.path = path
    if let file = try? InputFile(path: path) {
      let start = try file.read(0..<min(15, file.count))
      guard
        start.isEmpty || String(decoding: start, as: UTF8.self).lowercased() == "<!doctype html>"
      else {
        throw RecurrentError(
          .outputExists, file: path, found: "a file that is no page",
          expected: "a new file, or a page to replace")
      }
    }
    do {
      try OutputFile(path: path, overwrite: true).discard()
    } catch let error as RecurrentError {
      throw error.inFile(path)
    }
  }

  func write(_ log: TrainingLog, title: String) throws {
    try TextFile.write(PageReport.html(log, title: title), to: path)
  }
}
