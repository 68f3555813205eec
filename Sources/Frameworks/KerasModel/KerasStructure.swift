// What a configuration states, as a `Structure`: consecutive recurrent layers are one module, connections
// go only where a layer reads another one and nothing stands between, everything else is an obstacle.

import Containers
import Tensors

/// What a Keras file states.
enum KerasStructure {
  /// A state read from a file of Keras 3, with what its configuration states.
  ///
  /// Weights alone may have one too: files that Recurrent wrote keep it as an attribute.
  static func stated(in state: StateDict) throws -> StateDict {
    var result = state
    let config = state.metadata[KerasMetadata.config]
    result.structure = of(
      state, config: config, graph: try config.flatMap { try KerasGraph($0) },
      version: KerasVersion(text: state.metadata[KerasMetadata.version]), notes: [], cuDNN: [])
    return result
  }

  /// The structure of a file's tensors under its configuration, or by names where it has none.
  static func of(
    _ state: StateDict, config: String?, graph: KerasGraph?, version: KerasVersion, notes: [Remark],
    cuDNN: Set<String>
  ) -> Structure {
    var result = Structure(remarks: notes, original: config)
    if let graph {
      let builder = KerasStructureBuilder(graph, state: state, version: version)
      let flow = KerasConnections(builder)
      result.statesConnections = true
      result.modules = builder.modules
      result.connections = flow.connections
      result.obstacles = flow.obstacles
      result.remarks += flow.remarks
    } else {
      var named = KerasNamedModules(
        state, names: KerasMetadata.names(state.metadata), version: version, cuDNN: cuDNN)
      result.modules = named.modules()
      if config != nil {
        result.remarks.append(.authorsModel)
      }
    }
    return result
  }
}

/// Builds the structure of a model with a configuration.
struct KerasStructureBuilder {
  let flow: KerasFlow
  let reader: KerasRecurrentReader
  private(set) var modules: [Structure.Module] = []
  /// For each layer, the module that it is or belongs to.
  private(set) var owners: [Int?]
  /// For each module that the engine knows, its first and its last layer.
  private(set) var ends: [(module: Int, first: Int, last: Int)] = []
  private var taken: Set<String> = []

  init(_ graph: KerasGraph, state: StateDict, version: KerasVersion) {
    reader = KerasRecurrentReader(state: state, version: version)
    flow = KerasFlow(graph, reader: reader)
    owners = Array(repeating: nil, count: graph.layers.count)
    let stacks = Self.stacks(flow)
    for (index, role) in flow.roles.enumerated() where owners[index] == nil {
      add(index, role, stacks)
    }
  }

  private var layers: [KerasGraph.Layer] { flow.graph.layers }

  // MARK: Stacks

  /// The layers of each stack by its first layer.
  private static func stacks(_ flow: KerasFlow) -> [Int: [Int]] {
    let layers = flow.graph.layers
    var above: [Int: Int] = [:]
    var hasBelow: Set<Int> = []
    for (index, role) in flow.roles.enumerated() {
      guard let own = role.recurrent, isPlain(layers[index]), let call = layers[index].call,
        case .output(let below, 0) = flow.source(call.inputs[0]), below != index,
        let lower = flow.roles[below].recurrent, isPlain(layers[below]),
        flow.consumers[below].count == 1, flow.returned[below].isEmpty, lower.continues(with: own)
      else { continue }
      above[below] = index
      hasBelow.insert(index)
    }
    var result: [Int: [Int]] = [:]
    for (index, role) in flow.roles.enumerated()
    where role.recurrent != nil && !hasBelow.contains(index) {
      var stack = [index]
      while let last = stack.last, let next = above[last] { stack.append(next) }
      result[index] = stack
    }
    return result
  }

  /// Whether a recurrent layer reads one sequence, starts from zeros, and is used once.
  private static func isPlain(_ layer: KerasGraph.Layer) -> Bool {
    guard let call = layer.call, layer.uses == 1, !layer.isDistributed else { return false }
    return call.inputs.count == 1 && call.keywords.isEmpty && !call.isTraining
  }

  // MARK: Modules

  private mutating func add(_ index: Int, _ role: KerasRole, _ stacks: [Int: [Int]]) {
    let layer = layers[index]
    var module = Structure.Module(
      name: layer.name, kind: .other, className: layer.className, prefixes: [[layer.path + "/"]])
    var members = [index]
    switch role {
    case .input, .transparent: return
    case .linear:
      module.kind = .linear
      module.prefixes = [[layer.path + "/vars/#"]]
      if let function = flow.functions[index], function.isKnown, function.name != "linear" {
        module.activation = function.activation(reader.version)
      }
      module.outputSize = layer.config["units"]?.intValue ?? layer.config["output_dim"]?.intValue
      module.recurrent.hasBias = layer.config["use_bias"]?.boolValue ?? true
      module.refusal = refusal(layer, "kernel")
    case .embedding:
      module.kind = .embedding
      module.prefixes = [[layer.path + "/vars/#"]]
      module.outputSize = layer.config["output_dim"]?.intValue
      module.refusal = refusal(layer, "table")
    case .recurrent:
      members = stacks[index] ?? [index]
      fill(&module, members)
    case .cells, .function, .other: break
    }
    if role.isModule, let policy = KerasValues.mixedPolicy(layer.config) {
      module.remarks.append(.mixedPrecision(policy: policy, layer: layer.name))
    }
    module.name = unique(module.name, layer.path)
    for member in members { owners[member] = modules.count }
    if role.isModule, let last = members.last { ends.append((modules.count, index, last)) }
    modules.append(module)
    if case .cells = role { addCells(of: layer, named: module.name) }
  }

