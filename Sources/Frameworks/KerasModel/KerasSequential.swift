// The configuration of a Sequential model for a chain of modules, spelled so that Keras 3 and tf_keras both
// read it: embedding? → dense? → recurrent → dense?, in any number, each reading the one before.
//
// Keras 3 finds variables by the objects' paths, which it numbers by class and in order; tensors get those
// names. Layers have the names of their modules, further layers of a stack a number behind it.

import Containers
import Tensors

/// Builds a Sequential from what a `Structure` says.
struct KerasSequential {
  let state: StateDict
  let structure: Structure
  var layers: [JSON] = []
  var numbering = KerasNumbering()
  var names: Set<String> = ["input_layer"]
  /// The name that each tensor gets.
  var renamed: [Name: Name] = [:]
  /// Where each module's variables are then.
  var prefixes: [[[String]]] = []

  /// The state with a configuration and with tensors under the names that Keras 3 computes, where it has
  /// no configuration that the container can keep.
  static func completed(_ state: StateDict, needsNewStyle: Bool) throws -> StateDict {
    guard state.metadata[KerasMetadata.config] == nil, let structure = state.structure else {
      return state
    }
    var result = state
    if let original = structure.original, !needsNewStyle || KerasConfiguration.isNewStyle(original)
    {
      result.metadata[KerasMetadata.config] = original
      return result
    }
    if !needsNewStyle,
      let module = structure.modules.first(where: {
        $0.activation == KerasFunction.hardSigmoid
      })
    {
      throw inexpressible(
        module.name, "the hard sigmoid of Keras 3",
        "an activation that all versions of Keras compute alike",
        "Write .keras, or convert without the activation.", reason: .kerasActivationInexpressible)
    }
    let chain = try chain(of: structure)
    guard !chain.isEmpty else { return state }
    var builder = KerasSequential(state: state, structure: structure)
    return try builder.build(chain)
  }

  init(state: StateDict, structure: Structure) {
    (self.state, self.structure) = (state, structure)
  }

  // MARK: Layers

  mutating func build(_ chain: [Link]) throws -> StateDict {
    let first = chain[0].module
    let isText = first.kind == .embedding
    let width = try isText ? nil : inputSize(of: first)
    append(
      "InputLayer", named: "input_layer",
      [("batch_input_shape", .array([.null, .null] + (width.map { [.number($0)] } ?? [])))]
        + (isText ? [("dtype", .string("int32"))] : []))
    for link in chain {
      switch link.module.kind {
      case .embedding: try addEmbedding(link.module)
      case .linear: try addDense(link.module)
      default: try addRecurrent(link.module, reads: link.reads)
      }
    }
    let config = Self.object(
      "Sequential", module: "keras", name: "sequential", [("layers", .array(layers))])
    var result = StateDict()
    for entry in state.entries {
      try result.append(renamed[entry.name] ?? entry.name, entry.tensor)
    }
    result.metadata = state.metadata
    result.metadata[KerasMetadata.config] = config.serialized()
    result.structure = structure
    for (link, prefixes) in zip(chain, prefixes) {
      let position = structure.modules.firstIndex { $0.name == link.module.name }
      if let position { result.structure?.modules[position].prefixes = prefixes }
    }
    result.structure?.original = config.serialized()
    result.skipped = state.skipped
    return result
  }

  func inputSize(of module: Structure.Module) throws -> Int {
    let prefix =
      module.prefixes.first?.first
      ?? (module.kind == .linear ? "layers/dense/vars/#" : recurrentPath(module, 0, 0))
    return try tensor(prefix, 0, of: module).shape[0]
  }

  mutating func addEmbedding(_ module: Structure.Module) throws {
    let path = "layers/" + numbering.next("Embedding")
    let prefix = module.prefixes.first?.first ?? "layers/embedding/vars/#"
    let table = try take(
      prefix, 0, of: module, to: path + "/vars/0", words: ["embeddings"])
    prefixes.append([[path + "/vars/#"]])
    append(
      "Embedding", named: name(module.name, or: "embedding"),
      [("input_dim", .number(table.shape[0])), ("output_dim", .number(table.shape[1]))])
  }

