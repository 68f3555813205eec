// safetensors, as the reference implementation 0.8.0 reads and writes it:
//
//   0    u64 N, little-endian, at most 100,000,000
//   8    N bytes of JSON, UTF-8: {"__metadata__": {str: str}?, NAME: {"dtype": str,
//        "shape": [uint], "data_offsets": [begin, end]}, …}, padded with spaces
//   8+N  the data; offsets count from here; ranges are contiguous and cover it exactly
//
// Elements are row-major and little-endian. There is no alignment, and there are no aliases: a tied
// tensor is written once, and the metadata pair DROPPED: KEPT remembers the other name.
import Bytes
import Tensors

/// The safetensors container.
package enum Safetensors {
  package static let maximumHeaderLength = 100_000_000
  package static let metadataKey = "__metadata__"

  /// Whether the first bytes can be those of a safetensors file.
  package static func recognizes(_ source: any ByteSource) -> Bool {
    guard let length = try? headerLength(source),
      let start = try? source.read(8..<min(8 + length, 8 + 64))
    else { return false }
    return start.first { ![0x20, 0x0A, 0x0D, 0x09].contains($0) } == UInt8(ascii: "{")
  }

  /// Reads names, shapes and metadata; the tensors stay windows on `source`.
  ///
  /// The container forgets the order of a state dict, so the entries come in `registrationOrder`.
  /// Throws `safetensors.…` or `json.…` with kind `.malformed`, and only for a file without fault
  /// `safetensors.dtype` with kind `.unsupported`.
  package static func read(_ source: any ByteSource) throws -> StateDict {
    let length = try headerLength(source)
    let header: JSON
    do {
      header = try JSON.parse(source.read(8..<8 + length))
    } catch let error as RecurrentError {
      throw error.within("header")
    }
    guard let members = header.objectValue else {
      throw RecurrentError(
        .safetensorsHeader, at: "header", found: "something else than an object",
        expected: "a JSON object")
    }
    var metadata = Metadata()
    var records: [SafetensorsRecord] = []
    for member in members {
      if member.key.utf8.elementsEqual(metadataKey.utf8) {
        metadata = try readMetadata(member.value)
      } else {
        records.append(try SafetensorsRecord(member))
      }
    }
    try checkCoverage(records, dataLength: source.count - 8 - length)
    var tensors: [Name: Tensor] = [:]
    for record in records {
      guard let dtype = record.element.dtype else {
        throw RecurrentError(
          .safetensorsDTypeUnsupported, at: record.place,
          found: "dtype \(record.element.rawValue)",
          expected: "one of F64 F32 F16 BF16 I64 I32 I16 I8 U64 U32 U16 U8 BOOL")
      }
      let window = try WindowSource(
        source, offset: 8 + length + record.begin, count: record.end - record.begin)
      tensors[record.name] = try Tensor(dtype: dtype, shape: record.shape, source: window)
    }
    return try assemble(records.map(\.name), tensors, metadata)
  }

  private static func headerLength(_ source: any ByteSource) throws -> Int {
    guard source.count >= 8 else {
      throw RecurrentError(
        .safetensorsTruncated, at: "byte 0", found: "\(source.count) bytes",
        expected: "at least 8")
    }
    let length = UInt64(littleEndian: try source.read(0..<8))
    let limit = min(maximumHeaderLength, source.count - 8)
    guard length > 0, length <= limit else {
      throw RecurrentError(
        .safetensorsHeaderLength, at: "byte 0", found: "a header of \(length) bytes",
        expected: limit > 0 ? "1 to \(limit)" : "a header after its length")
    }
    return Int(length)
  }

  private static func readMetadata(_ value: JSON) throws -> Metadata {
    if value == .null { return Metadata() }
    guard let members = value.objectValue else {
      throw RecurrentError(
        .safetensorsMetadata, at: "header", found: "metadata that is not an object",
        expected: "an object of strings")
    }
    return try Metadata(
      unique: members.map { member in
        guard let text = member.value.stringValue else {
          throw RecurrentError(
            .safetensorsMetadata, at: "metadata \"\(member.key)\"",
            found: "a value that is not a string", expected: "a string")
        }
        return (member.key, text)
      })
  }

  /// Every byte of the data belongs to exactly one tensor; the order of the names is free.
  private static func checkCoverage(_ records: [SafetensorsRecord], dataLength: Int) throws {
    var position = 0
    for record in records.sorted(by: { ($0.begin, $0.end) < ($1.begin, $1.end) }) {
      guard record.begin == position else {
        throw RecurrentError(
          record.begin < position ? .safetensorsOverlap : .safetensorsGap,
          at: record.place, found: "data that begins at \(record.begin)", expected: "\(position)")
      }
      position = record.end
    }
    guard position == dataLength else {
      throw RecurrentError(
        position < dataLength ? .safetensorsTrailingBytes : .safetensorsTruncated,
        at: "data", found: "\(dataLength) bytes", expected: "\(position)")
    }
  }

  /// The metadata key under which the writer keeps an order that `registrationOrder` would not give.
  package static let orderKey = "key_order"

  /// The order that a file declares, if it names exactly its tensors; else the canonical one.
  private static func order(
    of names: [Name], declared text: String?, isOrdered: Bool
  ) -> (names: [Name], isDeclared: Bool) {
    if let text, let json = try? JSON.parse(Array(text.utf8)), let items = json.arrayValue {
      let declared = items.compactMap { $0.stringValue.map { Name($0) } }
      if declared.count == names.count, Set(declared) == Set(names) { return (declared, true) }
    }
    return (isOrdered ? names : registrationOrder(names), false)
  }

  /// Puts the tensors in order and turns alias metadata into ties; names that are in a meaningful
  /// order already keep it.
  package static func assemble(
    _ names: [Name], _ tensors: [Name: Tensor], _ metadata: Metadata, isOrdered: Bool = false
  ) throws -> StateDict {
    var state = StateDict()
    let isAlias = metadata.pairs.map {
      tensors[Name($0.key)] == nil && tensors[Name($0.value)] != nil
    }
    let aliases = zip(metadata.pairs, isAlias).filter(\.1).map(\.0)
    let others = zip(metadata.pairs, isAlias).filter { !$0.1 }.map(\.0)
    state.metadata = Metadata(unique: others.map { ($0.key, $0.value) })
    let kept = Dictionary(uniqueKeysWithValues: aliases.map { (Name($0.key), Name($0.value)) })
    var first: [Name: Name] = [:]
    let ordered = order(
      of: names + aliases.map { Name($0.key) }, declared: state.metadata[orderKey],
      isOrdered: isOrdered)
    if ordered.isDeclared { state.metadata[orderKey] = nil }
    state.keepsOrder = isOrdered || ordered.isDeclared
    for name in ordered.names {
      let stored = kept[name] ?? name
      guard let tensor = tensors[stored] else { continue }
      try state.append(name, tensor)
      if let earlier = first[stored] { state.ties[name] = earlier } else { first[stored] = name }
    }
    return state
  }
}

