// What flax.serialization writes (to_bytes, msgpack_serialize): one MessagePack map, nested.
//
//   {"params": {"LSTMCell_0": {"ii": {"kernel": ARRAY}, …}}}
//
//   ARRAY  extension 1: a MessagePack array [shape, dtype name, binary], row-major, little-endian;
//          extension 3: the same for a NumPy scalar; extension 2: a complex number;
//          over 2^30 bytes {"__msgpack_chunked_array__": true, "shape": {"0": n, …},
//          "chunks": {"0": ARRAY, …}}, where the chunks are cut from the flattened array
//
// Lists are maps with the keys "0", "1", …. Tensors are named by their keys, joined by dots. The
// optimiser's tensors under "opt_state" beside "params" (a TrainState) are not weights.

import Tensors

/// Reads and writes the MessagePack files of Flax.
package enum FlaxMessagePack {
  static let arrayType: Int8 = 1
  static let complexType: Int8 = 2
  static let scalarType: Int8 = 3
  static let chunkedKey = "__msgpack_chunked_array__"
  static let optimizerKey = "opt_state"
  static let maximumDepth = 64
  static let maximumNameLength = 1024
  static let maximumTensors = 200_000
  /// A key of a map is in the file once, but in the names of all tensors below it.
  static let maximumNameBytes = 64 << 20
  static let maximumNotes = 100

  /// Whether the bytes begin with a MessagePack map whose first key is a string.
  package static func recognizes(_ source: any ByteSource) -> Bool {
    var reader = MessagePackReader(source)
    guard case .map(let count)? = try? reader.next(), count > 0,
      case .string(let range)? = try? reader.next(), (1...maximumNameLength).contains(range.count),
      let key = try? source.read(range), Name(validating: key) != nil,
      !key.contains(where: { $0 < 32 }), let value = try? reader.next()
    else { return false }
    switch value {
    case .map, .ext, .array: return true
    default: return count <= 1000 && !reader.isAtEnd
    }
  }

  /// Reads all arrays; their bytes stay in the file.
  ///
  /// Throws `msgpack.truncated`, `msgpack.header`, `msgpack.trailing`, `msgpack.key`, `msgpack.depth`
  /// and `msgpack.limit` for the container, `flax.array`, `flax.chunks` and `flax.dtype` for arrays,
  /// `msgpack.burn` for a record of Burn.
  package static func read(_ source: any ByteSource) throws -> StateDict {
    var walk = FlaxWalk(source)
    return try walk.run()
  }
}

/// A walk over the nested maps, with the open maps on a stack of its own.
private struct FlaxWalk {
  private struct Level {
    var remaining: Int
    /// `nil` in a map; the next index in an array.
    var index: Int?
    /// The length of the name of this map.
    var nameLength: Int
    var isOptimizer: Bool
    var isEmpty = true
    /// What a chunked array has told so far.
    var chunked: FlaxChunks?
  }

  private let source: any ByteSource
  private var reader: MessagePackReader
  private var state = StateDict()
  private var levels: [Level] = []
  private var name: [UInt8] = []
  private var unlisted = 0
  private var optimizerTensors = 0
  private var nameBytes = 0

  init(_ source: any ByteSource) {
    self.source = source
    reader = MessagePackReader(source)
    // JAX sorts the keys of its trees.
    state.keepsOrder = false
  }

  mutating func run() throws -> StateDict {
    let kind = try reader.next()
    guard case .map(let count) = kind else {
      throw RecurrentError(
        .messagePackKey, at: "byte 0", found: "no map", expected: "a map of arrays")
    }
    levels.append(Level(remaining: count, index: nil, nameLength: 0, isOptimizer: false))
    while !levels.isEmpty {
      if levels[levels.count - 1].remaining == 0 {
        try close()
      } else {
        try step()
      }
    }
    guard reader.isAtEnd else {
      throw RecurrentError(
        .messagePackTrailing, at: "byte \(reader.offset)",
        found: "\(reader.end - reader.offset) bytes after the map", expected: "the end of the file")
    }
    if state.count == 0,
      state.skipped.contains(where: { $0.hasPrefix("metadata.format = \"burn") })
    {
      throw RecurrentError(
        .messagePackBurn, found: "a record of Burn (NamedMpk)",
        expected: "a file of Flax", hint: "Save the module with Burn's safetensors store.")
    }
    if optimizerTensors > 0 {
      state.skipped.append("opt_state: \(optimizerTensors) tensors of an optimizer")
    }
    if unlisted > 0 { state.skipped.append("… and \(unlisted) more values") }
    return state
  }

