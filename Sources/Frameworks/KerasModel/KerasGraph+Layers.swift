// The layers of a configuration, nested models unfolded.
import Containers
import Tensors

extension KerasGraph {
  private struct Work {
    let json: JSON
    let path: String
    let scope: Int
  }

  mutating func walk(_ root: JSON) throws {
    scopes.append(
      Scope(
        names: [], prefix: "layers/", group: nil, isSequential: Self.isSequential(root),
        parent: nil, opaque: nil, isFrozen: Self.isFrozen(root)))
    var work = try open(root, scope: 0)
    while let next = work.popLast() {
      work += try add(next.json, path: next.path, scope: next.scope)
    }
  }

  static func isSequential(_ json: JSON) -> Bool {
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

  static func isFrozen(_ json: JSON) -> Bool {
    json["config"]?["trainable"]?.boolValue == false
  }

  static func className(of layer: JSON) -> String {
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
        .kerasLayers, at: "the model's configuration", found: "too many layers",
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

  static func shared(_ name: String, _ uses: Int) -> String {
    uses == 0 ? "\"\(name)\", which nothing feeds" : "\"\(name)\", which is used \(uses) times"
  }
}
