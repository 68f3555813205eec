import Bytes
import Containers
import Tensors

// The text tensor _CHECKPOINTABLE_OBJECT_GRAPH: varint length, masked CRC-32C of the length as u32, then
// a TrackableObjectGraph (tensorflow/core/protobuf/trackable_object_graph.proto). The tensor's own
// checksum covers the length as u32, that CRC and the text:
//
//   TrackableObjectGraph  1 nodes
//   node                  1 children {1 node, 2 name}, 2 attributes {3 checkpoint key}

/// Which variables an object-based checkpoint reaches other than through an optimizer.
///
/// A variable is stored under the shortest path to it, and Keras 3 makes that path the optimizer's list
/// of what it trains: model/…/cell/kernel is found as optimizer/_trainable_variables/0.
struct ObjectGraph {
  static let key = "_CHECKPOINTABLE_OBJECT_GRAPH"
  private static let optimizerEdges: Set<String> = ["optimizer", "_optimizer", "optim", "opt"]
  private static let maximumNodes = 500_000
  private static let maximumPath = 1024

  private struct Node {
    var children: [(node: Int, name: String)] = []
    var keys: [String] = []
  }

  /// The object that a checkpoint key belongs to.
  private var owners: [String: Int] = [:]
  /// How each object that was reached was reached first.
  private var steps: [Int: (parent: Int, name: String)] = [:]

  /// The path to a variable by its checkpoint key; `nil` when only an optimizer leads to it.
  func path(of key: String) -> String? {
    guard var node = owners[key] else { return nil }
    var names: [String] = []
    var length = 0
    while let step = steps[node] {
      names.append(step.name)
      length += step.name.utf8.count + 1
      // Longer names are no names of layers; the key itself is as good.
      guard length <= Self.maximumPath else { return key }
      node = step.parent
    }
    return names.reversed().joined(separator: "/")
  }

  /// Parses the tensor's bytes; throws `tf.entry` and `tf.crc`.
  init(_ bytes: [UInt8], checksum: UInt32) throws {
    var reader = ByteReader(bytes)
    let length = reader.varint()
    let rest = bytes[reader.position...]
    guard let length, rest.count >= 4, length == UInt64(rest.count - 4) else {
      throw RecurrentError(
        .tensorFlowEntry, at: Self.key, found: "text of another length",
        expected: "an object graph")
    }
    var sum = CRC32C()
    withUnsafeBytes(of: UInt32(truncatingIfNeeded: length).littleEndian) { sum.add($0) }
    rest.withUnsafeBytes { sum.add($0) }
    guard isRight(checksum, for: sum.masked) else {
      throw ShardSource.mismatch(Name(Self.key))
    }
    var nodes: [Node] = []
    let graph = TensorFlowMessage(rest.dropFirst(4))
    try graph.forEachField { number, value in
      guard number == 1, case .bytes(let range) = value else { return }
      guard nodes.count < Self.maximumNodes else {
        throw RecurrentError(
          .tensorFlowEntry, at: Self.key, found: "more than \(Self.maximumNodes) objects",
          expected: "fewer")
      }
      nodes.append(try Self.node(graph.message(range)))
    }
    walk(nodes)
  }

  private static func node(_ message: TensorFlowMessage) throws -> Node {
    var node = Node()
    try message.forEachField { number, value in
      switch (number, value) {
      case (1, .bytes(let range)):
        let child = message.message(range)
        var (index, name) = (0, "")
        try child.forEachField { number, value in
          switch (number, value) {
          case (1, .varint(let value)): index = Int(clamping: value)
          case (2, .bytes(let text)): name = try child.text(text)
          default: break
          }
        }
        node.children.append((index, name))
      case (2, .bytes(let range)):
        let attribute = message.message(range)
        try attribute.forEachField { number, value in
          if number == 3, case .bytes(let text) = value {
            node.keys.append(try attribute.text(text))
          }
        }
      default: break
      }
    }
    return node
  }

  /// Breadth first, so that every variable gets its shortest path; each node is visited once.
  private mutating func walk(_ nodes: [Node]) {
    guard !nodes.isEmpty else { return }
    var queue = [0]
    var position = 0
    while position < queue.count {
      let node = queue[position]
      position += 1
      for key in nodes[node].keys where owners[key] == nil { owners[key] = node }
      for (child, name) in nodes[node].children
      where nodes.indices.contains(child) && child != 0 && steps[child] == nil
        && !Self.optimizerEdges.contains(name)
      {
        steps[child] = (node, name)
        queue.append(child)
      }
    }
  }
}
