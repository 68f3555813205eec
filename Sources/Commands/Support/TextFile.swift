import Bytes
import Recurrent

/// Writes reports under the same output protocol as weights.
public enum TextFile {
  /// Writes or replaces a text file; a failure leaves an existing file untouched.
  public static func write(_ text: String, to path: String) throws {
    do {
      let output = try OutputFile(path: path, overwrite: true)
      try output.write(Array(text.utf8))
      try output.finishWriting()
      try output.publish(checking: [])
    } catch let error as RecurrentError {
      throw error.inFile(path)
    }
  }
}