  private func fill(_ module: inout Structure.Module, _ members: [Int]) {
    let parts = members.compactMap { flow.roles[$0].recurrent }
    guard let first = parts.first else { return }
    module.kind = .recurrent
    let wrapped = layers[members[0]].config["layer"]?["class_name"]?.stringValue
    module.className = first.isBidirectional ? wrapped ?? module.className : module.className
    module.prefixes = parts.flatMap(\.prefixes)
    module.recurrent = first.recurrent
    module.recurrent.layerCount = parts.reduce(0) { $0 + ($1.recurrent.layerCount ?? 1) }
    module.refusal = parts.lazy.compactMap(\.refusal).first
    if members.count > 1 { module.layerNames = members.map { layers[$0].name } }
    for remark in parts.flatMap(\.remarks) where !module.remarks.contains(remark) {
      module.remarks.append(remark)
    }
    fillDropout(&module, members)
    fillInitialState(&module, layers[members[0]])
    let missing = module.prefixes.joined().lazy.map { KerasNames.variable($0, 0) }
      .first { reader.state[$0] == nil }
    if let missing, module.refusal == nil {
      module.refusal = RecurrentError(
        .weightsMissing, at: "tensor \"\(missing)\"", found: "no such tensor",
        expected: "the kernel of a layer that the model has")
    }
  }

  /// Dropout between the layers, where it is what PyTorch has there: the same behind every layer.
  private func fillDropout(_ module: inout Structure.Module, _ members: [Int]) {
    let rates = members.dropFirst().map { member -> Double? in
      let call = layers[member].call
      let between = call.map { flow.transparentLayers(from: $0.inputs[0]) } ?? []
      let rates = between.map { layer -> Double? in
        if case .transparent(let rate) = flow.roles[layer] { return rate }
        return nil
      }
      let acting = rates.filter { $0 != 0 }
      return acting.isEmpty ? 0 : acting.count == 1 ? acting[0] : nil
    }
    guard let first = rates.first else { return }
    if let first, rates.allSatisfy({ $0 == first }), (0...1).contains(first) {
      module.recurrent.dropout = first == 0 ? nil : first
    } else {
      module.remarks.append(.unequalNoise)
    }
  }

  private func fillInitialState(_ module: inout Structure.Module, _ layer: KerasGraph.Layer) {
    guard let call = layer.call else { return }
    let states =
      Array(call.inputs.dropFirst())
      + call.keywords.filter { $0.key == "initial_state" }.flatMap(\.values)
    guard !states.isEmpty else {
      module.recurrent.initialState = module.recurrent.initialState ?? .zeros
      return
    }
    var words: [String] = []
    var fed: [String] = []
    for state in states {
      switch flow.source(state) {
      case .input(let name): fed.append(name)
      case .unknown(let text): words.append(text)
      case .output(let below, let index):
        let text =
          index > 0 && flow.roles[below].recurrent != nil
          ? "the final states of \(layers[below].name)" : describe(below)
        if !words.contains(text) { words.append(text) }
      }
    }
    let order = fed.map { flow.graph.inputNames.firstIndex(of: $0) ?? -1 }
    if words.isEmpty, zip(order, order.dropFirst()).contains(where: { $0 >= $1 }) {
      words = ["the model's inputs, used in the order \(fed.joined(separator: ", ")),"]
    }
    module.recurrent.initialState = words.isEmpty ? .fed : .computed(words.joined(separator: ", "))
  }

  /// Cells of one `RNN` layer that differ: each is a cell of its own.
  private mutating func addCells(of layer: KerasGraph.Layer, named name: String) {
    for cell in reader.cells(of: layer.config, path: layer.path) {
      var module = Structure.Module(
        name: unique("\(name).\(cell.name)", cell.prefix), kind: .other, className: cell.className)
      if let kind = cell.kind {
        let says = reader.cell(kind, cell.config, prefix: cell.prefix, at: module.name)
        module.kind = .cell
        module.prefixes = says.prefixes
        module.recurrent = says.recurrent
        module.refusal = says.refusal
        module.remarks = says.remarks
      } else {
        module.prefixes = [[String(cell.prefix.dropLast("vars/#".count))]]
      }
      modules.append(module)
    }
  }

  private func refusal(_ layer: KerasGraph.Layer, _ what: String) -> RecurrentError? {
    if let odd = KerasValues.refusal(layer.config, of: layer.name) { return odd }
    let name = KerasNames.variable(layer.path + "/vars/#", 0)
    guard let tensor = reader.state[name],
      !tensor.dtype.isFloatingPoint || KerasValues.isQuantised(layer.config)
    else { return nil }
    return RecurrentError(
      .kerasQuantised, at: "layer \"\(layer.name)\"",
      found: "a \(what) of \(tensor.dtype)", expected: "floating-point numbers",
      hint: "Save the model from before it was quantised.")
  }

  /// A name that no module has yet.
  private mutating func unique(_ name: String, _ path: String) -> String {
    if taken.insert(name).inserted { return name }
    taken.insert(path)
    return path
  }

  /// A layer in words: `LayerNormalization "norm"`.
  func describe(_ index: Int) -> String {
    let layer = layers[index]
    let wrapper = layer.isDistributed ? "TimeDistributed " : ""
    return "\(wrapper)\(layer.className) \"\(layer.name)\""
  }
}