/// One tensor of a header, with the rules that concern it alone checked.
private struct SafetensorsRecord {
  let name: Name
  let element: SafetensorsElement
  let shape: [Int]
  let begin: Int
  let end: Int

  var place: String { "tensor \"\(name)\"" }

  init(_ member: JSON.Member) throws {
    name = Name(member.key)
    let place = "tensor \"\(member.key)\""
    func malformed(_ reason: RecurrentError.Reason, _ found: String, _ expected: String)
      -> RecurrentError
    {
      RecurrentError(reason, at: place, found: found, expected: expected)
    }
    guard member.key.utf8.count <= 4096 else {
      throw malformed(
        .safetensorsName, "a name of \(member.key.utf8.count) bytes", "at most 4096")
    }
    guard let text = member.value["dtype"]?.stringValue, let element = SafetensorsElement(text)
    else {
      let found = member.value["dtype"]?.serialized() ?? "no dtype"
      throw malformed(.safetensorsDType, found, "a dtype of safetensors 0.8")
    }
    self.element = element
    let sizes = member.value["shape"]?.arrayValue
    let shape = sizes?.compactMap(\.intValue).filter { $0 >= 0 } ?? []
    guard let sizes, shape.count == sizes.count else {
      let found = member.value["shape"]?.serialized() ?? "no shape"
      throw malformed(.safetensorsShape, found, "an array of non-negative integers")
    }
    guard shape.count <= 64 else {
      throw malformed(.safetensorsShape, "\(shape.count) axes", "at most 64")
    }
    self.shape = shape
    let range = member.value["data_offsets"]?.arrayValue?.map(\.intValue) ?? []
    guard range.count == 2, let begin = range[0], let end = range[1], 0 <= begin, begin <= end
    else {
      let found = member.value["data_offsets"]?.serialized() ?? "no data_offsets"
      throw malformed(.safetensorsOffsets, found, "[begin, end] with begin <= end")
    }
    self.begin = begin
    self.end = end
    do {
      let bits = try byteCount(of: shape, elementSize: element.bitCount)
      guard bits % 8 == 0, bits / 8 == end - begin else {
        throw malformed(
          .safetensorsSize, "\(end - begin) bytes",
          "\(bits) bits for \(element.rawValue) \(shape)")
      }
    } catch let error as RecurrentError {
      throw error.place == nil ? error.within(place) : error
    }
  }
}

extension SafetensorsElement {
  fileprivate init?(_ text: String) { self.init(rawValue: text) }
}

extension WeightFormat {
  /// Hugging Face safetensors.
  public static let safetensors = WeightFormat(
    name: "safetensors", extensions: ["safetensors"], summary: "safetensors",
    carriesMetadata: true, expectedConvention: nil,
    recognizes: Safetensors.recognizes, readContents: { file, _ in try Safetensors.read(file) },
    writeContents: { try Safetensors.write($0, to: $1) })
}
