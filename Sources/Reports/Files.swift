import Bytes
import Tensors

extension Figure {
  /// Writes the drawing as an SVG file, which appears when it is complete.
  ///
  /// Throws `output.exists` for a file that is there, unless it is to be replaced, and what the system says.
  public func write(toPath path: String, overwrite: Bool = false) throws {
    try writeText(file, to: path, overwrite: overwrite)
  }
}

extension Page {
  /// Writes the page as an HTML file, which appears when it is complete.
  ///
  /// Throws `output.exists` for a file that is there, unless it is to be replaced, and what the system says.
  public func write(toPath path: String, overwrite: Bool = false) throws {
    try writeText(html, to: path, overwrite: overwrite)
  }
}

private func writeText(_ text: String, to path: String, overwrite: Bool) throws {
  do {
    let output = try OutputFile(path: path, overwrite: overwrite)
    try output.write(Array(text.utf8))
    try output.finishWriting()
    try output.publish()
  } catch let error as RecurrentError {
    throw error.inFile(path)
  }
}
