// To be deleted with Conversion's KerasModules.swift, its only reader: KerasGraph.swift has taken over.
//
// The configuration of a model: {"class_name": …, "config": {"layers": [{"class_name", "config"}]}}.
//
// Keras 1 and early Keras 2 write the layers of a Sequential as a bare list. Nested models are layers
// with layers; wrappers (TimeDistributed) have one inner layer. Everything is walked with a list of
// work, never by recursion.

import Tensors

/// A model's layers in order, nested models unfolded.
package struct KerasModel: Sendable {
  /// One layer.
  package struct Layer: Sendable {
    /// The name that its author or Keras gave it; that of the wrapper when there is one.
    package let name: String
    /// The class, such as `LSTM`.
    package let className: String
    /// Its configuration.
    package let config: JSON
    /// The path of the object that holds its variables: `layers/lstm`.
    package let path: String
    /// The name of the model's own layer that it belongs to, which older files group weights by.
    package let group: String
    /// The positions of the layers whose output it takes; `nil` where the file does not say.
    package var inputs: [Int]?
  }

  /// The layers.
  package private(set) var layers: [Layer] = []

  static let layerLimit = 20_000

  /// Reads a configuration; `nil` when it describes no layers (a subclassed model).
  package init?(_ text: String) throws {
    let root: JSON
    do {
      root = try JSON.parse(Array(text.utf8))
    } catch let error as RecurrentError {
      throw error.within("the model's configuration")
    }
    guard Self.layers(of: root) != nil else { return nil }
    try walk(root)
  }

  /// The layers of a model's configuration.
  private static func layers(of model: JSON) -> [JSON]? {
    guard let config = model["config"] else { return nil }
    return config.arrayValue ?? config["layers"]?.arrayValue
  }

  /// One model whose layers are being named.
  private struct Scope {
    let prefix: String
    let group: String?
    let isSequential: Bool
    /// The layers outside that feed the model.
    let outer: [Int]?
    /// The last position of each layer by name: what a reference to the name means.
    var positions: [String: Int] = [:]
    /// The previous layer of a Sequential.
    var previous: [Int]?
    let outputName: String?
  }

  private enum Work {
    case layer(JSON, path: String, scope: Int)
    /// The model `name` in `scope` is complete; its own layers are those of `inner`.
    case end(inner: Int, name: String, scope: Int)
  }

  private mutating func walk(_ root: JSON) throws {
    var scopes = [
      Scope(
        prefix: "layers/", group: nil,
        isSequential: root["class_name"]?.stringValue == "Sequential",
        outer: [], previous: [], outputName: nil)
    ]
    var pending = Self.work(Self.layers(of: root) ?? [], prefix: "layers/", scope: 0)
    while let work = pending.popLast() {
      switch work {
      case .layer(let json, let path, let scope):
        let name = json["config"]?["name"]?.stringValue ?? json["name"]?.stringValue ?? path
        let inputs = Self.inputs(of: json, in: scopes[scope])
        let group = scopes[scope].group ?? name
        if let inner = Self.layers(of: json) {
          let prefix = path + "/layers/"
          scopes.append(
            Scope(
              prefix: prefix, group: group,
              isSequential: json["class_name"]?.stringValue == "Sequential", outer: inputs,
              previous: inputs, outputName: Self.outputName(of: json)))
          pending.append(.end(inner: scopes.count - 1, name: name, scope: scope))
          pending += Self.work(inner, prefix: prefix, scope: scopes.count - 1)
        } else {
          try append(json, name: name, path: path, group: group, inputs: inputs)
          scopes[scope].positions[name] = layers.count - 1
          scopes[scope].previous = [layers.count - 1]
        }
      case .end(let inner, let name, let scope):
        let output =
          scopes[inner].outputName.flatMap { scopes[inner].positions[$0] }
          ?? scopes[inner].previous?.last
        scopes[scope].positions[name] = output
        scopes[scope].previous = output.map { [$0] }
      }
    }
  }

  /// The layers of one model with their paths, last first.
  private static func work(_ layers: [JSON], prefix: String, scope: Int) -> [Work] {
    var numbering = KerasNumbering()
    return layers.map { layer in
      var className = layer["class_name"]?.stringValue ?? "Layer"
      if className == "Model" { className = "Functional" }
      return .layer(layer, path: prefix + numbering.next(className), scope: scope)
    }.reversed()
  }

  private mutating func append(
    _ json: JSON, name: String, path: String, group: String, inputs: [Int]?
  ) throws {
    var (json, path) = (json, path)
    // A wrapper around a wrapper is as deep as the text; the parser limits that.
    while json["class_name"]?.stringValue == "TimeDistributed",
      let inner = json["config"]?["layer"]
    {
      json = inner
      path += "/layer"
    }
    guard layers.count < Self.layerLimit else {
      throw RecurrentError(
        .malformed, "keras.layers", at: "the model's configuration", found: "too many layers",
        expected: "at most \(Self.layerLimit)")
    }
    layers.append(
      Layer(
        name: name, className: json["class_name"]?.stringValue ?? "Layer",
        config: json["config"] ?? .null, path: path, group: group, inputs: inputs))
  }

  private static func inputs(of layer: JSON, in scope: Scope) -> [Int]? {
    if scope.isSequential { return scope.previous }
    if layer["class_name"]?.stringValue == "InputLayer" { return scope.outer }
    guard let nodes = layer["inbound_nodes"] else { return nil }
    var found: [Int] = []
    for name in references(in: nodes) {
      guard let position = scope.positions[name] else { return nil }
      if !found.contains(position) { found.append(position) }
    }
    return found
  }

  /// The names in `[name, node, tensor]` and `[name, node, tensor, {…}]`, wherever they stand.
  private static func references(in nodes: JSON) -> [String] {
    var names: [String] = []
    var pending = [nodes]
    while let value = pending.popLast() {
      switch value {
      case .array(let items):
        if items.count >= 3, let name = items[0].stringValue, items[1].intValue != nil,
          items[2].intValue != nil
        {
          names.append(name)
          // Keyword arguments (an initial state) may refer to further layers.
          pending += items.dropFirst(3)
        } else {
          pending += items
        }
      case .object(let members): pending += members.map(\.value)
      default: break
      }
    }
    return names
  }

  private static func outputName(of model: JSON) -> String? {
    guard let outputs = model["config"]?["output_layers"] else { return nil }
    return references(in: outputs).first
  }
}
