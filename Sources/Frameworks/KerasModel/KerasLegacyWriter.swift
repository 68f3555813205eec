// Writing the older layout (see KerasLegacy.swift) so that every version of Keras loads it.

import Containers
import Tensors

struct KerasLegacyWriter {
  private let state: StateDict
  /// Attributes above this size do not fit into an object header.
  private static let attributeLimit = 64_512

  init(_ state: StateDict) { self.state = state }

  private struct Layer {
    var name: String
    var weights: [Weight] = []
  }

  private struct Weight {
    let name: String
    let tensor: Tensor
    /// The position in the model of the object that it belongs to; 0 where nobody knows.
    let rank: Int
    /// Whether training leaves it alone, as it does in frozen layers; such arrays come behind all others.
    let isLate: Bool
  }

  /// The state with the names of layers that this layout can hold: those of a model's own layers
  /// with weights, where no configuration gives them anyway.
  static func named(_ state: StateDict) -> StateDict {
    var result = state
    let names = KerasMetadata.names(state.metadata)
    result.metadata[KerasMetadata.names] = nil
    guard state.metadata[KerasMetadata.config] == nil else { return result }
    let layers = Set(
      state.names.map { $0.string.split(separator: "/").prefix(2).joined(separator: "/") })
    KerasMetadata.set(
      names: names.filter { layers.contains($0.path) }
        .map { .init(key: $0.path, value: .string($0.name)) }, in: &result)
    return result
  }

  /// The state as the older layout holds it; a configuration of any style will do.
  static func complete(_ state: StateDict) throws -> StateDict {
    try KerasConfiguration.completeWeights(state, needsNewStyle: false)
  }

  /// An object of the configuration.
  private struct Holder {
    let rank: Int
    let isFrozen: Bool
    /// The pieces of its arrays' names.
    let names: [String]
  }

  /// Whether nothing says in which order the layers come, which is all that this layout goes by.
  static func lacksOrder(_ metadata: Metadata) -> Bool {
    metadata[KerasMetadata.config] == nil && metadata[KerasMetadata.version] == nil
  }

  func objects() throws -> [HDF5Object] {
    let config = state.metadata[KerasMetadata.config]
    let version = state.metadata[KerasMetadata.version] ?? "2.15.0"
    let (layers, rest) = try layers(config.flatMap { try KerasGraph($0) })
    let own: [(key: String, value: HDF5Object.Value)] = [
      ("keras_version", .text(version)), ("backend", .text("tensorflow")),
    ]
    var tree = KerasTree()
    tree.root = state.metadata.pairs
      .filter {
        ![KerasMetadata.config, KerasMetadata.version, KerasMetadata.names].contains($0.key)
      }
      .map { ($0.key, .text($0.value)) }
    tree.root += own
    let list = try Self.list("layer_names", layers.map(\.name))
    var top: [Name] = []
    if let config {
      tree.root.append(("model_config", .text(config)))
      top = [KerasLegacy.weightsGroup]
      try tree.addGroup(top, attributes: own + list)
    } else {
      tree.root += list
    }
    for layer in layers {
      let path = try top + KerasTree.path(Name(layer.name))
      let order = layer.weights.enumerated().sorted {
        ($0.element.isLate ? 1 : 0, $0.element.rank, $0.offset)
          < ($1.element.isLate ? 1 : 0, $1.element.rank, $1.offset)
      }
      let weights = order.map(\.element)
      try tree.addGroup(path, attributes: Self.list("weight_names", weights.map(\.name)))
      for weight in weights {
        try tree.addDataset(path + KerasTree.path(Name(weight.name)), weight.tensor)
      }
    }
    for entry in rest { try tree.addDataset(KerasTree.path(entry.name), entry.tensor) }
    return tree.objects
  }

  /// The tensors by layer, layers in the model's order; what belongs to no layer apart.
  private func layers(_ graph: KerasGraph?) throws -> (
    [Layer], rest: [(name: Name, tensor: Tensor)]
  ) {
    let names = Dictionary(
      KerasMetadata.names(state.metadata).map { ($0.path, $0.name) }, uniquingKeysWith: { $1 })
    var groups: [String: String] = [:]
    var ranks: [String: Int] = [:]
    var holders: [String: Holder] = [:]
    for (rank, layer) in (graph?.layers ?? []).enumerated() {
      let top = layer.path.split(separator: "/").prefix(2).joined(separator: "/")
      if groups[top] == nil { (groups[top], ranks[top]) = (layer.group, rank) }
      for holder in KerasLegacyNames.holders(of: layer) {
        holders[holder.path] = Holder(
          rank: holders.count, isFrozen: holder.isFrozen,
          names: KerasLegacyNames.pieces(of: holder, in: layer))
      }
    }
    var order: [String] = []
    var layers: [String: Layer] = [:]
    var rest: [(name: Name, tensor: Tensor)] = []
    for entry in state.entries {
      let parts = entry.name.string.split(separator: "/", omittingEmptySubsequences: false)
      guard parts.count > 3, parts[0] == "layers", parts[parts.count - 2] == "vars",
        let index = Int(parts[parts.count - 1])
      else {
        rest.append(entry)
        continue
      }
      let top = "layers/\(parts[1])"
      let name = groups[top] ?? names[top] ?? String(parts[1])
      if layers[top] == nil {
        order.append(top)
        layers[top] = Layer(name: name)
      }
      let inner = parts.dropFirst(2).dropLast(2)
      let holder = (inner.last ?? parts[1]).prefix(while: { $0 != "_" })
      let isNormalization = (inner.last ?? parts[1]).hasPrefix("batch_normalization")
      let variable = Self.variable(index, holder: String(holder))
      let known = holders[parts.dropLast(2).joined(separator: "/")]
      let path = (known?.names ?? [name] + inner.map(String.init)) + [variable + ":0"]
      layers[top]?.weights.append(
        Weight(
          name: path.joined(separator: "/"), tensor: entry.tensor,
          rank: known?.rank ?? 0,
          isLate: known?.isFrozen == true || (isNormalization && index >= 2)))
    }
    let positions = Dictionary(
      order.enumerated().map { ($0.element, $0.offset) }, uniquingKeysWith: { $1 })
    let sorted = order.sorted {
      (ranks[$0] ?? Int.max, positions[$0] ?? 0) < (ranks[$1] ?? Int.max, positions[$1] ?? 0)
    }
    return (sorted.compactMap { layers[$0] }, rest)
  }

  /// What Keras calls a variable.
  private static func variable(_ index: Int, holder: String) -> String {
    let names: [String: [String]] = [
      "cell": ["kernel", "recurrent_kernel", "bias"], "dense": ["kernel", "bias"],
      "embedding": ["embeddings"],
    ]
    let known = names[holder] ?? []
    return index < known.count ? known[index] : String(index)
  }

  /// A list of texts as one attribute, or as numbered ones when it is too long for one.
  private static func list(
    _ key: String, _ texts: [String]
  ) throws -> [(key: String, value: HDF5Object.Value)] {
    let width = max(1, texts.map(\.utf8.count).max() ?? 1)
    guard width <= attributeLimit else {
      throw RecurrentError(
        .kerasNameInexpressible, at: key, found: "a name of \(width) bytes",
        expected: "at most \(attributeLimit)")
    }
    guard width * texts.count > attributeLimit else { return [(key, .texts(texts))] }
    let each = attributeLimit / width
    return stride(from: 0, to: texts.count, by: each).enumerated().map { index, start in
      ("\(key)\(index)", .texts(Array(texts[start..<min(texts.count, start + each)])))
    }
  }
}
