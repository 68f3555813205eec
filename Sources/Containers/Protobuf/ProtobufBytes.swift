import Bytes
import Tensors

/// The bytes of one file of protocol buffers, read page by page, with one allowance for all that its
/// messages make us remember.
///
/// A message of two bytes may become an object of hundreds: without the allowance a small hostile file
/// would take gigabytes. Tensor data is never read through here; it stays a range of the file.
package final class ProtobufBytes {
  private var window: SourceWindow
  private var allowance: Int

  /// The file.
  package var source: any ByteSource { window.source }

  /// Wraps a file; `allowance` is in fields, see ``charge(_:at:)``.
  package init(_ source: any ByteSource, allowance: Int = 16_000_000) {
    window = SourceWindow(source, size: 1 << 16)
    self.allowance = allowance
  }

  /// One byte; `offset` must lie inside the file.
  package func byte(at offset: Int) throws -> UInt8 {
    try window.byte(at: offset)
  }

  /// A range as an array; throws `protobuf.limit` for more than `limit` bytes.
  package func bytes(_ range: Range<Int>, limit: Int) throws -> [UInt8] {
    guard range.count <= limit else {
      throw RecurrentError(
        .protobufLimit, at: "byte \(range.lowerBound)",
        found: "\(range.count) bytes", expected: "at most \(limit)")
    }
    return Array(try window.bytes(range))
  }

  /// Pays for what a field is about to make us remember; throws `protobuf.limit`.
  package func charge(_ price: Int, at offset: Int) throws {
    allowance -= price
    guard allowance >= 0 else {
      throw RecurrentError(
        .protobufLimit, at: "byte \(offset)",
        found: "more fields than a model of any use has", expected: "a smaller graph")
    }
  }
}
