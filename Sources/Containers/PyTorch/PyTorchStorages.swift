import Tensors

/// The storages of a PyTorch file, each opened once so that its checksum is verified once.
package struct PyTorchStorages {
  /// What a persistent id says.
  package struct Reference {
    package let key: [UInt8]
    /// The element type of the storage class; `nil` for untyped bytes.
    package let dtype: DType?
    /// Elements, or bytes when untyped.
    package let count: Int
    /// The element at which a view of the storage begins, before 1.6.
    package let start: Int
  }

  /// Where the bytes of storages are.
  package enum Place {
    /// In `FOLDER/data/KEY` of a zip archive.
    case archive(ZipArchive, folder: String)
    /// Behind the pickles of an older file.
    case windows([[UInt8]: WindowSource])
  }

  package let place: Place
  package let isBigEndian: Bool
  private var opened: [[UInt8]: any ByteSource] = [:]

  package init(_ place: Place, isBigEndian: Bool = false) {
    self.place = place
    self.isBigEndian = isBigEndian
  }

  /// Whether damage cannot be noticed because the writer left all checksums out.
  package var lacksChecksums: Bool {
    if case .archive(let archive, _) = place { archive.lacksChecksums } else { false }
  }

  /// Decodes `("storage", torch FloatStorage, "0", "cpu", 12)`, and before 1.6 a sixth part: `None`,
  /// or the (key, offset, size) of a view.
  package static func reference(_ value: PickleValue, in graph: PickleGraph) throws -> Reference {
    guard case .persistent(let id)? = graph.node(value), let parts = graph.tuple(id),
      parts.count == 5 || parts.count == 6, case .string(let kind) = parts[0],
      kind.elementsEqual("storage".utf8), case .global(let type) = parts[1],
      case .string(let key) = parts[2], case .int(let count) = parts[4], count >= 0
    else {
      throw RecurrentError(
        .ptStorage, found: "no storage", expected: "a typed reference to an entry")
    }
    var start = 0
    if parts.count == 6, case .node = parts[5] {
      guard let view = graph.tuple(parts[5]), view.count == 3, case .int(let offset) = view[1],
        case .int(let size) = view[2], offset >= 0, offset <= count, size >= 0,
        size <= count - offset
      else {
        throw RecurrentError(
          .ptStorage, found: "a view that reaches past its storage",
          expected: "(key, offset, size) inside \(count) elements")
      }
      start = offset
    }
    return Reference(key: key, dtype: try dtype(ofClass: type), count: count, start: start)
  }

  /// The element type of a storage class; `nil` for untyped bytes.
  package static func dtype(ofClass type: String) throws -> DType? {
    if type == "torch.storage UntypedStorage" || type == "torch UntypedStorage" { return nil }
    let names = type.split(separator: " ", maxSplits: 1).map(String.init)
    guard ["torch", "torch.cuda", "torch.storage"].contains(names.first),
      let dtype = Self.types[names.last ?? ""]
    else {
      throw RecurrentError(
        .ptDTypeUnsupported, found: "a storage of type \(type)",
        expected: "real numbers, integers or booleans")
    }
    return dtype
  }

  /// The bytes of a storage, as they stand in the file.
  package mutating func source(of reference: Reference) throws -> any ByteSource {
    let stored = try stored(reference.key)
    let (bytes, overflow) = reference.count.multipliedReportingOverflow(
      by: reference.dtype?.byteCount ?? 1)
    guard !overflow, bytes == stored.size else {
      throw RecurrentError(
        .ptStorageSize, at: stored.place, found: "\(stored.size) bytes",
        expected: "\(reference.count) elements of \(reference.dtype?.byteCount ?? 1) bytes")
    }
    if let source = opened[reference.key] { return source }
    let source = try stored.open()
    opened[reference.key] = source
    return source
  }

  private func stored(_ key: [UInt8]) throws -> (
    place: String, size: Int, open: () throws -> any ByteSource
  ) {
    let text = String(decoding: key, as: UTF8.self)
    switch place {
    case .archive(let archive, let folder):
      if let name = Name(validating: Array("\(folder)/data/".utf8) + key), let entry = archive[name]
      {
        return (
          "entry \"\(name)\"", entry.size,
          { try archive.source(of: entry, acceptsMissingChecksums: true) }
        )
      }
    case .windows(let windows):
      if let window = windows[key] { return ("storage \"\(text)\"", window.count, { window }) }
    }
    throw RecurrentError(
      .ptStorage, found: "no storage \"\(text)\"",
      expected: "the bytes of the storage")
  }

  private static let types: [String: DType] = [
    "DoubleStorage": .f64, "FloatStorage": .f32, "HalfStorage": .f16, "BFloat16Storage": .bf16,
    "LongStorage": .i64, "IntStorage": .i32, "ShortStorage": .i16, "CharStorage": .i8,
    "ByteStorage": .u8, "BoolStorage": .bool,
  ]

  /// The storage class of a type; `nil` for the types that came after storage classes.
  package static func className(of dtype: DType) -> String? {
    types.first { $0.value == dtype }?.key
  }

  /// The name of a type in the module `torch`.
  package static func typeName(of dtype: DType) -> String {
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
