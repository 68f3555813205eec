// Keras 3's layout of weights (.weights.h5, and model.weights.h5 inside .keras): one group per object
// of the model, its variables numbered in a group `vars`.
//
//   /layers/lstm/cell/vars/0     kernel (I,4H), columns i f c o
//   /layers/lstm/cell/vars/1     recurrent kernel (H,4H)
//   /layers/lstm/cell/vars/2     bias (4H)
//   /layers/lstm/vars            attribute name = "lstm" (since Keras 3.6)
//   /optimizer/vars/…            not weights
//   /vars                        empty; tf_keras refuses files without it
//
// bfloat16 is opaque, two bytes, with an attribute dtype = "bfloat16" on the dataset.

import Tensors

/// Keras 3's object layout, between an HDF5 file's objects and a state dict.
package enum KerasObjects {
  package static let variables: Name = "vars"
  private static let oldContainer: Name = "_layer_checkpoint_dependencies"
  /// What stands beside the layers and is no weight.
  private static let training: Set<Name> = [
    "optimizer", "_optimizer", "metrics", "_metrics", "_loss_tracker", "_compile_metrics", "loss",
  ]

  /// Whether some dataset is a numbered variable.
  package static func recognizes(_ contents: HDF5Contents) -> Bool {
    contents.nodes.contains { node in
      guard case .dataset = node.object else { return false }
      return node.path.count >= 2 && node.path[node.path.count - 2] == variables
        && isNumber(node.path.last)
    }
  }

  package static func read(_ contents: HDF5Contents) throws -> StateDict {
    var state = StateDict()
    var names: [JSON.Member] = []
    var found: [(Name, Tensor)] = []
    var left: [Name: Int] = [:]
    for node in contents.nodes {
      let path = normalized(node.path)
      switch node.object {
      case .group(let group):
        if node.path.isEmpty {
          KerasMetadata.read(group.attributes, into: &state)
        } else if path.last == variables {
          let name = group.attributes.first { $0.name == "name" }
          if case .text(let text)? = name?.value, path.count > 1 {
            names.append(.init(key: joined(path.dropLast()), value: .string(text)))
          }
        }
      case .dataset(let dataset):
        if let top = path.first, path.count > 1, training.contains(top) {
          left[top, default: 0] += 1
        } else if path.contains("seed_generator") {
          state.skipped.append("\(node.pathText): the state of a random generator")
        } else if let tensor = try tensor(of: dataset, at: node) {
          found.append((Name(joined(path)), tensor))
        } else {
          state.skipped.append("\(node.pathText): \(dataset.type.description), not a tensor")
        }
      case .softLink: state.skipped.append("\(node.pathText): a soft link")
      case .other(let words): state.skipped.append("\(node.pathText): \(words)")
      }
    }
    for (group, count) in left.sorted(by: { $0.key < $1.key }) {
      state.skipped.append("/\(group): \(count) array(s) of the training's state")
    }
    if case .group(let root)? = contents.nodes.first?.object, !root.isInCreationOrder {
      state.keepsOrder = false
      let order = registrationOrder(found.map { orderKey($0.0) }).enumerated()
      let ranks = Dictionary(order.map { ($0.element, $0.offset) }, uniquingKeysWith: min)
      found.sort { (ranks[orderKey($0.0)] ?? 0) < (ranks[orderKey($1.0)] ?? 0) }
    }
    for (name, tensor) in found { try state.append(name, tensor) }
    KerasMetadata.set(names: names, in: &state)
    return state
  }

  /// Sorts backward layers behind their forward layers, where Keras has them.
  private static func orderKey(_ name: Name) -> Name {
    let parts = name.string.split(separator: "/", omittingEmptySubsequences: false)
    return Name(
      parts.map { $0 == "backward_layer" ? "forward_layer_backward" : String($0) }
        .joined(separator: "/"))
  }

  package static func objects(_ state: StateDict) throws -> [HDF5Object] {
    let names = KerasMetadata.names(state.metadata)
    var tree = KerasTree()
    tree.root = state.metadata.pairs.filter { $0.key != KerasMetadata.names }
      .map { (key: $0.key, value: .text($0.value)) }
    try tree.addGroup([variables])
    for entry in state.entries {
      let path = try KerasTree.path(entry.name)
      try tree.addDataset(
        path, entry.tensor,
        attributes: entry.tensor.dtype == .bf16 ? [("dtype", .text("bfloat16"))] : [])
    }
    for (path, name) in names {
      try tree.addGroup(
        KerasTree.path(Name(path)) + [variables], attributes: [("name", .text(name))])
    }
    return tree.objects
  }

  /// The elements of a dataset; opaque pairs of bytes are bfloat16, which is all that Keras stores so.
  package static func tensor(of dataset: HDF5Dataset, at node: HDF5Node) throws -> Tensor? {
    try dataset.tensor(of: dataset.type == .opaque(size: 2) ? .bf16 : nil, at: node)
  }

  /// Old files say otherwise what is now `layers`, and some from Windows have backslashes in names.
  private static func normalized(_ path: [Name]) -> [Name] {
    let parts = path.flatMap { name in
      name.utf8.split(separator: UInt8(ascii: "\\")).compactMap { Name(validating: $0) }
    }
    return parts.map { $0 == oldContainer ? "layers" : $0 }
  }

  private static func isNumber(_ name: Name?) -> Bool {
    guard let bytes = name?.utf8, !bytes.isEmpty else { return false }
    return bytes.allSatisfy { (0x30...0x39).contains($0) }
  }

  package static func joined(_ path: some Sequence<Name>) -> String {
    path.map(\.string).joined(separator: "/")
  }
}
