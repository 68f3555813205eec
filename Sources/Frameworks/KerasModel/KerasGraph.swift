// A model's configuration as a graph: its layers, nested models unfolded, and what each of them reads.
//
//   {"class_name": …, "config": {"layers": [LAYER…], "input_layers": REFS, "output_layers": REFS}}
//   LAYER  {"class_name", "config", "name", "inbound_nodes": [NODE…]}; a NODE is one use of the layer
//   NODE   Keras 3: {"args": [TENSOR…], "kwargs": {…}}, TENSOR {"keras_history": ["name", node, index]}
//          before:  [["name", node, index, {kwargs}], …]
//
// Keras 1 and early Keras 2 write the layers of a Sequential as a bare list. A layer or a nested model that
// is used more than once has no single input: what it reads and what it gives is then not known here.

import Containers
import Tensors

/// The layers of a model and the values that flow between them.
struct KerasGraph {
  /// What a layer reads.
  enum Value: Hashable {
    /// An input of the whole model.
    case input(String)
    /// A result of a layer.
    case output(layer: Int, index: Int)
    /// Something that the configuration does not pin down; the text says what.
    case unknown(String)
  }

  /// One use of a layer.
  struct Call {
    /// What it reads, in order.
    var inputs: [Value] = []
    /// What it reads by keyword (`initial_state`, `mask`).
    var keywords: [(key: String, values: [Value])] = []
    /// Whether it runs as in training, whatever the caller says.
    var isTraining = false
    /// The arguments as they are written, where they are a list.
    var arguments: [JSON] = []
  }

  /// One layer that is no model.
  struct Layer {
    /// The names that its author gave it and the models around it, outermost first.
    let names: [String]
    /// The class, without a package (`LSTM` of `my>LSTM`).
    let className: String
    /// Its configuration.
    let config: JSON
    /// The path of the object that holds its variables: `layers/lstm`.
    let path: String
    /// The name of the whole model's own layer that it belongs to, which older files group weights by.
    let group: String
    /// Whether the class is not Keras's own, so that nobody knows what it computes.
    let isCustom: Bool
    /// Whether the layer is applied to every step (`TimeDistributed`).
    let isDistributed: Bool
    /// Whether it or a model around it is kept from being trained.
    let isFrozen: Bool
    /// How often the layer is used.
    var uses = 1
    /// Its use, where there is one and the configuration says what it reads.
    var call: Call?

    /// The name with those of the models around it: `encoder.lstm_1`.
    var name: String { names.joined(separator: ".") }
  }

  /// The layers in file order.
  private(set) var layers: [Layer] = []
  /// The values that the model returns.
  private(set) var outputs: Set<Value> = []
  /// The names of the model's inputs, in order.
  private(set) var inputNames: [String] = []
  /// The class of the model where it is not Keras's own.
  private(set) var customClass: String?

  static let layerLimit = 20_000
  /// Keeps hostile configurations from costing more than their bytes.
  private static let referenceLimit = 400_000
  private static let stepLimit = 256

  private var scopes: [Scope] = []
  private var pending: [(layer: Int, scope: Int, use: Use)] = []
  private var referenceCount = 0

  /// A reference to a result of a layer by the name that its model knows it under.
  private struct Reference {
    let name: String
    let index: Int
  }

  /// Where a layer's use is described: references may point forwards, so it is read at the end.
  private enum Use {
    case node(JSON)
    /// In a Sequential: the member before, or nothing for the first.
    case after(String?)
  }

  /// One model whose layers are being named.
  private struct Scope {
    let names: [String]
    let prefix: String
    let group: String?
    let isSequential: Bool
    /// The model around it.
    let parent: Int?
    /// Why what goes in and out is not known, where it is not.
    let opaque: String?
    let isFrozen: Bool
    /// What feeds it, in the scope around it.
    var arguments: [Reference?] = []
    var inputs: [String: Int] = [:]
    var outputs: [Reference] = []
    var members: [String: Member] = [:]
    /// The previous member of a Sequential.
    var previous: String?
  }

  private enum Member {
    case input(position: Int?)
    case layer(Int)
    case model(Int)
  }

