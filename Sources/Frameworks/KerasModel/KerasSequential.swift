// The configuration of a Sequential model for a chain of modules, spelled so that Keras 3 and tf_keras both
// read it: embedding? → dense? → recurrent → dense?, in any number, each reading the one before.
//
// Keras 3 finds variables by the objects' paths, which it numbers by class and in order; tensors get those
// names. Layers have the names of their modules, further layers of a stack a number behind it.

import Containers
import Tensors

/// Builds a Sequential from what a `Structure` says.
struct KerasSequential {
  private let state: StateDict
  private let structure: Structure
  private var layers: [JSON] = []
  private var numbering = KerasNumbering()
  private var names: Set<String> = ["input_layer"]
  /// The name that each tensor gets.
  private var renamed: [Name: Name] = [:]
  /// Where each module's variables are then.
  private var prefixes: [[[String]]] = []

  /// The reason of everything that no Sequential holds.
  static let inexpressible = "keras.sequential"

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
        "Write .keras, or convert without the activation.", reason: "keras.activation")
    }
    let chain = try chain(of: structure)
    guard !chain.isEmpty else { return state }
    var builder = KerasSequential(state: state, structure: structure)
    return try builder.build(chain)
  }

  private init(state: StateDict, structure: Structure) {
    (self.state, self.structure) = (state, structure)
  }

  // MARK: Layers

  private mutating func build(_ chain: [Link]) throws -> StateDict {
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

  private func inputSize(of module: Structure.Module) throws -> Int {
    let prefix =
      module.prefixes.first?.first
      ?? (module.kind == .linear ? "layers/dense/vars/#" : recurrentPath(module, 0, 0))
    return try tensor(prefix, 0, of: module).shape[0]
  }

  private mutating func addEmbedding(_ module: Structure.Module) throws {
    let path = "layers/" + numbering.next("Embedding")
    let prefix = module.prefixes.first?.first ?? "layers/embedding/vars/#"
    let table = try take(
      prefix, 0, of: module, to: path + "/vars/0", words: ["embeddings"])
    prefixes.append([[path + "/vars/#"]])
    append(
      "Embedding", named: name(module.name, or: "embedding"),
      [("input_dim", .number(table.shape[0])), ("output_dim", .number(table.shape[1]))])
  }

  private mutating func addDense(_ module: Structure.Module) throws {
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

  private func activation(of module: Structure.Module) throws -> String {
    guard let word = module.activation else { return "linear" }
    if word == KerasFunction.hardSigmoid { return "hard_sigmoid" }
    if word == "leaky_relu(0.2)" { return "leaky_relu" }
    let function = KerasFunction(.string(word), default: "")
    guard function.isKnown, function.name != "hard_sigmoid" else {
      throw Self.inexpressible(
        module.name, "the activation \(word)", "one that Keras 3 has",
        "Convert without the activation, or write another container.", reason: "keras.activation")
    }
    return function.name
  }

  private mutating func addRecurrent(
    _ module: Structure.Module, reads: HeadReads
  ) throws {
    try refuse(module, reads)
    let says = module.recurrent
    let isBoth = says.direction == "both"
    let count = module.prefixes.isEmpty ? says.layerCount ?? 1 : module.prefixes.count
    let kind = try Kind(module)
    let base = name(module.name, or: isBoth ? "bidirectional" : kind.path)
    prefixes.append([])
    for index in 0..<count {
      let isLast = index == count - 1
      if index > 0, let rate = says.dropout, rate > 0 {
        append("Dropout", named: name("dropout", or: "dropout"), [("rate", .number(rate))])
      }
      let path = "layers/" + numbering.next(isBoth ? "Bidirectional" : kind.className)
      var config: [(String, JSON)] = []
      var own: [String] = []
      for direction in 0..<(isBoth ? 2 : 1) {
        let prefix =
          module.prefixes.isEmpty
          ? recurrentPath(module, index, direction) : module.prefixes[index][direction]
        let half = isBoth ? "/" + ["forward", "backward"][direction] + "_layer" : ""
        config = try take(layer: prefix, of: module, to: path + half + "/cell/vars/")
        own.append(path + half + "/cell/vars/#")
      }
      prefixes[prefixes.count - 1].append(own)
      config.append(("return_sequences", .bool(!isLast || reads == .sequence)))
      let layer =
        module.layerNames.count == count && index > 0
        ? name(module.layerNames[index], or: base) : index == 0 ? base : name(base, or: base)
      guard isBoth else {
        append(kind.className, named: layer, config)
        continue
      }
      // Keras would make an absent backward layer itself, but then mistakes layers for one another
      // by the address of an object it has freed, and some loads of deeper models fail.
      let inner = kind.path + (index == 0 ? "" : "_\(index)")
      let forward = Self.object(kind.className, name: inner, config)
      let backward = Self.object(
        kind.className, name: "backward_" + inner, config + [("go_backwards", .bool(true))])
      append(
        "Bidirectional", named: layer,
        [
          ("layer", forward), ("backward_layer", backward), ("merge_mode", .string("concat")),
        ])
    }
  }

  /// The variables of one layer and direction, and what its configuration says because of them.
  private mutating func take(
    layer prefix: String, of module: Structure.Module, to path: String
  ) throws -> [(String, JSON)] {
    let kind = try Kind(module)
    let kernel = try take(prefix, 0, of: module, to: path + "0")
    let recurrent = try take(prefix, 1, of: module, to: path + "1")
    guard let sizes = KerasLegacyArrays.recurrentSizes(kernel, recurrent), sizes.gates == kind.gates
    else {
      throw RecurrentError(
        .malformed, "weights.shape", at: "tensor \"\(KerasNames.variable(prefix, 0))\"",
        found: "shape \(kernel.shape) beside \(recurrent.shape)",
        expected: "kernels of \(kind.gates) gates")
    }
    let bias = state[KerasNames.variable(prefix, 2)]
    if bias != nil { _ = try take(prefix, 2, of: module, to: path + "2") }
    var config: [(String, JSON)] = [
      ("units", .number(sizes.hidden)), ("activation", .string(kind.activation)),
      ("use_bias", .bool(bias != nil)),
    ]
    if kind.gates > 1 { config.append(("recurrent_activation", .string("sigmoid"))) }
    if kind.gates == 3 {
      let isAfter = bias.map { $0.shape.count == 2 } ?? (module.recurrent.gruReset != "before")
      config.append(("reset_after", .bool(isAfter)))
    }
    return config
  }

  /// The recurrent classes of Keras.
  private struct Kind {
    let className: String
    let path: String
    let gates: Int
    let activation: String

    init(_ module: Structure.Module) throws {
      switch module.recurrent.cell {
      case "lstm": (className, path, gates, activation) = ("LSTM", "lstm", 4, "tanh")
      case "gru": (className, path, gates, activation) = ("GRU", "gru", 3, "tanh")
      case "rnn_relu": (className, path, gates, activation) = ("SimpleRNN", "simple_rnn", 1, "relu")
      case "rnn_tanh": (className, path, gates, activation) = ("SimpleRNN", "simple_rnn", 1, "tanh")
      default:
        throw KerasSequential.inexpressible(
          module.name, "no cell that is known", "lstm, gru, rnn_tanh or rnn_relu",
          "Say which cell it is.")
      }
    }
  }

  /// Throws what a Sequential cannot hold.
  private func refuse(_ module: Structure.Module, _ reads: HeadReads) throws {
    let says = module.recurrent
    func refuse(_ found: String, _ expected: String, _ hint: Advice) -> RecurrentError {
      Self.inexpressible(module.name, found, expected, hint)
    }
    switch says.initialState {
    case nil, .zeros?, .fed?: break
    case .stored?:
      throw refuse(
        "an initial state that the file stores", "a network that starts from zeros",
        "Keras has no place for it; .onnx, .h5, .npz and .safetensors keep it.")
    case .computed(let text)?:
      throw refuse(
        "an initial state from \(text)", "a network that starts from zeros",
        "Convert the module alone.")
    }
    if says.direction == "reverse" {
      throw refuse(
        "a stack that only reads backwards", "forward or both directions",
        "Keras returns the steps of such a layer in reverse order; write another container.")
    }
    if says.direction == "both", reads == .last {
      throw refuse(
        "a module that reads the last step of both directions", "every step, or the final states",
        "A Bidirectional layer that returns one step returns the final states; write another container."
      )
    }
    if says.projSize ?? 0 > 0 || says.clip != nil || says.couplesInputForget == true
      || says.activations != nil
    {
      throw refuse(
        "a projection, clipping, coupled gates or activations of its own",
        "a cell that Keras's layers have", "Write another container.")
    }
    for (index, part) in module.prefixes.enumerated()
    where part.count != (says.direction == "both" ? 2 : 1) {
      throw refuse(
        "\(part.count) parts in layer \(index)", "one for each direction", "Please report this.")
    }
  }

  // MARK: Tensors and names

  /// The paths of a layer's variables where Keras numbers them itself, with no other module of its class.
  private func recurrentPath(_ module: Structure.Module, _ layer: Int, _ direction: Int) -> String {
    let number = layer == 0 ? "" : "_\(layer)"
    guard module.recurrent.direction != "both" else {
      return "layers/bidirectional\(number)/\(["forward", "backward"][direction])_layer/cell/vars/#"
    }
    let path = (try? Kind(module))?.path ?? "lstm"
    return "layers/\(path)\(number)/cell/vars/#"
  }

  private func tensor(
    _ prefix: String, _ index: Int, of module: Structure.Module,
    words: [String] = ["kernel", "recurrent_kernel", "bias"]
  ) throws -> Tensor {
    let name = KerasNames.variable(prefix, index, words: words)
    guard let tensor = state[name] else {
      throw RecurrentError(
        .malformed, "weights.missing", at: "tensor \"\(name)\"", found: "no such tensor",
        expected: "the variables of module \"\(module.name)\"")
    }
    guard index > 0 || tensor.shape.count == 2 else {
      throw RecurrentError(
        .malformed, "weights.shape", at: "tensor \"\(name)\"", found: "shape \(tensor.shape)",
        expected: "a matrix")
    }
    return tensor
  }

  private mutating func take(
    _ prefix: String, _ index: Int, of module: Structure.Module, to name: String,
    words: [String] = ["kernel", "recurrent_kernel", "bias"]
  ) throws -> Tensor {
    let tensor = try tensor(prefix, index, of: module, words: words)
    renamed[KerasNames.variable(prefix, index, words: words)] = Name(name)
    return tensor
  }

  /// A name that Keras takes and no other layer has; with PyTorch beneath, Keras takes no dots.
  private mutating func name(_ wished: String, or standard: String) -> String {
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

  private mutating func append(_ className: String, named name: String, _ config: [(String, JSON)])
  {
    layers.append(Self.object(className, name: name, config))
  }

  private static func object(
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
