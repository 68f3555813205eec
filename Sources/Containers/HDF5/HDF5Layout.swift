// The meaning of an HDF5 file's groups and names as a state dict.

import Tensors

/// Interprets what a file holds: which group is the state dict, what the keys are, and their order.
///
/// Keys are paths below the chosen group joined with dots, so that flat datasets with dotted names
/// and groups split on dots read alike; both spellings of one key in one file are refused.
package struct HDF5Layout {
  private let nodes: [HDF5Node]
  private let positions: [[Name]: Int]

  /// Groups that hold a checkpoint's weights, the surest first.
  private static let weightGroups: [Name] = ["state_dict", "model_state_dict", "model"]
  /// Groups that stand beside `model` in a checkpoint and hold no weights.
  private static let trainingGroups: Set<Name> = [
    "optimizer", "optimizer_state_dict", "optim", "optimizers", "optimizer_states", "scheduler",
    "scheduler_state_dict", "lr_scheduler", "lr_schedulers", "scaler", "amp", "rng_state",
    "metrics",
  ]

  package init(_ contents: HDF5Contents) {
    nodes = contents.nodes
    positions = Dictionary(
      contents.nodes.enumerated().map { ($1.path, $0) }, uniquingKeysWith: { first, _ in first })
  }

  package func stateDict() throws -> StateDict {
    try refuseKeras()
    let root = chosenRoot()
    var state = StateDict()
    var found: [(name: Name, dataset: HDF5Dataset, tensor: Tensor, path: String)] = []
    var outside: [Name: Int] = [:]
    for node in nodes {
      guard node.path.starts(with: root) else {
        if let top = node.path.first, case .dataset = node.object { outside[top, default: 0] += 1 }
        continue
      }
      switch node.object {
      case .group(let group):
        read(group.attributes, of: node, isRoot: node.path == root, into: &state)
      case .other(let words):
        state.skipped.append("\(node.pathText): \(words)")
      case .softLink, .dataset:
        guard let (dataset, note) = try dataset(behind: node) else {
          state.skipped.append("\(node.pathText): a soft link to nothing")
          continue
        }
        guard let tensor = try dataset.tensor(at: node) else {
          let shape = dataset.shape.map { "shape \($0)" } ?? "no value"
          state.skipped.append(
            "\(node.pathText)\(note): \(dataset.type.description), \(shape), not a tensor")
          continue
        }
        let name = Name.joined(node.path.dropFirst(root.count))
        found.append((name, dataset, tensor, node.pathText))
      }
    }
    if !root.isEmpty, let file = nodes.first, case .group(let group) = file.object {
      read(group.attributes, of: file, isRoot: true, into: &state)
    }
    for (group, count) in outside.sorted(by: { $0.key < $1.key }) {
      state.skipped.append("/\(group): \(count) dataset(s) outside the state dict")
    }
    if !isInCreationOrder(root) {
      state.keepsOrder = false
      let order = registrationOrder(found.map(\.name)).enumerated()
      let ranks = Dictionary(order.map { ($0.element, $0.offset) }, uniquingKeysWith: min)
      found.sort { (ranks[$0.name] ?? 0) < (ranks[$1.name] ?? 0) }
    }
    var paths: [Name: String] = [:]
    var owners: [UInt64: Name] = [:]
    for (name, dataset, tensor, path) in found {
      if let other = paths.updateValue(path, forKey: name) {
        throw RecurrentError(
          .hdf5NameCollision, at: "tensor \"\(name)\"",
          found: "two datasets for one key, \(other) and \(path)", expected: "every key once")
      }
      try state.append(name, tensor)
      if let owner = owners[dataset.identity] {
        state.ties[name] = owner
      } else {
        owners[dataset.identity] = name
      }
    }
    return state
  }

  /// The dataset that a node is or, through soft links inside the file, stands for.
  private func dataset(behind node: HDF5Node) throws -> (HDF5Dataset, note: String)? {
    var current = node
    var note = ""
    for _ in 0..<16 {
      switch current.object {
      case .dataset(let dataset): return (dataset, note)
      case .softLink(let target):
        note = " (soft link to \(target))"
        let isAbsolute = target.utf8.first == UInt8(ascii: "/")
        var path = isAbsolute ? [] : Array(current.path.dropLast())
        for part in target.utf8.split(separator: UInt8(ascii: "/")) where part != [0x2E] {
          guard let name = Name(validating: part) else { return nil }
          path.append(name)
        }
        guard let position = positions[path] else { return nil }
        current = nodes[position]
      case .group, .other:
        throw RecurrentError(
          .hdf5SoftLinkUnsupported, at: node.pathText, found: "a soft link to a group",
          expected: "soft links to datasets only")
      }
    }
    throw RecurrentError(
      .hdf5SoftLink, at: node.pathText,
      found: "soft links that lead in a circle", expected: "a link that ends at a dataset")
  }

  private func read(
    _ attributes: [HDF5Attribute], of node: HDF5Node, isRoot: Bool, into state: inout StateDict
  ) {
    for attribute in attributes {
      let key = attribute.name.string
      switch attribute.value {
      case .text(let text) where isRoot && state.metadata[key] == nil:
        state.metadata[key] = text
      case .text(let text):
        state.skipped.append("\(node.pathText), attribute \(key) = \(text)")
      case .texts(let list):
        state.skipped.append("\(node.pathText), attribute \(key): \(list.count) elements")
      case .other(let words):
        state.skipped.append("\(node.pathText), attribute \(key): \(words)")
      }
    }
  }

  private func isTensor(_ node: HDF5Node) -> Bool {
    if case .dataset(let dataset) = node.object {
      return dataset.shape != nil && dataset.type.dtype(label: dataset.dtypeAttribute) != nil
    }
    return false
  }

  private func isInCreationOrder(_ path: [Name]) -> Bool {
    guard let position = positions[path], case .group(let group) = nodes[position].object else {
      return false
    }
    return group.isInCreationOrder
  }

  private func chosenRoot() -> [Name] {
    let tensors = nodes.filter(isTensor)
    guard !tensors.contains(where: { $0.path.count == 1 }) else { return [] }
    let groups = Set(tensors.compactMap(\.path.first))
    for group in Self.weightGroups where groups.contains(group) {
      // `model` may also be an ordinary module of a state dict that was split on dots; then its
      // siblings are modules too, and leaving them out would lose tensors.
      let others = groups.subtracting([group])
      if group != "model" || others.isSubset(of: Self.trainingGroups) { return [group] }
    }
    return []
  }

  private func refuseKeras() throws {
    guard !nodes.contains(where: { $0.path.count == 1 && isTensor($0) }) else { return }
    var isKeras = false
    if let root = nodes.first, case .group(let group) = root.object {
      isKeras = group.attributes.contains { ["layer_names", "keras_version"].contains($0.name) }
    }
    isKeras =
      isKeras
      || nodes.contains { node in
        if node.path == ["model_weights"], case .group = node.object { return true }
        return node.path.count >= 2 && node.path[node.path.count - 2] == "vars"
          && node.path.last?.utf8.allSatisfy { (0x30...0x39) ~= $0 } == true
      }
    if isKeras {
      throw RecurrentError(
        .hdf5Keras, found: "weights in Keras's layout",
        expected: "a state dict (datasets named by their keys)",
        hint:
          "Leave out \(.inputFormat("hdf5")) if it was said: Keras's files are recognised by content."
      )
    }
  }
}

extension Name {
  fileprivate static func joined(_ components: some Sequence<Name>) -> Name {
    let bytes = components.map(\.utf8).joined(separator: [UInt8(ascii: ".")])
    return Name(validating: bytes) ?? ""
  }
}
