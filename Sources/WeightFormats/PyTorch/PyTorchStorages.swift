import Tensors

/// The storages of a PyTorch file, each opened once so that its checksum is verified once.
struct PyTorchStorages {
  /// What a persistent id says.
  struct Reference {
    let key: [UInt8]
    /// The element type of the storage class; `nil` for untyped bytes.
    let dtype: DType?
    /// Elements, or bytes when untyped.
    let count: Int
  }

  let archive: ZipArchive
  let folder: String
  let isBigEndian: Bool
  private var opened: [[UInt8]: any ByteSource] = [:]

  init(archive: ZipArchive, folder: String, isBigEndian: Bool) {
    self.archive = archive
    self.folder = folder
    self.isBigEndian = isBigEndian
  }

  /// Decodes `("storage", torch FloatStorage, "0", "cpu", 12)`.
  func reference(_ value: PickleValue, in graph: PickleGraph) throws -> Reference {
    guard case .persistent(let id)? = graph.node(value), let parts = graph.tuple(id),
      parts.count == 5 || parts.count == 6, case .string(let kind) = parts[0],
      kind.elementsEqual("storage".utf8), case .global(let type) = parts[1],
      case .string(let key) = parts[2], case .int(let count) = parts[4], count >= 0
    else {
      throw RecurrentError(
        .malformed, "pt.storage", found: "no storage", expected: "a typed reference to an entry")
    }
    if parts.count == 6, case .none = parts[5] {
    } else if parts.count == 6 {
      throw RecurrentError(
        .unsupported, "pt.storage", found: "a view of a storage", expected: "a whole storage")
    }
    let names = type.split(separator: " ", maxSplits: 1).map(String.init)
    let isKnownModule = ["torch", "torch.cuda", "torch.storage"].contains(names.first)
    if type == "torch.storage UntypedStorage" || type == "torch UntypedStorage" {
      return Reference(key: key, dtype: nil, count: count)
    }
    guard isKnownModule, let dtype = Self.types[names.last ?? ""] else {
      throw RecurrentError(
        .unsupported, "pt.dtype", found: "a storage of type \(type)",
        expected: "real numbers, integers or booleans")
    }
    return Reference(key: key, dtype: dtype, count: count)
  }

  /// The bytes of a storage, as they stand in the file.
  mutating func source(of reference: Reference) throws -> any ByteSource {
    guard let name = Name(validating: Array("\(folder)/data/".utf8) + reference.key),
      let entry = archive[name]
    else {
      throw RecurrentError(
        .malformed, "pt.storage",
        found: "no entry \"\(folder)/data/\(String(decoding: reference.key, as: UTF8.self))\"",
        expected: "the bytes of the storage")
    }
    let (bytes, overflow) = reference.count.multipliedReportingOverflow(
      by: reference.dtype?.byteCount ?? 1)
    guard !overflow, bytes == entry.size else {
      throw RecurrentError(
        .malformed, "pt.storage-size", at: "entry \"\(name)\"", found: "\(entry.size) bytes",
        expected: "\(reference.count) elements of \(reference.dtype?.byteCount ?? 1) bytes")
    }
    if let source = opened[reference.key] { return source }
    let source = try archive.source(of: entry, acceptsMissingChecksums: true)
    opened[reference.key] = source
    return source
  }

  private static let types: [String: DType] = [
    "DoubleStorage": .f64, "FloatStorage": .f32, "HalfStorage": .f16, "BFloat16Storage": .bf16,
    "LongStorage": .i64, "IntStorage": .i32, "ShortStorage": .i16, "CharStorage": .i8,
    "ByteStorage": .u8, "BoolStorage": .bool,
  ]

  /// The storage class of a type; `nil` for the types that came after storage classes.
  static func className(of dtype: DType) -> String? { types.first { $0.value == dtype }?.key }

  /// The name of a type in the module `torch`.
  static func typeName(of dtype: DType) -> String {
    switch dtype {
    case .f64: "float64"
    case .f32: "float32"
    case .f16: "float16"
    case .bf16: "bfloat16"
    case .i64: "int64"
    case .i32: "int32"
    case .i16: "int16"
    case .i8: "int8"
    case .u64: "uint64"
    case .u32: "uint32"
    case .u16: "uint16"
    case .u8: "uint8"
    case .bool: "bool"
    }
  }
}
