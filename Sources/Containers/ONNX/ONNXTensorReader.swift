import Bytes
import Tensors

/// Turns what a file says about a tensor into a tensor: a window on the model or on an external file,
/// or numbers decoded from typed fields.
package final class ONNXTensorReader {
  private let source: any ByteSource
  private var external: ONNXExternalData
  /// Bytes of typed fields that are held in memory.
  private var decoded = 0
  private static let decodedLimit = 1 << 28

  /// Reads tensors of a model file; `path` finds the external files.
  package init(_ source: any ByteSource, path: String?) {
    self.source = source
    external = ONNXExternalData(modelPath: path)
  }

  /// The external files that tensors were found in.
  package var files: [InputFile] { external.files.sorted { $0.key < $1.key }.map(\.value) }

  /// The tensor, or `nil` for an element type that a state dict cannot hold.
  ///
  /// Throws `onnx.tensor-size`, `onnx.typed-data`, `onnx.typed-limit` and `onnx.external-…`.
  package func tensor(_ record: ONNXTensorRecord) throws -> Tensor? {
    guard let dtype = DType(onnx: record.dataType) else { return nil }
    do {
      let count = try byteCount(of: record.shape, elementSize: dtype.byteCount)
      if record.isExternal {
        return try Tensor(
          dtype: dtype, shape: record.shape, source: external.window(record, count: count))
      }
      if let raw = record.raw {
        guard raw.count == count else { throw Self.size(raw.count, count) }
        return try Tensor(
          dtype: dtype, shape: record.shape,
          source: WindowSource(source, offset: raw.lowerBound, count: count))
      }
      return try Tensor(
        dtype: dtype, shape: record.shape, source: typed(record, dtype, byteCount: count))
    } catch let error as RecurrentError {
      throw error.within(record.place)
    }
  }

  private func typed(
    _ record: ONNXTensorRecord, _ dtype: DType, byteCount: Int
  ) throws -> any ByteSource {
    let values = record.typed[dtype.onnxField] ?? []
    if dtype == .f32 || dtype == .f64 {
      let ranges = try values.map { value in
        switch value {
        case .bytes(let range), .fixed32(let range), .fixed64(let range): return range
        case .varint:
          throw RecurrentError(
            .onnxTypedData, found: "whole numbers", expected: dtype.rawValue)
        }
      }
      let found = ranges.reduce(0) { $0 + $1.count }
      guard found == byteCount else { throw Self.size(found, byteCount) }
      if ranges.count == 1 {
        return try WindowSource(source, offset: ranges[0].lowerBound, count: byteCount)
      }
      try reserve(byteCount)
      return MemorySource(try ranges.flatMap { try source.read($0) })
    }
    try reserve(byteCount)
    let count = byteCount / dtype.byteCount
    var bytes: [UInt8] = []
    var found = 0
    func append(_ number: UInt64) throws {
      found += 1
      guard found <= count else { throw Self.size(found * dtype.byteCount, byteCount) }
      let pattern = try Self.pattern(number, dtype)
      withUnsafeBytes(of: pattern.littleEndian) {
        bytes.append(contentsOf: $0.prefix(dtype.byteCount))
      }
    }
    let file = ProtobufBytes(source)
    for value in values {
      switch value {
      case .varint(let number): try append(number)
      case .bytes(let range):
        var packed = ProtobufReader(file, range)
        while let number = try packed.nextPacked() { try append(number) }
      case .fixed32, .fixed64:
        throw RecurrentError(
          .onnxTypedData, found: "floating-point numbers", expected: dtype.rawValue)
      }
    }
    guard bytes.count == byteCount else { throw Self.size(bytes.count, byteCount) }
    return MemorySource(bytes)
  }

  /// The bits of a number of a narrow type; small types travel in 32 bits, signs extended.
  private static func pattern(_ number: UInt64, _ dtype: DType) throws -> UInt64 {
    let signed = Int64(bitPattern: number)
    let fits: Bool =
      switch dtype {
      case .i8: Int8(exactly: signed) != nil
      case .i16: Int16(exactly: signed) != nil
      case .i32: Int32(exactly: signed) != nil
      case .bool: number < 2
      case .u8: number < 1 << 8
      case .u16, .f16, .bf16: number < 1 << 16
      case .u32: number < 1 << 32
      case .i64, .u64, .f32, .f64: true
      }
    guard fits else {
      throw RecurrentError(
        .onnxTypedData, found: "the number \(signed)", expected: dtype.rawValue)
    }
    return number
  }

  private func reserve(_ count: Int) throws {
    decoded += min(count, Self.decodedLimit + 1)
    guard decoded <= Self.decodedLimit else {
      throw RecurrentError(
        .onnxTypedLimit, found: "more than 256 MiB of numbers in typed fields",
        expected: "raw_data, as every exporter writes large tensors")
    }
  }

  private static func size(_ found: Int, _ expected: Int) -> RecurrentError {
    RecurrentError(
      .onnxTensorSize, found: "\(found) bytes of data", expected: "\(expected)")
  }
}

extension DType {
  /// The type with a number of ONNX's TensorProto.DataType.
  package init?(onnx number: Int) {
    guard let dtype = Self.allCases.first(where: { $0.onnxNumber == number }) else { return nil }
    self = dtype
  }

  /// The number in ONNX's TensorProto.DataType.
  package var onnxNumber: Int {
    switch self {
    case .f32: 1
    case .u8: 2
    case .i8: 3
    case .u16: 4
    case .i16: 5
    case .i32: 6
    case .i64: 7
    case .bool: 9
    case .f16: 10
    case .f64: 11
    case .u32: 12
    case .u64: 13
    case .bf16: 16
    }
  }

  /// The field of TensorProto that holds numbers of this type.
  fileprivate var onnxField: Int {
    switch self {
    case .f32: 4
    case .f64: 10
    case .i64: 7
    case .u32, .u64: 11
    case .i32, .i16, .i8, .u16, .u8, .bool, .f16, .bf16: 5
    }
  }
}