  /// Reads a configuration; `nil` when it describes no layers (a subclassed model).
  init?(_ text: String) throws {
    let root: JSON
    do {
      root = try JSON.parse(Array(text.utf8))
    } catch let error as RecurrentError {
      throw error.within("the model's configuration")
    }
    guard Self.layers(of: root) != nil else { return nil }
    if Self.isCustomModel(root) { customClass = root["class_name"]?.stringValue ?? "a class" }
    try walk(root)
    for (layer, scope, use) in pending {
      switch use {
      case .node(let node): layers[layer].call = try call(node, in: scope)
      case .after(let name): layers[layer].call = Call(inputs: [value(of: name, in: scope)])
      }
    }
    pending = []
    inputNames = scopes[0].inputs.sorted { $0.value < $1.value }.map(\.key)
    for reference in scopes[0].outputs { outputs.insert(resolve(reference, in: 0)) }
  }

  /// The layers of a model's configuration.
  static func layers(of model: JSON) -> [JSON]? {
    guard let config = model["config"] else { return nil }
    return config.arrayValue ?? config["layers"]?.arrayValue
  }

  /// Whether a class is registered under a name of its author, or comes from a module of theirs.
  static func isCustom(_ json: JSON) -> Bool {
    if json["class_name"]?.stringValue?.contains(">") == true { return true }
    if let module = json["module"]?.stringValue {
      let package = module.split(separator: ".").first.map(String.init) ?? ""
      return !["keras", "tf_keras", "tensorflow", "builtins"].contains(package)
    }
    return json["registered_name"]?.stringValue != nil
  }

  /// Whether a model's class is not one of Keras's: its `call` may do more than its layers say.
  private static func isCustomModel(_ json: JSON) -> Bool {
    let models = ["Sequential", "Functional", "Model", "Container"]
    return isCustom(json) || json["class_name"]?.stringValue.map { !models.contains($0) } == true
  }

  // MARK: Layers

  private struct Work {
    let json: JSON
    let path: String
    let scope: Int
  }

  private mutating func walk(_ root: JSON) throws {
    scopes.append(
      Scope(
        names: [], prefix: "layers/", group: nil, isSequential: Self.isSequential(root),
        parent: nil, opaque: nil, isFrozen: Self.isFrozen(root)))
    var work = try open(root, scope: 0)
    while let next = work.popLast() {
      work += try add(next.json, path: next.path, scope: next.scope)
    }
  }

  private static func isSequential(_ json: JSON) -> Bool {
    json["class_name"]?.stringValue == "Sequential" || json["config"]?.arrayValue != nil
      || (json["config"]?["output_layers"] == nil && json["config"]?["input_layers"] == nil)
  }

  /// Notes a model's ends and lists its layers, last first.
  private mutating func open(_ model: JSON, scope: Int) throws -> [Work] {
    let config = model["config"] ?? .null
    if !scopes[scope].isSequential {
      let inputs = try references(in: config["input_layers"] ?? .null).enumerated()
      scopes[scope].inputs = Dictionary(
        inputs.map { ($0.element.name, $0.offset) }, uniquingKeysWith: { first, _ in first })
      scopes[scope].outputs = try references(in: config["output_layers"] ?? .null)
    }
    var numbering = KerasNumbering()
    return (Self.layers(of: model) ?? []).map { layer in
      var className = Self.className(of: layer)
      if className == "Model" { className = "Functional" }
      let path = scopes[scope].prefix + numbering.next(className)
      return Work(json: layer, path: path, scope: scope)
    }.reversed()
  }

  private static func isFrozen(_ json: JSON) -> Bool {
    json["config"]?["trainable"]?.boolValue == false
  }

  private static func className(of layer: JSON) -> String {
    let name = layer["class_name"]?.stringValue ?? "Layer"
    return name.split(separator: ">").last.map(String.init) ?? name
  }

