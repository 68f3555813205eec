import Containers
import Tensors

// Protocol buffers of tensorflow/core/protobuf/tensor_bundle.proto:
//
//   BundleHeaderProto  1 number of shards, 2 byte order (0 little, 1 big)
//   BundleEntryProto   1 dtype, 2 shape, 3 shard, 4 offset, 5 size, 6 masked CRC-32C (fixed32),
//                      7 slices of a partitioned variable
//   TensorShapeProto   2 axis {1 size}, 3 unknown rank

/// What the index says about the whole checkpoint.
struct TensorFlowHeader {
  private(set) var shardCount = 0
  private(set) var isBigEndian = false

  init(_ message: ArraySlice<UInt8>) throws {
    try forEachField(in: message) { field in
      switch field {
      case (1, .integer(let count)): shardCount = Int(clamping: count)
      case (2, .integer(let order)): isBigEndian = order == 1
      default: break
      }
    }
    guard (1...99_999).contains(shardCount) else {
      throw RecurrentError(
        .malformed, "tf.entry", at: "header", found: "\(shardCount) shards",
        expected: "1 to 99999")
    }
  }
}

/// What the index says about one tensor.
struct TensorFlowEntry {
  private(set) var type = 0
  private(set) var shape: [Int] = []
  private(set) var shard = 0
  private(set) var offset = 0
  private(set) var size = 0
  private(set) var checksum: UInt32 = 0
  private(set) var isPartitioned = false

  init(_ message: ArraySlice<UInt8>) throws {
    try forEachField(in: message) { field in
      switch field {
      case (1, .integer(let value)): type = Int(clamping: value)
      case (2, .bytes(let value)): shape = try Self.shape(value)
      case (3, .integer(let value)): shard = Int(clamping: value)
      case (4, .integer(let value)): offset = Int(clamping: value)
      case (5, .integer(let value)): size = Int(clamping: value)
      case (6, .fixed32(let value)): checksum = value
      case (7, .bytes): isPartitioned = true
      default: break
      }
    }
  }

  /// The element type; `nil` for strings, complex numbers and others without a counterpart.
  var dtype: DType? {
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

  private static func shape(_ message: ArraySlice<UInt8>) throws -> [Int] {
    var sizes: [Int] = []
    try forEachField(in: message) { field in
      guard case (2, .bytes(let axis)) = field else { return }
      var size = 0
      try forEachField(in: axis) {
        if case (1, .integer(let value)) = $0 { size = Int(truncatingIfNeeded: value) }
      }
      sizes.append(size)
    }
    guard sizes.count <= 32 else {
      throw RecurrentError(
        .malformed, "tf.entry", found: "\(sizes.count) axes", expected: "at most 32")
    }
    return sizes
  }
}

/// The value of a field of a protocol buffer.
enum FieldValue {
  case integer(UInt64)
  case fixed64
  case bytes(ArraySlice<UInt8>)
  case fixed32(UInt32)
}

/// Calls `body` with each field's number and value; throws `tf.entry`.
func forEachField(
  in message: ArraySlice<UInt8>, _ body: ((Int, FieldValue)) throws -> Void
) throws {
  var rest = message
  let broken = RecurrentError(
    .malformed, "tf.entry", found: "a broken protocol buffer", expected: "a bundle entry")
  while !rest.isEmpty {
    guard let tag = Varint.read(&rest), let number = Int(exactly: tag >> 3) else { throw broken }
    switch tag & 7 {
    case 0:
      guard let value = Varint.read(&rest) else { throw broken }
      try body((number, .integer(value)))
    case 1:
      guard rest.count >= 8 else { throw broken }
      rest = rest.dropFirst(8)
      try body((number, .fixed64))
    case 2:
      guard let length = Varint.read(&rest), length <= UInt64(rest.count) else { throw broken }
      try body((number, .bytes(rest.prefix(Int(length)))))
      rest = rest.dropFirst(Int(length))
    case 5:
      guard rest.count >= 4 else { throw broken }
      try body((number, .fixed32(UInt32(littleEndianBytes: rest))))
      rest = rest.dropFirst(4)
    default: throw broken
    }
  }
}
