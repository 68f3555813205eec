import Bytes

/// Writes reports under the same output protocol as weights.
public enum TextFile {
  /// Writes or replaces a text file; a failure leaves an existing file untouched.
  public static func write(_ text: String, to path: String) throws {
    try OutputFile.write(text, to: path, overwrite: true)
  }
}
