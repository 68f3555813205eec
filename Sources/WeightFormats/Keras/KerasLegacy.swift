// The layout of Keras 1 and 2, which Keras 3 still writes into `.h5`.
//
//   /                         attributes keras_version, backend, model_config (JSON), training_config
//   /model_weights            the weights of a whole model; in a weights-only file they are at /
//     attribute layer_names   texts; when too long for one attribute: layer_names0, layer_names1, …
//     LAYER                   a group per layer, by the layer's own name
//       attribute weight_names  paths below the group, in the order of the layer's weights
//       WEIGHT/NAME:0         the arrays
//   /optimizer_weights        not weights
//
// Names of arrays changed with every version and do not say what they are; the order does. bfloat16
// is opaque, two bytes, without any label.

import Tensors

/// Reads the older layout into the names of KerasNames.swift.
enum KerasLegacy {
  static let weightsGroup: Name = "model_weights"

  static func recognizes(_ contents: HDF5Contents) -> Bool {
    contents.nodes.contains { node in
      guard node.path.isEmpty || node.path == [weightsGroup], case .group(let group) = node.object
      else { return false }
      return group.attributes.contains { $0.name == "layer_names" || $0.name == "layer_names0" }
    }
  }

  static func read(_ contents: HDF5Contents) throws -> StateDict {
    var reader = try KerasLegacyReader(contents)
    return try reader.read()
  }
}

private struct KerasLegacyReader {
  private let nodes: [HDF5Node]
  private let positions: [[Name]: Int]
  private let root: [Name]
  private var model: KerasModel?
  private var state = StateDict()
  private var names: [JSON.Member] = []
  private var numbering = KerasNumbering()
  private var claimed: Set<[Name]> = []

  /// One array with the path that its layer gave it.
  private struct Weight {
    let name: String
    let tensor: Tensor
  }

  init(_ contents: HDF5Contents) throws {
    nodes = contents.nodes
    positions = Dictionary(
      contents.nodes.enumerated().map { ($1.path, $0) }, uniquingKeysWith: { first, _ in first })
    root = positions[[KerasLegacy.weightsGroup]] == nil ? [] : [KerasLegacy.weightsGroup]
  }

  mutating func read() throws -> StateDict {
    try readConfiguration()
    for layer in try list("layer_names", on: root) ?? [] {
      let path = try root + Self.path(layer)
      guard let weightNames = try list("weight_names", on: path) else {
        throw malformed(path, "no group with weight_names", "a group for every layer")
      }
      let weights = try weightNames.map { name in
        Weight(name: name, tensor: try tensor(at: path + Self.path(name)))
      }
      guard !weights.isEmpty else { continue }
      do {
        try add(weights, of: layer)
      } catch let error as RecurrentError {
        throw error.place == nil ? error.within("layer \"\(layer)\"") : error
      }
    }
    try readTheRest()
    KerasMetadata.set(names: names, in: &state)
    return state
  }

  private mutating func readConfiguration() throws {
    for path in Set([[], root]).sorted(by: { $0.count < $1.count }) {
      guard let attributes = group(path)?.attributes else { continue }
      KerasMetadata.read(attributes, into: &state)
      for attribute in attributes {
        guard case .text(let text) = attribute.value else { continue }
        switch attribute.name {
        case "keras_version": state.metadata[KerasMetadata.version] = text
        case "model_config":
          let (plain, changed) = try Self.withoutCuDNN(text)
          state.metadata[KerasMetadata.config] = plain
          model = try KerasModel(plain)
          if changed { note("cuDNN layers are now ordinary ones in the model's configuration") }
        case "training_config": state.skipped.append("the training's configuration")
        default: break
        }
      }
    }
  }

  /// The configuration with cuDNN's classes replaced by those that have their weights now.
  private static func withoutCuDNN(_ text: String) throws -> (String, changed: Bool) {
    guard text.contains("CuDNN") else { return (text, false) }
    let json = try JSON.parse(Array(text.utf8))
    return (KerasDialect.withoutCuDNN(json).serialized(), true)
  }

  private mutating func note(_ line: String) {
    let old = state.metadata[KerasMetadata.note]
    guard old?.contains(line) != true else { return }
    state.metadata[KerasMetadata.note] = old.map { $0 + "\n" + line } ?? line
  }

  // MARK: One layer

  private mutating func add(_ weights: [Weight], of layer: String) throws {
    let leaves = model?.layers.filter { $0.group == layer } ?? []
    if leaves.isEmpty {
      try addByShape(weights, of: layer)
    } else {
      try add(weights, of: layer, to: leaves)
    }
  }

  /// Deals the arrays out to the layers that the configuration names.
  private mutating func add(
    _ weights: [Weight], of layer: String, to leaves: [KerasModel.Layer]
  ) throws {
    let top = leaves[0].path.split(separator: "/").prefix(2).joined(separator: "/")
    names.append(.init(key: top, value: .string(layer)))
    if leaves.count == 1 {
      let leaf = leaves[0]
      let parts = KerasVariables.holders(of: leaf.className, leaf.config, path: leaf.path)
      try add(weights, to: parts)
      return
    }
    // Trainable arrays of all layers come first, then those that training does not move.
    let trainable = leaves.map { KerasVariables.counts(of: $0.className, $0.config) }
    guard trainable.reduce(0, { $0 + $1.trainable + $1.other }) == weights.count else {
      throw RecurrentError(
        .unsupported, "keras.nested", found: "\(weights.count) arrays in a model inside the model",
        expected: "layers whose number of arrays is known",
        hint: "Open the file in Keras 3 and save it as .keras.")
    }
    var next = 0
    var late = trainable.reduce(0) { $0 + $1.trainable }
    for (leaf, count) in zip(leaves, trainable) where count.trainable + count.other > 0 {
      let own = weights[next..<next + count.trainable] + weights[late..<late + count.other]
      next += count.trainable
      late += count.other
      try add(
        Array(own), to: KerasVariables.holders(of: leaf.className, leaf.config, path: leaf.path))
    }
  }