  private mutating func step() throws {
    let top = levels.count - 1
    levels[top].remaining -= 1
    name.removeLast(name.count - levels[top].nameLength)
    let key = try component(top)
    if !name.isEmpty { name.append(UInt8(ascii: ".")) }
    name += key
    guard name.count <= FlaxMessagePack.maximumNameLength else {
      throw limit("a name of \(name.count) bytes", "\(FlaxMessagePack.maximumNameLength)")
    }
    let isFirst = levels[top].isEmpty
    levels[top].isEmpty = false
    let value = try reader.next()
    if isFirst, key.elementsEqual(FlaxMessagePack.chunkedKey.utf8), case .bool(true) = value {
      levels[top].chunked = FlaxChunks()
      return
    }
    if top > 0, levels[top].chunked != nil {
      try chunkMember(String(decoding: key, as: UTF8.self), value, top)
      return
    }
    let isOptimizer =
      levels[top].isOptimizer
      || (top == 0 && key.elementsEqual(FlaxMessagePack.optimizerKey.utf8))
    switch value {
    case .map(let count): try open(count, index: nil, isOptimizer)
    case .array(let count): try open(count, index: 0, isOptimizer)
    case .ext(FlaxMessagePack.arrayType, let range), .ext(FlaxMessagePack.scalarType, let range):
      try add(FlaxArray.read(source, range), isOptimizer)
    case .ext(let type, _):
      throw RecurrentError(
        .flaxDType, at: place,
        found: type == FlaxMessagePack.complexType ? "a complex number" : "extension type \(type)",
        expected: "an array")
    case .null: break
    case .bool(let flag): note("\(flag)")
    case .integer(let number): note("\(number)")
    case .unsigned(let number): note("\(number)")
    case .float(let number): note("\(number)")
    case .string(let range):
      note("\"" + String(decoding: try source.read(range.prefix(80)), as: UTF8.self) + "\"")
    case .binary(let range): note("\(range.count) bytes")
    }
  }

  private mutating func component(_ top: Int) throws -> [UInt8] {
    if let index = levels[top].index {
      levels[top].index = index + 1
      return Array("\(index)".utf8)
    }
    let start = reader.offset
    switch try reader.next() {
    case .string(let range):
      guard range.count <= FlaxMessagePack.maximumNameLength else {
        throw limit("a key of \(range.count) bytes", "\(FlaxMessagePack.maximumNameLength)")
      }
      let bytes = try source.read(range)
      guard Name(validating: bytes) != nil else {
        throw RecurrentError(
          .messagePackKey, at: "byte \(start)", found: "a key that is not UTF-8",
          expected: "text")
      }
      return bytes
    case .integer(let number): return Array("\(number)".utf8)
    default:
      throw RecurrentError(
        .messagePackKey, at: "byte \(start)", found: "a key that is no string",
        expected: "a string")
    }
  }

  private mutating func open(_ count: Int, index: Int?, _ isOptimizer: Bool) throws {
    guard levels.count < FlaxMessagePack.maximumDepth else {
      throw RecurrentError(
        .messagePackDepth, at: place,
        found: "more than \(FlaxMessagePack.maximumDepth) maps inside each other",
        expected: "fewer")
    }
    levels.append(
      Level(remaining: count, index: index, nameLength: name.count, isOptimizer: isOptimizer))
  }

  private mutating func chunkMember(_ key: String, _ value: MessagePackToken, _ top: Int) throws {
    guard case .map(let count) = value, key == "shape" || key == "chunks", count <= 1 << 16 else {
      throw chunkError("the member \"\(key)\"")
    }
    var chunks = levels[top].chunked ?? FlaxChunks()
    for index in 0..<count {
      guard case .string(let range) = try reader.next(), range.count <= 8,
        try source.read(range).elementsEqual("\(index)".utf8)
      else { throw chunkError("\(key) whose keys do not count from 0") }
      switch (key, try reader.next()) {
      case ("shape", .integer(let size)): chunks.shape.append(size)
      case ("chunks", .ext(FlaxMessagePack.arrayType, let range)):
        chunks.pieces.append(try FlaxArray.read(source, range))
      default: throw chunkError("\(key) with another kind of value")
      }
    }
    levels[top].chunked = chunks
  }

  private mutating func close() throws {
    let level = levels.removeLast()
    name.removeLast(name.count - level.nameLength)
    guard let chunks = level.chunked else { return }
    do {
      try add(chunks.tensor(), level.isOptimizer)
    } catch let error as RecurrentError where error.place == nil {
      throw error.within(place)
    }
  }

  private mutating func add(_ tensor: Tensor, _ isOptimizer: Bool) throws {
    if isOptimizer {
      optimizerTensors += 1
      return
    }
    guard state.count < FlaxMessagePack.maximumTensors else {
      throw limit("more arrays", "\(FlaxMessagePack.maximumTensors)")
    }
    nameBytes += name.count
    guard nameBytes <= FlaxMessagePack.maximumNameBytes else {
      throw limit("names of \(nameBytes) bytes", "\(FlaxMessagePack.maximumNameBytes)")
    }
    guard let valid = Name(validating: name) else { return }
    try state.append(valid, tensor)
  }

  private mutating func note(_ value: String) {
    guard state.skipped.count < FlaxMessagePack.maximumNotes else {
      unlisted += 1
      return
    }
    state.skipped.append("\(String(decoding: name, as: UTF8.self)) = \(value)")
  }

  private var place: String { "tensor \"\(String(decoding: name, as: UTF8.self))\"" }

  private func chunkError(_ found: String) -> RecurrentError {
    RecurrentError(
      .flaxChunks, at: place, found: found,
      expected: "the shape and the chunks of an array")
  }

  private func limit(_ found: String, _ most: String) -> RecurrentError {
    RecurrentError(
      .messagePackLimit, at: "byte \(reader.offset)", found: found,
      expected: "at most \(most)")
  }
}

extension WeightFormat {
  /// The MessagePack files of flax.serialization.
  public static let flaxMessagePack = WeightFormat(
    name: "msgpack", extensions: ["msgpack"], summary: "Flax MessagePack (flax.serialization)",
    carriesMetadata: false, expectedConvention: "flax", otherConventions: ["nnx"],
    recognizes: FlaxMessagePack.recognizes,
    readContents: { file, _ in try FlaxMessagePack.read(file) },
    writeContents: { try FlaxMessagePack.write($0, to: $1) })
}
