import Tensors

extension OutputFile {
  /// Writes a whole text file, which appears when it is complete.
  ///
  /// Throws `output.exists` for a file that is there, unless `overwrite` is set, and what writing throws.
  package static func write(_ text: String, to path: String, overwrite: Bool) throws {
    do {
      let output = try OutputFile(path: path, overwrite: overwrite)
      try output.write(Array(text.utf8))
      try output.publish()
    } catch let error as RecurrentError {
      throw error.inFile(path)
    }
  }
}
