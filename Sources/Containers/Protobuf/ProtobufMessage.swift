/// A message under construction, in the order of the calls.
///
/// Lengths stand before contents, so a message is complete before it is put into another one; only
/// tensor data is streamed, by writers that know its length.
package struct ProtobufMessage {
  /// What was written so far.
  package private(set) var bytes: [UInt8] = []

  /// An empty message.
  package init() {}

  /// Appends a number.
  package mutating func append(_ field: Int, _ value: Int) {
    key(field, wireType: 0)
    varint(UInt64(bitPattern: Int64(value)))
  }

  /// Appends text.
  package mutating func append(_ field: Int, _ text: String) {
    append(field, bytes: Array(text.utf8))
  }

  /// Appends a message.
  package mutating func append(_ field: Int, _ message: ProtobufMessage) {
    append(field, bytes: message.bytes)
  }

  /// Appends bytes.
  package mutating func append(_ field: Int, bytes content: [UInt8]) {
    beginBytes(field, count: content.count)
    bytes += content
  }

  /// Appends the key and the length of bytes that the caller writes itself.
  package mutating func beginBytes(_ field: Int, count: Int) {
    key(field, wireType: 2)
    varint(UInt64(count))
  }

  /// Appends what is already encoded.
  package mutating func append(raw content: [UInt8]) { bytes += content }

  private mutating func key(_ field: Int, wireType: UInt64) {
    varint(UInt64(field) << 3 | wireType)
  }

  private mutating func varint(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }
}
