import Tensors

/// The payload of an array extension: [shape, dtype name, binary].
enum FlaxArray {
  static let names: [(DType, String)] = [
    (.f64, "float64"), (.f32, "float32"), (.f16, "float16"), (.bf16, "bfloat16"), (.i64, "int64"),
    (.i32, "int32"), (.i16, "int16"), (.i8, "int8"), (.u64, "uint64"), (.u32, "uint32"),
    (.u16, "uint16"), (.u8, "uint8"), (.bool, "bool"),
  ]
  private static let maximumRank = 32

  static func read(_ source: any ByteSource, _ range: Range<Int>) throws -> Tensor {
    var reader = MessagePackReader(source, range: range)
    guard case .array(3) = try reader.next(), case .array(let rank) = try reader.next(),
      rank <= maximumRank
    else { throw error(range, "another structure") }
    var shape: [Int] = []
    for _ in 0..<rank {
      guard case .integer(let size) = try reader.next(), size >= 0 else {
        throw error(range, "a shape with something that is no size")
      }
      shape.append(size)
    }
    let type = try reader.next()
    guard case .string(let text) = type, text.count <= 64,
      case .binary(let data) = try reader.next(), reader.isAtEnd
    else { throw error(range, "another structure") }
    let name = String(decoding: try source.read(text), as: UTF8.self)
    guard let dtype = names.first(where: { $0.1 == name })?.0 else {
      throw RecurrentError(
        .flaxDType, at: "byte \(range.lowerBound)", found: "dtype \"\(name)\"",
        expected: names.map(\.1).joined(separator: ", "))
    }
    return try Tensor(
      dtype: dtype, shape: shape,
      source: WindowSource(source, offset: data.lowerBound, count: data.count))
  }

  private static func error(_ range: Range<Int>, _ found: String) -> RecurrentError {
    RecurrentError(
      .flaxArray, at: "byte \(range.lowerBound)", found: found,
      expected: "an array extension: [shape, dtype, bytes]")
  }
}

/// An array that was cut into chunks because MessagePack's binaries end at 2^32 bytes.
struct FlaxChunks {
  var shape: [Int] = []
  var pieces: [Tensor] = []

  func tensor() throws -> Tensor {
    guard let dtype = pieces.first?.dtype, pieces.allSatisfy({ $0.dtype == dtype }) else {
      throw RecurrentError(
        .flaxChunks, found: "no chunks, or chunks of several types",
        expected: "chunks of one type")
    }
    return try Tensor(dtype: dtype, shape: shape, source: JoinedSource(pieces.map(\.source)))
  }
}

/// Sources read one after the other as if they were one.
struct JoinedSource: ByteSource {
  private let parts: [any ByteSource]
  private let starts: [Int]
  let count: Int

  /// The parts are windows side by side in one file, so their lengths cannot overflow.
  init(_ parts: [any ByteSource]) {
    self.parts = parts
    var starts: [Int] = []
    var total = 0
    for part in parts {
      starts.append(total)
      total += part.count
    }
    self.starts = starts
    count = total
  }

  func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
    var done = 0
    for (part, start) in zip(parts, starts) where done < buffer.count {
      let position = offset + done - start
      guard position >= 0, position < part.count else { continue }
      let length = min(buffer.count - done, part.count - position)
      try part.read(
        at: position,
        into: UnsafeMutableRawBufferPointer(rebasing: buffer[done..<done + length]))
      done += length
    }
  }
}
