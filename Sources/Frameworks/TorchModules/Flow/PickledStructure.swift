import Containers
import Tensors

/// What a whole pickled module states: its modules in the order in which they were registered, their
/// classes and sizes, but not how they are connected, which its class alone knows.
enum PickledStructure {
  static func structure(
    _ graph: PickleGraph, _ visited: [(name: String, value: PickleValue, holdsTensors: Bool)],
    _ state: StateDict
  ) -> Structure {
    var structure = Structure(statesConnections: false)
    for (name, value, holdsTensors) in visited {
      let global = graph.call(value)?.name ?? ""
      let className = global.split(separator: " ").joined(separator: ".")
      if TorchClasses.isContainer(className) {
        // A container with tensors of its own (a ParameterList) is more than its modules.
        guard holdsTensors else { continue }
      } else if !className.hasPrefix("torch.nn."), !holdsTensors, hasChildren(value, graph) {
        continue
      }
      let kind = TorchClasses.kind(className)
      var module = Structure.Module(
        name: name, kind: kind,
        // The whole path of an author's class says that it is not PyTorch's.
        className: className.hasPrefix("torch.nn.")
          ? String(className.split(separator: ".").last ?? "") : className)
      func shape(_ key: String) -> [Int]? {
        state[Name(name.isEmpty ? key : "\(name).\(key)")]?.shape
      }
      switch kind {
      case .recurrent: module.recurrent = recurrent(value, graph)
      case .cell: module.recurrent = cell(value, graph, module.className)
      case .embedding:
        if case .int(let index)? = graph.attribute("padding_idx", of: value) {
          module.paddingIndex = index
        }
        if let limit = graph.attribute("max_norm", of: value), !isNone(limit) {
          module.refusal = RecurrentError(
            .ptMaxNorm, at: "module \"\(name)\"",
            found: "an embedding whose vectors are shortened when they are read (max_norm)",
            expected: "max_norm=None",
            hint:
              "In Python, scale the rows of its weight once, set max_norm to None and save again.")
        }
      case .other where graph.attribute("mode", of: value) != nil:
        module.recurrent = recurrent(value, graph)
      case .linear, .other: break
      }
      structure.modules.append(module)
    }
    return structure
  }

  private static func isNone(_ value: PickleValue) -> Bool {
    if case .none = value { true } else { false }
  }

  private static func hasChildren(_ value: PickleValue, _ graph: PickleGraph) -> Bool {
    guard let modules = graph.attribute("_modules", of: value) else { return false }
    return !(graph.dict(modules) ?? []).isEmpty
  }

  private static func recurrent(_ value: PickleValue, _ graph: PickleGraph) -> Structure.Recurrent {
    var facts = Structure.Recurrent()
    if let mode = text("mode", value, graph) { facts.cell = TorchClasses.cells[mode] }
    facts.inputSize = int("input_size", value, graph)
    facts.hiddenSize = int("hidden_size", value, graph)
    facts.layerCount = int("num_layers", value, graph)
    if let size = int("proj_size", value, graph), size > 0 { facts.projSize = size }
    facts.hasBias = bool("bias", value, graph)
    facts.batchFirst = bool("batch_first", value, graph)
    facts.direction = bool("bidirectional", value, graph).map { $0 ? "both" : "forward" }
    switch graph.attribute("dropout", of: value) {
    case .float(let number)? where number.isFinite: facts.dropout = number
    case .int(let number)?: facts.dropout = Double(number)
    default: break
    }
    return facts
  }

  private static func cell(_ value: PickleValue, _ graph: PickleGraph, _ className: String)
    -> Structure.Recurrent
  {
    var facts = Structure.Recurrent()
    facts.cell = ["LSTMCell": "lstm", "GRUCell": "gru"][className]
    if className == "RNNCell" {
      facts.cell =
        ["tanh": "rnn_tanh", "relu": "rnn_relu"][
          text("nonlinearity", value, graph) ?? ""]
    }
    facts.inputSize = int("input_size", value, graph)
    facts.hiddenSize = int("hidden_size", value, graph)
    facts.hasBias = bool("bias", value, graph)
    return facts
  }

  private static func int(_ key: String, _ value: PickleValue, _ graph: PickleGraph) -> Int? {
    if case .int(let number)? = graph.attribute(key, of: value), number >= 0 { number } else { nil }
  }

  private static func bool(_ key: String, _ value: PickleValue, _ graph: PickleGraph) -> Bool? {
    if case .bool(let flag)? = graph.attribute(key, of: value) { flag } else { nil }
  }

  private static func text(_ key: String, _ value: PickleValue, _ graph: PickleGraph) -> String? {
    guard case .string(let bytes)? = graph.attribute(key, of: value) else { return nil }
    return String(decoding: bytes.prefix(64), as: UTF8.self)
  }
}