  /// Deals arrays out evenly to the objects of one layer.
  private mutating func add(_ weights: [Weight], to holders: [KerasVariables.Holder]) throws {
    guard weights.count % holders.count == 0 else {
      throw RecurrentError(
        .malformed, "keras.legacy", found: "\(weights.count) arrays for \(holders.count) parts",
        expected: "as many in each")
    }
    let each = weights.count / holders.count
    for (index, holder) in holders.enumerated() {
      let own = Array(weights[index * each..<(index + 1) * each])
      if holder.isRecurrent {
        try addRecurrent(own, at: holder.path, isCuDNN: holder.isCuDNN)
      } else {
        try add(own.map(\.tensor), at: holder.path)
      }
    }
  }

  private mutating func addRecurrent(_ weights: [Weight], at path: String, isCuDNN: Bool) throws {
    let (arrays, moved) = try KerasLegacyArrays.plain(weights.map(\.tensor), isCuDNN: isCuDNN)
    if let moved { note("\(path): \(moved)") }
    try add(arrays, at: path)
  }

  private mutating func add(_ arrays: [Tensor], at path: String) throws {
    for (index, tensor) in arrays.enumerated() {
      try state.append(Name("\(path)/\(KerasObjects.variables)/\(index)"), tensor)
    }
  }

  // MARK: Without a configuration

  private mutating func addByShape(_ weights: [Weight], of layer: String) throws {
    let parts = KerasVariables.guess(weights.map { ($0.name, $0.tensor) }, layer: layer)
    let isBidirectional = parts.count == 2 && KerasVariables.mirror(parts[0], parts[1])
    let top: String
    if isBidirectional {
      top = "layers/" + numbering.next("Bidirectional")
      for (part, direction) in zip(parts, ["forward_layer", "backward_layer"]) {
        let own = Array(weights[part.range])
        try addRecurrent(own, at: "\(top)/\(direction)/cell", isCuDNN: false)
      }
    } else if parts.count == 1 {
      top = "layers/" + numbering.next(parts[0].className)
      try add(weights, of: parts[0], at: top)
    } else {
      top = "layers/" + numbering.next("Sequential")
      var inner = KerasNumbering()
      for part in parts {
        try add(weights, of: part, at: "\(top)/layers/\(inner.next(part.className))")
      }
    }
    names.append(.init(key: top, value: .string(layer)))
  }

  private mutating func add(
    _ weights: [Weight], of part: KerasVariables.Guess, at path: String
  ) throws {
    let own = Array(weights[part.range])
    if part.isRecurrent {
      try addRecurrent(own, at: path + "/cell", isCuDNN: false)
    } else {
      try add(own.map(\.tensor), at: path)
    }
  }

  // MARK: The file

  private func group(_ path: [Name]) -> HDF5Group? {
    guard let position = positions[path], case .group(let group) = nodes[position].object else {
      return nil
    }
    return group
  }

  /// A list of texts that may be spread over numbered attributes; `nil` when there is none.
  private func list(_ key: String, on path: [Name]) throws -> [String]? {
    guard let group = group(path) else { return nil }
    func texts(_ key: String) throws -> [String]? {
      switch group.attributes.first(where: { $0.name.string == key })?.value {
      case .texts(let list)?: return list
      case .text(let text)?: return [text]
      case .other(let words)?: throw malformed(path, "\(key): \(words)", "a list of texts")
      case nil: return nil
      }
    }
    if let whole = try texts(key) { return whole }
    var parts: [String] = []
    var index = 0
    while let part = try texts("\(key)\(index)") {
      parts += part
      index += 1
    }
    return index == 0 ? nil : parts
  }

  private static func path(_ text: String) throws -> [Name] {
    try KerasTree.path(Name(text))
  }

  private mutating func tensor(at path: [Name]) throws -> Tensor {
    guard let position = positions[path], case .dataset(let dataset) = nodes[position].object else {
      throw malformed(path, "no array", "the array that weight_names promises")
    }
    claimed.insert(path)
    guard let tensor = try KerasObjects.tensor(of: dataset, at: nodes[position]) else {
      throw malformed(path, dataset.type.description, "an array of numbers")
    }
    return tensor
  }

  /// Arrays that no layer claims: those beside the layers are kept under their own names.
  private mutating func readTheRest() throws {
    var left: [Name: Int] = [:]
    for node in nodes {
      guard case .dataset(let dataset) = node.object, !claimed.contains(node.path),
        let top = node.path.first
      else { continue }
      if node.path.count == 1, let tensor = try KerasObjects.tensor(of: dataset, at: node) {
        try state.append(top, tensor)
      } else {
        left[top, default: 0] += 1
      }
    }
    for (group, count) in left.sorted(by: { $0.key < $1.key }) {
      state.skipped.append("/\(group): \(count) array(s) outside the layers")
    }
  }

  private func malformed(_ path: [Name], _ found: String, _ expected: String) -> RecurrentError {
    RecurrentError(
      .malformed, "keras.legacy", at: "/" + KerasObjects.joined(path), found: found,
      expected: expected)
  }
}
