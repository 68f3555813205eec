import Containers
import Tensors

/// The objects of a TorchScript archive, and what their classes are.
final class TorchScriptObjects {
  private let graph: PickleGraph
  private let isTensorValue: (PickleValue) -> Bool
  private var attributes: [Int: [String: PickleValue]] = [:]

  init(_ graph: PickleGraph, isTensor: @escaping (PickleValue) -> Bool) {
    self.graph = graph
    isTensorValue = isTensor
  }

  func isTensor(_ value: PickleValue) -> Bool { isTensorValue(value) }

  /// The full name of an object's class, as the pickle has it.
  func className(_ object: Int) -> String { graph.call(.node(object))?.name ?? "" }

  /// The class's own name (`LayerNorm`).
  func shortName(_ object: Int) -> String {
    String(className(object).split(whereSeparator: { $0 == "." || $0 == " " }).last ?? "")
  }

  /// The node of a value that is a module.
  func module(_ value: PickleValue) -> Int? {
    guard case .node(let index) = value, let name = graph.call(value)?.name,
      name.hasPrefix("__torch__"), graph.attributes(value) != nil
    else { return nil }
    return index
  }

  func attribute(_ name: String, of object: Int) -> PickleValue? { table(of: object)[name] }

  private func table(of object: Int) -> [String: PickleValue] {
    if let known = attributes[object] { return known }
    var table: [String: PickleValue] = [:]
    for (key, value) in graph.attributes(.node(object)) ?? [] {
      if case .string(let name) = key { table[String(decoding: name, as: UTF8.self)] = value }
    }
    attributes[object] = table
    return table
  }

  /// The modules in a module, in order.
  func children(of object: Int) -> [(name: String, object: Int)] {
    (graph.attributes(.node(object)) ?? []).compactMap { pair in
      guard case .string(let name) = pair.key, let child = module(pair.value) else { return nil }
      return (String(decoding: name, as: UTF8.self), child)
    }
  }

  /// What an object is by its class.
  func kind(of object: Int) -> ModuleKind {
    TorchClasses.kind(TorchScriptCode.plainClass(className(object)))
  }

  /// Whether an object is a module of its own rather than a container or an author's parent.
  func isListed(_ object: Int, _ shape: (String) -> [Int]?, _ path: String) -> Bool {
    let name = TorchScriptCode.plainClass(className(object))
    if TorchClasses.isContainer(name) { return false }
    if name.hasPrefix("torch.nn.") { return true }
    let prefix = path.isEmpty ? "" : path + "."
    return children(of: object).isEmpty
      && table(of: object).keys.contains { shape(prefix + $0) != nil }
  }

  /// What the constants of a scripted recurrent class say.
  func recurrence(_ finals: [String: JSON]) -> TorchFlow.Recurrence? {
    guard let mode = finals["mode"]?.stringValue, let cell = TorchClasses.cells[mode],
      let layers = finals["num_layers"]?.intValue, (1...1024).contains(layers),
      let hasBias = finals["bias"]?.boolValue, let batchFirst = finals["batch_first"]?.boolValue,
      let isBidirectional = finals["bidirectional"]?.boolValue
    else { return nil }
    return TorchFlow.Recurrence(
      cell: cell, input: .unknown, initial: .none, parameters: [], hasBias: hasBias, layers: layers,
      dropout: finals["dropout"]?.doubleValue ?? 0, isTraining: false,
      isBidirectional: isBidirectional, batchFirst: batchFirst)
  }
}

/// PyTorch's classes by name.
enum TorchClasses {
  /// PyTorch's modes, and the cells that metadata calls them.
  static let cells = [
    "RNN_TANH": "rnn_tanh", "RNN_RELU": "rnn_relu", "LSTM": "lstm", "GRU": "gru",
  ]

  static func isContainer(_ name: String) -> Bool {
    name.hasPrefix("torch.nn.modules.container.")
  }

  static func kind(_ name: String) -> ModuleKind {
    switch name {
    case "torch.nn.modules.rnn.LSTM", "torch.nn.modules.rnn.GRU", "torch.nn.modules.rnn.RNN":
      .recurrent
    case "torch.nn.modules.rnn.LSTMCell", "torch.nn.modules.rnn.GRUCell",
      "torch.nn.modules.rnn.RNNCell":
      .cell
    case "torch.nn.modules.sparse.Embedding": .embedding
    case "torch.nn.modules.linear.Linear",
      "torch.nn.modules.linear.NonDynamicallyQuantizableLinear":
      .linear
    default: .other
    }
  }
}

extension TorchScriptRun {
  /// Adds the modules that the program did not come to.
  mutating func addUnused(_ root: Int) {
    var pending = [(object: root, path: "", depth: 0)]
    var work = 0
    while let (object, path, depth) = pending.popLast() {
      work += 1
      guard work <= 100_000, depth <= 128, flow.failure == nil else { return }
      let children = objects.children(of: object)
      if flow.places[path] == nil, objects.isListed(object, flow.shape, path) {
        let kind = objects.kind(of: object)
        let place = flow.module(path, kind, className: objects.shortName(object))
        if calledPaths.contains(path) {
          leaveUnclear(path)
        } else {
          flow.modules[place].remarks.append(.notCalled)
        }
        let body = code.body(of: objects.className(object))
        if kind == .recurrent, let facts = body.flatMap({ objects.recurrence($0.finals) }) {
          flow.describe(place, facts)
        }
      }
      for (name, child) in children.reversed() {
        pending.append((child, path.isEmpty ? name : "\(path).\(name)", depth + 1))
      }
    }
  }
}
