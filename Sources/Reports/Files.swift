import Bytes

extension Figure {
  /// Writes the drawing as an SVG file, which appears when it is complete.
  ///
  /// Throws `output.exists` for a file that is there, unless it is to be replaced, and what the system says.
  public func write(toPath path: String, overwrite: Bool = false) throws {
    try OutputFile.write(file, to: path, overwrite: overwrite)
  }
}

extension Page {
  /// Writes the page as an HTML file, which appears when it is complete.
  ///
  /// Throws `output.exists` for a file that is there, unless it is to be replaced, and what the system says.
  public func write(toPath path: String, overwrite: Bool = false) throws {
    try OutputFile.write(html, to: path, overwrite: overwrite)
  }
}
