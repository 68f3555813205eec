import Bytes
import Tensors

extension FlaxMessagePack {
  /// Arrays of more bytes are cut, as Flax does.
  static let maximumChunk = 1 << 30

  /// Writes nested maps, one per component of a name between dots, in order of first appearance.
  ///
  /// Throws `flax.name` when a tensor's name is also the beginning of another's.
  package static func write(_ state: StateDict, to sink: any ByteSink) throws {
    try write(state, to: sink, maximumChunk: maximumChunk)
  }

  static func write(_ state: StateDict, to sink: any ByteSink, maximumChunk: Int) throws {
    let tree = try FlaxTree(state)
    // Depth first with a stack of its own; a map's header goes out when the map is reached.
    var pending: [Int] = [0]
    while let index = pending.popLast() {
      let node = tree.nodes[index]
      if index > 0 { try sink.write(MessagePackHeader.string(node.key)) }
      if let tensor = node.tensor {
        try write(tensor, to: sink, maximumChunk: maximumChunk)
      } else {
        try sink.write(MessagePackHeader.map(node.children.count))
        pending += node.children.reversed()
      }
    }
  }

  private static func write(
    _ tensor: Tensor, to sink: any ByteSink, maximumChunk: Int
  ) throws {
    guard tensor.byteCount > maximumChunk else {
      return try writeArray(tensor.source, tensor.dtype, tensor.shape, to: sink)
    }
    try sink.write(MessagePackHeader.map(3) + MessagePackHeader.string(chunkedKey) + [0xc3])
    try sink.write(MessagePackHeader.string("shape") + MessagePackHeader.map(tensor.shape.count))
    for (axis, size) in tensor.shape.enumerated() {
      try sink.write(MessagePackHeader.string("\(axis)") + MessagePackHeader.unsigned(size))
    }
    let width = tensor.dtype.byteCount
    let step = max(1, maximumChunk / width) * width
    let starts = Array(stride(from: 0, to: tensor.byteCount, by: step))
    try sink.write(MessagePackHeader.string("chunks") + MessagePackHeader.map(starts.count))
    for (index, start) in starts.enumerated() {
      let length = min(step, tensor.byteCount - start)
      try sink.write(MessagePackHeader.string("\(index)"))
      try writeArray(
        WindowSource(tensor.source, offset: start, count: length), tensor.dtype, [length / width],
        to: sink)
    }
  }

  private static func writeArray(
    _ source: any ByteSource, _ dtype: DType, _ shape: [Int], to sink: any ByteSink
  ) throws {
    guard let name = FlaxArray.names.first(where: { $0.0 == dtype })?.1 else {
      throw RecurrentError(.flaxDTypeFault, found: "dtype \(dtype.rawValue)")
    }
    var payload = MessagePackHeader.array(3) + MessagePackHeader.array(shape.count)
    for size in shape { payload += MessagePackHeader.unsigned(size) }
    payload += MessagePackHeader.string(name) + MessagePackHeader.binary(source.count)
    try sink.write(MessagePackHeader.ext(arrayType, payload.count + source.count) + payload)
    try sink.write(source)
  }
}

/// The nested maps that dotted names stand for.
private struct FlaxTree {
  struct Node {
    var key: String
    var tensor: Tensor?
    var children: [Int] = []
  }

  private(set) var nodes = [Node(key: "")]

  init(_ state: StateDict) throws {
    var positions: [[UInt8]: Int] = [[]: 0]
    for entry in state.entries {
      var parent = 0
      var path: [UInt8] = []
      let components = entry.name.utf8.split(
        separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
      for (index, component) in components.enumerated() {
        path += component + [UInt8(ascii: ".")]
        let isLeaf = index == components.count - 1
        if let known = positions[path] {
          guard !isLeaf, nodes[known].tensor == nil else { throw Self.conflict(entry.name) }
          parent = known
          continue
        }
        nodes.append(Node(key: String(decoding: component, as: UTF8.self)))
        let position = nodes.count - 1
        if isLeaf { nodes[position].tensor = entry.tensor }
        nodes[parent].children.append(position)
        positions[path] = position
        parent = position
      }
    }
  }

  private static func conflict(_ name: Name) -> RecurrentError {
    RecurrentError(
      .flaxName, at: "tensor \"\(name)\"",
      found: "a name that is both an array and a map", expected: "names that can be nested",
      hint: "Write safetensors instead.")
  }
}

/// The shortest header of each kind, as the msgpack library writes it.
enum MessagePackHeader {
  static func unsigned(_ value: Int) -> [UInt8] {
    switch value {
    case ..<0x80: [UInt8(max(0, value))]
    case ..<0x100: [0xcc] + bytes(value, 1)
    case ..<0x1_0000: [0xcd] + bytes(value, 2)
    case ..<0x1_0000_0000: [0xce] + bytes(value, 4)
    default: [0xcf] + bytes(value, 8)
    }
  }

  static func map(_ count: Int) -> [UInt8] {
    count < 16
      ? [0x80 | UInt8(count)]
      : count < 0x1_0000 ? [0xde] + bytes(count, 2) : [0xdf] + bytes(count, 4)
  }

  static func array(_ count: Int) -> [UInt8] {
    count < 16 ? [0x90 | UInt8(count)] : [0xdc] + bytes(count, 2)
  }

  static func string(_ text: String) -> [UInt8] {
    let utf8 = Array(text.utf8)
    let head: [UInt8] =
      switch utf8.count {
      case ..<32: [0xa0 | UInt8(utf8.count)]
      case ..<0x100: [0xd9] + bytes(utf8.count, 1)
      case ..<0x1_0000: [0xda] + bytes(utf8.count, 2)
      default: [0xdb] + bytes(utf8.count, 4)
      }
    return head + utf8
  }

  static func binary(_ count: Int) -> [UInt8] { sized([0xc4, 0xc5, 0xc6], count) }

  static func ext(_ type: Int8, _ count: Int) -> [UInt8] {
    let fixed = [1, 2, 4, 8, 16].firstIndex(of: count)
    let head = fixed.map { [0xd4 + UInt8($0)] } ?? sized([0xc7, 0xc8, 0xc9], count)
    return head + [UInt8(bitPattern: type)]
  }

  private static func sized(_ heads: [UInt8], _ count: Int) -> [UInt8] {
    switch count {
    case ..<0x100: [heads[0]] + bytes(count, 1)
    case ..<0x1_0000: [heads[1]] + bytes(count, 2)
    default: [heads[2]] + bytes(count, 4)
    }
  }

  private static func bytes(_ value: Int, _ size: Int) -> [UInt8] {
    (0..<size).reversed().map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
  }
}
