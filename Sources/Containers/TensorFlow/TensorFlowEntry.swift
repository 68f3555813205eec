import Bytes
import Tensors

// Protocol buffers of tensorflow/core/protobuf/tensor_bundle.proto:
//
//   BundleHeaderProto  1 number of shards, 2 byte order (0 little, 1 big)
//   BundleEntryProto   1 dtype, 2 shape, 3 shard, 4 offset, 5 size, 6 masked CRC-32C (fixed32),
//                      7 slices of a partitioned variable
//   TensorShapeProto   2 axis {1 size}, 3 unknown rank

/// What the index says about the whole checkpoint.
package struct TensorFlowHeader {
  package private(set) var shardCount = 0
  package private(set) var isBigEndian = false

  package init(_ message: ArraySlice<UInt8>) throws {
    try TensorFlowMessage(message).forEachField { number, value in
      switch (number, value) {
      case (1, .varint(let count)): shardCount = Int(clamping: count)
      case (2, .varint(let order)): isBigEndian = order == 1
      default: break
      }
    }
    guard (1...99_999).contains(shardCount) else {
      throw RecurrentError(
        .tensorFlowEntry, at: "header", found: "\(shardCount) shards",
        expected: "1 to 99999")
    }
  }
}

/// What the index says about one tensor.
package struct TensorFlowEntry {
  package private(set) var type = 0
  package private(set) var shape: [Int] = []
  package private(set) var shard = 0
  package private(set) var offset = 0
  package private(set) var size = 0
  package private(set) var checksum: UInt32 = 0
  package private(set) var isPartitioned = false

  package init(_ message: ArraySlice<UInt8>) throws {
    let message = TensorFlowMessage(message)
    try message.forEachField { number, value in
      switch (number, value) {
      case (1, .varint(let value)): type = Int(clamping: value)
      case (2, .bytes(let range)): shape = try Self.shape(message.message(range))
      case (3, .varint(let value)): shard = Int(clamping: value)
      case (4, .varint(let value)): offset = Int(clamping: value)
      case (5, .varint(let value)): size = Int(clamping: value)
      case (6, .fixed32(let range)): checksum = try message.fixed32(range)
      case (7, .bytes): isPartitioned = true
      default: break
      }
    }
  }

  /// The element type; `nil` for strings, complex numbers and others without a counterpart.
  package var dtype: DType? {
    switch type {
    case 1: .f32
    case 2: .f64
    case 3: .i32
    case 4: .u8
    case 5: .i16
    case 6: .i8
    case 9: .i64
    case 10: .bool
    case 14: .bf16
    case 17: .u16
    case 19: .f16
    case 22: .u32
    case 23: .u64
    default: nil
    }
  }

  private static func shape(_ message: TensorFlowMessage) throws -> [Int] {
    var sizes: [Int] = []
    try message.forEachField { number, value in
      guard number == 2, case .bytes(let axis) = value else { return }
      var size = 0
      try message.message(axis).forEachField { number, value in
        if number == 1, case .varint(let value) = value { size = Int(truncatingIfNeeded: value) }
      }
      sizes.append(size)
    }
    guard sizes.count <= 32 else {
      throw RecurrentError(
        .tensorFlowEntry, found: "\(sizes.count) axes", expected: "at most 32")
    }
    return sizes
  }
}

/// The fields of a message of a checkpoint's index.
///
/// What is wrong with a message is wrong with the entry: it throws `tf.entry`.
package struct TensorFlowMessage {
  private let bytes: ProtobufBytes
  private let reader: ProtobufReader

  /// The message that all bytes are.
  package init(_ bytes: ArraySlice<UInt8>) {
    self.bytes = ProtobufBytes(MemorySource(Array(bytes)))
    reader = ProtobufReader(self.bytes)
  }

  private init(_ bytes: ProtobufBytes, _ range: Range<Int>) {
    self.bytes = bytes
    reader = ProtobufReader(bytes, range)
  }

  /// Calls `body` with the number and the value of every field.
  package func forEachField(_ body: (Int, ProtobufField.Value) throws -> Void) throws {
    var reader = reader
    while let field = try next(&reader) { try body(field.number, field.value) }
  }

  private func next(_ reader: inout ProtobufReader) throws -> ProtobufField? {
    do { return try reader.next() } catch {
      throw RecurrentError(
        .tensorFlowEntry, found: "a broken protocol buffer", expected: "a bundle entry")
    }
  }

  /// A message inside this one.
  package func message(_ range: Range<Int>) -> TensorFlowMessage { TensorFlowMessage(bytes, range) }

  /// A text inside this message.
  package func text(_ range: Range<Int>) throws -> String {
    String(decoding: try bytes.bytes(range, limit: .max), as: UTF8.self)
  }

  /// Four bytes of this message.
  package func fixed32(_ range: Range<Int>) throws -> UInt32 {
    UInt32(littleEndian: try bytes.bytes(range, limit: 4))
  }
}