  private mutating func add(_ outer: JSON, path: String, scope: Int) throws -> [Work] {
    let ownName = outer["config"]?["name"]?.stringValue ?? outer["name"]?.stringValue ?? path
    let nodes = outer["inbound_nodes"]?.arrayValue
    var (json, path) = (outer, path)
    var isCustom = Self.isCustom(json)
    var isDistributed = false
    // A wrapper around a wrapper is as deep as the text; the parser limits that.
    while Self.className(of: json) == "TimeDistributed", !isCustom,
      let inner = json["config"]?["layer"]
    {
      json = inner
      path += "/layer"
      isDistributed = true
      isCustom = isCustom || Self.isCustom(json)
    }
    let names = scopes[scope].names + [ownName]
    let group = scopes[scope].group ?? ownName
    if scopes[scope].isSequential, Self.className(of: json) == "InputLayer" { return [] }
    if Self.layers(of: json) != nil {
      return try addModel(
        json, name: ownName, names: names, path: path, group: group, scope: scope, nodes: nodes,
        opaque: isDistributed ? "TimeDistributed \"\(ownName)\"" : nil)
    }
    guard layers.count < Self.layerLimit else {
      throw RecurrentError(
        .malformed, "keras.layers", at: "the model's configuration", found: "too many layers",
        expected: "at most \(Self.layerLimit)")
    }
    var layer = Layer(
      names: names, className: Self.className(of: json), config: json["config"] ?? .null,
      path: path,
      group: group, isCustom: isCustom, isDistributed: isDistributed,
      isFrozen: scopes[scope].isFrozen || Self.isFrozen(outer) || Self.isFrozen(json))
    let isInput = layer.className == "InputLayer"
    if scopes[scope].isSequential {
      pending.append((layers.count, scope, .after(scopes[scope].previous)))
      scopes[scope].previous = ownName
      scopes[scope].outputs = [Reference(name: ownName, index: 0)]
    } else if !isInput {
      layer.uses = nodes?.count ?? 0
      if let nodes, nodes.count == 1 { pending.append((layers.count, scope, .node(nodes[0]))) }
    }
    scopes[scope].members[ownName] =
      isInput
      ? .input(position: scopes[scope].inputs[ownName]) : .layer(layers.count)
    layers.append(layer)
    return []
  }

  private mutating func addModel(
    _ json: JSON, name: String, names: [String], path: String, group: String, scope: Int,
    nodes: [JSON]?, opaque: String?
  ) throws -> [Work] {
    var opaque = opaque
    if Self.isCustomModel(json) { opaque = "\(Self.className(of: json)) \"\(name)\"" }
    var arguments: [Reference?] = []
    if scopes[scope].isSequential {
      arguments = [scopes[scope].previous.map { Reference(name: $0, index: 0) }]
    } else if let nodes, nodes.count == 1 {
      arguments = try references(in: nodes[0])
    } else {
      opaque = opaque ?? Self.shared(name, nodes?.count ?? 0)
    }
    let index = scopes.count
    scopes.append(
      Scope(
        names: names, prefix: path + "/layers/", group: group,
        isSequential: Self.isSequential(json),
        parent: scope, opaque: opaque,
        isFrozen: scopes[scope].isFrozen || Self.isFrozen(json), arguments: arguments))
    scopes[scope].members[name] = .model(index)
    if scopes[scope].isSequential {
      scopes[scope].previous = name
      scopes[scope].outputs = [Reference(name: name, index: 0)]
    }
    return try open(json, scope: index)
  }

  private static func shared(_ name: String, _ uses: Int) -> String {
    uses == 0 ? "\"\(name)\", which nothing feeds" : "\"\(name)\", which is used \(uses) times"
  }

  // MARK: Values

  /// What a Sequential's layer reads: the member before it, or what feeds the model.
  private func value(of previous: String?, in scope: Int) -> Value {
    if let previous { return resolve(Reference(name: previous, index: 0), in: scope) }
    return fed(scope, position: 0)
  }

  /// What feeds an input of a model.
  private func fed(_ scope: Int, position: Int) -> Value {
    var (scope, position) = (scope, position)
    for _ in 0..<Self.stepLimit {
      let own = scopes[scope]
      guard let parent = own.parent else { return .input("the model's input") }
      if let opaque = own.opaque { return .unknown(opaque) }
      guard own.arguments.indices.contains(position) else {
        return .unknown("input \(position) of \"\(own.names.joined(separator: "."))\"")
      }
      // The first layer of a Sequential reads what its model reads.
      guard let reference = own.arguments[position] else {
        (scope, position) = (parent, 0)
        continue
      }
      return resolve(reference, in: parent)
    }
    return .unknown("a cycle")
  }

