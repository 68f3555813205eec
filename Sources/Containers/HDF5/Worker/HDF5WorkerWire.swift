import Bytes
import Tensors

/// Contents and errors as bytes: numbers of 8 bytes, texts as a length and UTF-8.
///
/// The parent reads them as it reads a file, for a file may have taken the worker over.
package enum HDF5WorkerWire {
  private struct Writer {
    var bytes: [UInt8] = []

    mutating func number(_ value: Int) {
      withUnsafeBytes(of: Int64(value).littleEndian) { bytes += $0 }
    }

    mutating func text(_ text: [UInt8]) {
      number(text.count)
      bytes += text
    }

    mutating func text(_ text: String) { self.text(Array(text.utf8)) }

    mutating func optional(_ text: String?) {
      number(text == nil ? 0 : 1)
      if let text { self.text(text) }
    }
  }

  private struct Reader {
    var cursor: HDF5Cursor

    mutating func number() throws -> Int {
      Int(Int64(bitPattern: try cursor.uint(8)))
    }

    /// A number of things of which each takes at least 8 bytes.
    mutating func count() throws -> Int {
      let count = try number()
      guard count >= 0, count <= cursor.count / 8 else {
        throw cursor.damage("\(count) things", "as many as fit")
      }
      return count
    }

    mutating func name() throws -> Name {
      let bytes = try cursor.take(try number())
      guard let name = Name(validating: bytes) else { throw cursor.damage("bytes", "UTF-8") }
      return name
    }

    mutating func text() throws -> String { try name().string }
    mutating func optional() throws -> String? { try number() == 0 ? nil : try text() }
  }

  package static func encode(_ error: RecurrentError) -> [UInt8] {
    var writer = Writer()
    writer.text(error.kind.rawValue)
    writer.text(error.reason.code)
    writer.optional(error.place)
    writer.text(error.found)
    writer.optional(error.expected)
    writer.optional(error.hint)
    return writer.bytes
  }

  package static func error(_ bytes: [UInt8]) throws -> RecurrentError {
    var reader = Reader(cursor: HDF5Cursor(bytes, at: 0, offsetSize: 8, lengthSize: 8))
    let kind = RecurrentError.Kind(rawValue: try reader.text()) ?? .damaged
    return RecurrentError(
      .init(try reader.text(), kind), at: try reader.optional(), found: try reader.text(),
      expected: try reader.optional(), hint: try reader.optional().map { Advice($0) })
  }

  package static func encode(_ contents: HDF5Contents) -> [UInt8] {
    var writer = Writer()
    writer.number(contents.nodes.count)
    for node in contents.nodes {
      writer.number(node.path.count)
      for name in node.path { writer.text(name.utf8) }
      switch node.object {
      case .group(let group): encode(group, &writer)
      case .dataset(let dataset): encode(dataset, &writer)
      case .softLink(let target):
        writer.number(2)
        writer.text(target.utf8)
      case .other(let words):
        writer.number(3)
        writer.text(words)
      }
    }
    return writer.bytes
  }

  private static func encode(_ group: HDF5Group, _ writer: inout Writer) {
    writer.number(0)
    writer.number(group.isInCreationOrder ? 1 : 0)
    writer.number(group.attributes.count)
    for attribute in group.attributes {
      writer.text(attribute.name.utf8)
      switch attribute.value {
      case .text(let text):
        writer.number(0)
        writer.text(text)
      case .texts(let texts):
        writer.number(2)
        writer.number(texts.count)
        for text in texts { writer.text(text) }
      case .other(let words):
        writer.number(1)
        writer.text(words)
      }
    }
  }

  private static func encode(_ dataset: HDF5Dataset, _ writer: inout Writer) {
    writer.number(1)
    writer.number(Int(clamping: dataset.identity))
    switch dataset.type {
    case .integer(let size, let isSigned, let isBigEndian):
      for number in [0, size, isSigned ? 1 : 0, isBigEndian ? 1 : 0] { writer.number(number) }
    case .float(let size, let fields, let isBigEndian):
      for number in [
        1, size, isBigEndian ? 1 : 0, fields.sign, fields.exponentPosition, fields.exponentSize,
        fields.exponentBias, fields.mantissaPosition, fields.mantissaSize,
        fields.hasImpliedOne ? 1 : 0,
      ] { writer.number(number) }
    case .boolean: writer.number(2)
    case .opaque(let size):
      writer.number(3)
      writer.number(size)
    case .other(let words):
      writer.number(4)
      writer.text(words)
    }
    writer.number(dataset.shape?.count ?? -1)
    for size in dataset.shape ?? [] { writer.number(size) }
    writer.optional(dataset.dtypeAttribute)
    if let window = dataset.source as? WindowSource {
      for number in [1, window.offset, window.count] { writer.number(number) }
    } else if let source = dataset.source {
      for number in [2, source.count] { writer.number(number) }
    } else {
      writer.number(0)
    }
  }

  /// The contents; `source` makes what reads the elements of a node from the worker.
  package static func contents(
    _ bytes: [UInt8], of file: InputFile, source: (_ node: Int, _ count: Int) -> any ByteSource
  ) throws -> HDF5Contents {
    var reader = Reader(cursor: HDF5Cursor(bytes, at: 0, offsetSize: 8, lengthSize: 8))
    var contents = HDF5Contents()
    for index in 0..<(try reader.count()) {
      var path: [Name] = []
      for _ in 0..<(try reader.count()) { path.append(try reader.name()) }
      let object: HDF5Node.Object
      switch try reader.number() {
      case 0: object = .group(try group(&reader))
      case 1: object = .dataset(try dataset(&reader, file) { source(index, $0) })
      case 2: object = .softLink(target: try reader.name())
      case 3: object = .other(try reader.text())
      default: throw reader.cursor.damage("an unknown object", "an object")
      }
      contents.nodes.append(HDF5Node(path: path, object: object))
    }
    return contents
  }

  private static func group(_ reader: inout Reader) throws -> HDF5Group {
    var group = HDF5Group(isInCreationOrder: try reader.number() != 0)
    for _ in 0..<(try reader.count()) {
      let name = try reader.name()
      let value: HDF5Attribute.Value
      switch try reader.number() {
      case 0: value = .text(try reader.text())
      case 1: value = .other(try reader.text())
      case 2:
        var texts: [String] = []
        for _ in 0..<(try reader.count()) { texts.append(try reader.text()) }
        value = .texts(texts)
      default: throw reader.cursor.damage("an unknown value", "a value")
      }
      group.attributes.append(HDF5Attribute(name: name, value: value))
    }
    return group
  }

  private static func dataset(
    _ reader: inout Reader, _ file: InputFile, source: (Int) -> any ByteSource
  ) throws -> HDF5Dataset {
    let identity = UInt64(max(0, try reader.number()))
    let type: HDF5ElementType
    switch try reader.number() {
    case 0:
      type = .integer(
        size: try reader.number(), isSigned: try reader.number() != 0,
        isBigEndian: try reader.number() != 0)
    case 1:
      let size = try reader.number()
      let isBigEndian = try reader.number() != 0
      let fields = HDF5ElementType.FloatFields(
        sign: try reader.number(), exponentPosition: try reader.number(),
        exponentSize: try reader.number(), exponentBias: try reader.number(),
        mantissaPosition: try reader.number(), mantissaSize: try reader.number(),
        hasImpliedOne: try reader.number() != 0)
      type = .float(size: size, fields: fields, isBigEndian: isBigEndian)
    case 2: type = .boolean
    case 3: type = .opaque(size: try reader.number())
    case 4: type = .other(try reader.text())
    default: throw reader.cursor.damage("an unknown type", "a type")
    }
    let rank = try reader.number()
    guard rank <= HDF5Limit.rank else { throw reader.cursor.damage("\(rank) axes", "fewer") }
    var shape: [Int]? = rank < 0 ? nil : []
    for _ in 0..<max(0, rank) { shape?.append(try reader.number()) }
    var dataset = HDF5Dataset(identity: identity, type: type, shape: shape)
    dataset.dtypeAttribute = try reader.optional()
    switch try reader.number() {
    case 1:
      dataset.source = try WindowSource(
        file, offset: try reader.number(), count: try reader.number())
    case 2: dataset.source = source(max(0, try reader.number()))
    default: break
    }
    return dataset
  }
}