  mutating func addDense(_ module: Structure.Module) throws {
    let path = "layers/" + numbering.next("Dense")
    let prefix = module.prefixes.first?.first ?? "layers/dense/vars/#"
    let words = ["kernel", "bias"]
    let kernel = try take(prefix, 0, of: module, to: path + "/vars/0", words: words)
    let hasBias = state[KerasNames.variable(prefix, 1, words: words)] != nil
    if hasBias { _ = try take(prefix, 1, of: module, to: path + "/vars/1", words: words) }
    prefixes.append([[path + "/vars/#"]])
    append(
      "Dense", named: name(module.name, or: "dense"),
      [
        ("units", .number(kernel.shape[1])), ("activation", .string(try activation(of: module))),
        ("use_bias", .bool(hasBias)),
      ])
  }

  func activation(of module: Structure.Module) throws -> String {
    guard let word = module.activation else { return "linear" }
    if word == KerasFunction.hardSigmoid { return "hard_sigmoid" }
    if word == "leaky_relu(0.2)" { return "leaky_relu" }
    let function = KerasFunction(.string(word), default: "")
    guard function.isKnown, function.name != "hard_sigmoid" else {
      throw Self.inexpressible(
        module.name, "the activation \(word)", "one that Keras 3 has",
        "Convert without the activation, or write another container.",
        reason: .kerasActivationInexpressible)
    }
    return function.name
  }

  // MARK: Tensors and names

  /// The paths of a layer's variables where Keras numbers them itself, with no other module of its class.
  func recurrentPath(_ module: Structure.Module, _ layer: Int, _ direction: Int) -> String {
    let number = layer == 0 ? "" : "_\(layer)"
    guard module.recurrent.direction != "both" else {
      return "layers/bidirectional\(number)/\(["forward", "backward"][direction])_layer/cell/vars/#"
    }
    let path = (try? Kind(module))?.path ?? "lstm"
    return "layers/\(path)\(number)/cell/vars/#"
  }

  func tensor(
    _ prefix: String, _ index: Int, of module: Structure.Module,
    words: [String] = ["kernel", "recurrent_kernel", "bias"]
  ) throws -> Tensor {
    let name = KerasNames.variable(prefix, index, words: words)
    guard let tensor = state[name] else {
      throw RecurrentError(
        .weightsMissing, at: "tensor \"\(name)\"", found: "no such tensor",
        expected: "the variables of module \"\(module.name)\"")
    }
    guard index > 0 || tensor.shape.count == 2 else {
      throw RecurrentError(
        .weightsShape, at: "tensor \"\(name)\"", found: "shape \(tensor.shape)",
        expected: "a matrix")
    }
    return tensor
  }

  mutating func take(
    _ prefix: String, _ index: Int, of module: Structure.Module, to name: String,
    words: [String] = ["kernel", "recurrent_kernel", "bias"]
  ) throws -> Tensor {
    let tensor = try tensor(prefix, index, of: module, words: words)
    renamed[KerasNames.variable(prefix, index, words: words)] = Name(name)
    return tensor
  }

  /// A name that Keras takes and no other layer has; with PyTorch beneath, Keras takes no dots.
  mutating func name(_ wished: String, or standard: String) -> String {
    var text = ""
    for scalar in wished.unicodeScalars {
      let isPlain =
        ("a"..."z").contains(scalar) || ("A"..."Z").contains(scalar) || ("0"..."9").contains(scalar)
        || "_-".unicodeScalars.contains(scalar)
      text.unicodeScalars.append(isPlain ? scalar : "_")
    }
    if text.isEmpty { text = standard }
    if let first = text.unicodeScalars.first, "_-".unicodeScalars.contains(first) {
      text = "layer" + text
    }
    var unique = text
    var number = 0
    while !names.insert(unique).inserted {
      number += 1
      unique = "\(text)_\(number)"
    }
    return unique
  }

  mutating func append(_ className: String, named name: String, _ config: [(String, JSON)]) {
    layers.append(Self.object(className, name: name, config))
  }

  static func object(
    _ className: String, module: String = "keras.layers", name: String, _ config: [(String, JSON)]
  ) -> JSON {
    let members = [("name", JSON.string(name))] + config
    return .object([
      "module": .string(module), "class_name": .string(className),
      "config": .object(members.map { JSON.Member(key: $0.0, value: $0.1) }),
      "registered_name": .null,
    ])
  }
}
