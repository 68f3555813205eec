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
// Names of arrays changed with every version; KerasLegacyNames.swift tells what they say, and what the order
// says where they say nothing. bfloat16 is opaque, two bytes, without any label.

import Containers
import Tensors

/// Reads the older layout into the names of KerasNames.swift.
enum KerasLegacy {
  static let weightsGroup: Name = "model_weights"

  /// Whether there is a list of layers, and layers with lists of arrays; an attribute that somebody else
  /// named `layer_names` is no list of Keras's.
  static func recognizes(_ contents: HDF5Contents) -> Bool {
    var lists = false
    var layers = false
    for node in contents.nodes {
      guard case .group(let group) = node.object else { continue }
      if node.path.isEmpty || node.path == [weightsGroup] {
        lists = lists || holds(["layer_names", "layer_names0"], group)
      }
      layers = layers || holds(["weight_names", "weight_names0"], group)
    }
    return lists && layers
  }

  private static func holds(_ names: Set<Name>, _ group: HDF5Group) -> Bool {
    group.attributes.contains { attribute in
      guard names.contains(attribute.name) else { return false }
      if case .other = attribute.value { return false }
      return true
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
  private var graph: KerasGraph?
  /// The layers of the configuration by the group that has their arrays.
  private var leaves: [String: [KerasGraph.Layer]] = [:]
  /// Prefixes of layers whose arrays were cuDNN's.
  private var cuDNN: Set<String> = []
  private var state = StateDict()
  private var names: [JSON.Member] = []
  private var numbering = KerasNumbering()
  private var claimed: Set<[Name]> = []

  private typealias Weight = KerasLegacyNames.Weight

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
    let version = KerasVersion(text: state.metadata[KerasMetadata.version] ?? "1")
    state.structure = KerasStructure.of(
      state, config: state.metadata[KerasMetadata.config], graph: graph, version: version,
      notes: KerasMetadata.notes(state.metadata), cuDNN: cuDNN)
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
          graph = try KerasGraph(plain)
          leaves = Dictionary(grouping: graph?.layers ?? [], by: \.group)
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
    let own = leaves[layer] ?? []
    if own.isEmpty {
      try addByShape(weights, of: layer)
    } else {
      try add(weights, of: layer, to: own)
    }
  }

  /// Deals the arrays out to the layers that the configuration names.
  private mutating func add(
    _ weights: [Weight], of layer: String, to leaves: [KerasGraph.Layer]
  ) throws {
    let top = leaves[0].path.split(separator: "/").prefix(2).joined(separator: "/")
    names.append(.init(key: top, value: .string(layer)))
    guard let shares = KerasLegacyNames.deal(weights, to: leaves) else {
      let holders = KerasVariables.holders(
        of: leaves[0].className, leaves[0].config, path: leaves[0].path)
      if leaves.count == 1, holders.allSatisfy(\.isRecurrent) {
        throw RecurrentError(
          .kerasLegacy, found: "\(weights.count) arrays for \(holders.count) parts",
          expected: "as many in each")
      }
      throw RecurrentError(
        .kerasNested,
        found: "\(weights.count) arrays in a model inside the model, whose names say nothing",
        expected: "arrays with their layers' names, or layers whose number of arrays is known",
        hint: "Open the file in Keras 3 and save it as .keras.")
    }
    for share in shares where !share.weights.isEmpty {
      if share.holder.isRecurrent {
        try addRecurrent(share.weights, at: share.holder.path, isCuDNN: share.holder.isCuDNN)
      } else {
        try add(share.weights.map(\.tensor), at: share.holder.path)
      }
    }
  }

  private mutating func addRecurrent(_ weights: [Weight], at path: String, isCuDNN: Bool) throws {
    let (arrays, moved) = try KerasLegacyArrays.plain(weights.map(\.tensor), isCuDNN: isCuDNN)
    if let moved {
      note("\(path): \(moved)")
      if moved.contains("cuDNN") { cuDNN.insert("\(path)/\(KerasObjects.variables)/#") }
    }
    try add(arrays, at: path)
  }

  private mutating func add(_ arrays: [Tensor], at path: String) throws {
    for (index, tensor) in arrays.enumerated() {
      try state.append(Name("\(path)/\(KerasObjects.variables)/\(index)"), tensor)
    }
  }

  // MARK: Without a configuration

  private mutating func addByShape(_ unsorted: [Weight], of layer: String) throws {
    let (weights, objects) = KerasLegacyNames.grouped(unsorted)
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
      try add(weights, of: parts, at: top, objects: objects)
    }
    names.append(.init(key: top, value: .string(layer)))
  }

  /// The layers of what seems to be a model inside the model.
  private mutating func add(
    _ weights: [Weight], of parts: [KerasVariables.Guess], at top: String, objects: [String]
  ) throws {
    var inner = KerasNumbering()
    let isNamed = objects.count == parts.count
    var index = 0
    while index < parts.count {
      let own = isNamed ? KerasLegacyNames.layerName(of: objects[index]) : nil
      let path: String
      if isNamed, index + 1 < parts.count, parts[index].isRecurrent,
        KerasLegacyNames.isMirror(objects[index], objects[index + 1])
      {
        path = "\(top)/layers/\(inner.next("Bidirectional"))"
        for (offset, direction) in ["forward_layer", "backward_layer"].enumerated() {
          try addRecurrent(
            Array(weights[parts[index + offset].range]), at: "\(path)/\(direction)/cell",
            isCuDNN: false)
        }
        index += 2
      } else {
        path = "\(top)/layers/\(inner.next(parts[index].className))"
        try add(weights, of: parts[index], at: path)
        index += 1
      }
      if let own { names.append(.init(key: path, value: .string(own))) }
    }
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
      .kerasLegacy, at: "/" + KerasObjects.joined(path), found: found,
      expected: expected)
  }
}
