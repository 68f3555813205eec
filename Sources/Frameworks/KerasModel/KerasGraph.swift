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
  var layers: [Layer] = []
  /// The values that the model returns.
  var outputs: Set<Value> = []
  /// The names of the model's inputs, in order.
  private(set) var inputNames: [String] = []
  /// The class of the model where it is not Keras's own.
  private(set) var customClass: String?

  static let layerLimit = 20_000
  /// Keeps hostile configurations from costing more than their bytes.
  static let referenceLimit = 400_000
  static let stepLimit = 256

  var scopes: [Scope] = []
  var pending: [(layer: Int, scope: Int, use: Use)] = []
  var referenceCount = 0

  /// A reference to a result of a layer by the name that its model knows it under.
  struct Reference {
    let name: String
    let index: Int
  }

  /// Where a layer's use is described: references may point forwards, so it is read at the end.
  enum Use {
    case node(JSON)
    /// In a Sequential: the member before, or nothing for the first.
    case after(String?)
  }

  /// One model whose layers are being named.
  struct Scope {
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

  enum Member {
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
  static func isCustomModel(_ json: JSON) -> Bool {
    let models = ["Sequential", "Functional", "Model", "Container"]
    return isCustom(json) || json["class_name"]?.stringValue.map { !models.contains($0) } == true
  }
}