  private func resolve(_ reference: Reference, in scope: Int) -> Value {
    var (reference, scope) = (reference, scope)
    for _ in 0..<Self.stepLimit {
      switch scopes[scope].members[reference.name] {
      case nil: return .unknown("\"\(reference.name)\", which is not in the configuration")
      case .layer(let index)?:
        guard layers[index].uses == 1 else {
          return .unknown(Self.shared(layers[index].name, layers[index].uses))
        }
        return .output(layer: index, index: reference.index)
      case .model(let inner)?:
        if let opaque = scopes[inner].opaque { return .unknown(opaque) }
        guard scopes[inner].outputs.indices.contains(reference.index) else {
          return .unknown("result \(reference.index) of \"\(reference.name)\"")
        }
        (reference, scope) = (scopes[inner].outputs[reference.index], inner)
      case .input(let position)?:
        guard let parent = scopes[scope].parent else { return .input(reference.name) }
        if let opaque = scopes[scope].opaque { return .unknown(opaque) }
        guard let position, scopes[scope].arguments.indices.contains(position) else {
          return .unknown("the input \"\(reference.name)\"")
        }
        guard let outer = scopes[scope].arguments[position] else {
          return fed(parent, position: 0)
        }
        (reference, scope) = (outer, parent)
      }
    }
    return .unknown("a cycle")
  }

  /// One use of a layer.
  private mutating func call(_ node: JSON, in scope: Int) throws -> Call {
    var result = Call()
    var keywords: [JSON.Member] = []
    if case .object = node {
      result.arguments = node["args"]?.arrayValue ?? []
      for argument in result.arguments {
        result.inputs += try values(in: argument, scope)
      }
      keywords = node["kwargs"]?.objectValue ?? []
    } else {
      result.inputs = try references(in: node).map { resolve($0, in: scope) }
      keywords = Self.oldKeywords(node)
    }
    for keyword in keywords {
      if keyword.key == "training", keyword.value.boolValue == true { result.isTraining = true }
      guard keyword.key != "training" else { continue }
      let values = try values(in: keyword.value, scope)
      guard !values.isEmpty else { continue }
      if result.inputs.isEmpty, ["inputs", "sequence", "sequences", "x"].contains(keyword.key) {
        result.inputs = values
      } else {
        result.keywords.append((keyword.key, values))
      }
    }
    return result
  }

  /// What an argument of a call refers to; anything else that is said there is a value that nobody computes.
  private mutating func values(in argument: JSON, _ scope: Int) throws -> [Value] {
    let found = try references(in: argument).map { resolve($0, in: scope) }
    guard found.isEmpty else { return found }
    switch argument {
    case .null: return []
    case .array(let items) where items.isEmpty || items.allSatisfy({ $0 == .null }): return []
    case .object(let members) where members.isEmpty: return []
    default: return [.unknown("a constant of the configuration")]
    }
  }

  private static func oldKeywords(_ node: JSON) -> [JSON.Member] {
    let first = isReference(node) ? node : node.arrayValue?.first ?? .null
    guard let items = first.arrayValue, items.count > 3 else { return [] }
    return items[3].objectValue ?? []
  }

  private static func isReference(_ value: JSON) -> Bool {
    guard let items = value.arrayValue, items.count >= 3 else { return false }
    return items[0].stringValue != nil && items[1].intValue != nil && items[2].intValue != nil
  }

  /// The references `[name, node, index]` in a value, in order; keywords that stand in them are left out.
  private mutating func references(in value: JSON) throws -> [Reference] {
    var found: [Reference] = []
    var pending = [value]
    while let value = pending.popLast() {
      switch value {
      case .array(let items):
        if Self.isReference(value), let name = items[0].stringValue, let index = items[2].intValue {
          found.append(Reference(name: name, index: index))
        } else {
          pending += items.reversed()
        }
      case .object(let members): pending += members.reversed().map(\.value)
      default: break
      }
    }
    referenceCount += found.count
    guard referenceCount <= Self.referenceLimit else {
      throw RecurrentError(
        .malformed, "keras.layers", at: "the model's configuration",
        found: "more than \(Self.referenceLimit) references between layers",
        expected: "a model that a machine can hold")
    }
    return found
  }
}
