import Containers
import Tensors

/// Finds the state dict in what a PyTorch file holds, and reads it.
struct PyTorchStateReader {
  let graph: PickleGraph
  let code: TorchScriptCode?
  var tensors: PyTorchTensorReader
  // Found out once per dict: pickles share nodes, so asking again and again could take for ever.
  var withTensors: Set<Int> = []
  var optimizers: Set<Int> = []
  let modules: Set<Int>

  /// Where checkpoints keep their weights, the likeliest first.
  static let usualKeys = [
    "state_dict", "model_state_dict", "model", "net", "module", "weights", "params", "ema",
    "ema_model_state_dict",
  ]
  static let maximumDepth = 4

  init(
    graph: PickleGraph, storages: PyTorchStorages, code: TorchScriptCode?, expansionLimit: Int
  ) {
    self.graph = graph
    self.code = code
    modules = PyTorchModules.all(in: graph)
    tensors = PyTorchTensorReader(
      graph: graph, storages: storages, expansionLimit: expansionLimit)
    for (index, node) in graph.nodes.enumerated() {
      guard case .dict(let pairs) = node else { continue }
      if pairs.contains(where: { tensors.tensorCall($0.value) != nil }) {
        withTensors.insert(index)
      }
      let value = PickleValue.node(index)
      if graph.value("param_groups", in: value) != nil, graph.value("state", in: value) != nil {
        optimizers.insert(index)
      }
    }
  }

  mutating func read(key: String?) throws -> StateDict {
    guard graph.dict(graph.root) != nil || isModule(graph.root) else { throw wrongRoot() }
    var state = StateDict()
    switch try key.map({ .one(try follow($0)) }) ?? search(&state) {
    case .one(let chosen): try addAll(of: chosen, to: &state)
    case .several: try addSeveral(to: &state)
    }
    if state.count == 0, isOptimizer(graph.root) {
      state.skipped.insert("the file = the state of an optimizer alone, no weights", at: 0)
    } else if state.count == 0, graph.dict(graph.root)?.isEmpty ?? false {
      state.skipped.insert("the file = an empty dict", at: 0)
    }
    if tensors.storages.lacksChecksums {
      state.skipped.append("checksums: the writer left them out, damage cannot be noticed")
    }
    return state
  }

  func isModule(_ value: PickleValue) -> Bool {
    if case .node(let index) = value { modules.contains(index) } else { false }
  }

  private mutating func addAll(of chosen: PickleValue, to state: inout StateDict) throws {
    if isModule(chosen) {
      try addModule(chosen, to: &state)
    } else {
      for pair in graph.dict(chosen) ?? [] { try add(pair, to: &state) }
    }
  }

  // MARK: Reading

  /// Reads every dict of the top level, with its key in front of its names.
  private mutating func addSeveral(to state: inout StateDict) throws {
    // Dicts may be shared, so a small file could spell a huge one.
    let total = (graph.dict(graph.root) ?? []).reduce(0) {
      $0 + (graph.dict($1.value)?.count ?? 0)
    }
    guard total <= 2_000_000 else { throw severalDicts(hasTensors: holdsTensors(graph.root)) }
    var structures: [Structure]? = []
    for pair in graph.dict(graph.root) ?? [] {
      let isWeights = holdsTensors(pair.value) && !isOptimizer(pair.value)
      guard isWeights, case .string(let key) = pair.key else {
        try add(pair, to: &state)
        continue
      }
      var inner = StateDict()
      let known = views
      views = [:]
      try addAll(of: pair.value, to: &inner)
      views = known
      let prefix = String(decoding: key, as: UTF8.self) + "."
      for entry in inner.entries {
        do {
          try state.append(Name(prefix + entry.name.string), entry.tensor)
        } catch let error as RecurrentError where error.reason == .nameDuplicate {
          throw severalDicts(hasTensors: holdsTensors(graph.root))
        }
      }
      for (later, first) in inner.ties {
        state.ties[Name(prefix + later.string)] = Name(prefix + first.string)
      }
      state.skipped += inner.skipped.prefix(1000 - min(1000, state.skipped.count)).map {
        prefix + $0
      }
      if let structure = inner.structure {
        structures?.append(structure.prefixed(prefix))
      } else {
        structures = nil
      }
    }
    // Beside a plain dict, which states nothing, a list of modules would look complete.
    if let structures, !structures.isEmpty, !structures.contains(where: { $0.statesConnections }) {
      state.structure = Structure(modules: structures.flatMap(\.modules))
    }
  }

  private var views: [PyTorchTensorReader.View: Name] = [:]
  private var arrays: [Int: (Name, Tensor)] = [:]
  private var arrayBytes = 0

  mutating func add(
    _ pair: (key: PickleValue, value: PickleValue), to state: inout StateDict
  ) throws {
    guard let call = tensors.tensorCall(pair.value) else {
      if try addArray(pair, to: &state) { return }
      try checkSkippable(pair)
      return skip(pair, in: &state)
    }
    guard case .string(let bytes) = pair.key else { return skip(pair, in: &state) }
    guard let name = Name(validating: bytes) else {
      throw RecurrentError(
        .ptName, at: "tensor \"\(String(decoding: bytes, as: UTF8.self))\"",
        found: "a name that is not UTF-8", expected: "UTF-8")
    }
    do {
      let (tensor, view) = try tensors.tensor(call)
      try state.append(name, tensor)
      guard tensor.byteCount > 0 else { return }
      if let first = views[view] {
        state.ties[name] = first
      } else {
        views[view] = name
      }
    } catch let error as RecurrentError {
      throw error.reason == .nameDuplicate ? error : error.within("tensor \"\(name)\"")
    }
  }

  /// Adds a NumPy array, decoded once however often it is named.
  private mutating func addArray(
    _ pair: (key: PickleValue, value: PickleValue), to state: inout StateDict
  ) throws -> Bool {
    guard case .node(let index) = pair.value, case .string(let key) = pair.key,
      let name = Name(validating: key)
    else { return false }
    if let (first, tensor) = arrays[index] {
      try state.append(name, tensor)
      state.ties[name] = first
      return true
    }
    guard let tensor = try graph.numPyArray(pair.value) else { return false }
    // Many arrays may share the bytes of one string.
    arrayBytes += tensor.byteCount
    guard arrayBytes <= 4 * graph.program.count else {
      throw RecurrentError(
        .ptExpansion, at: "tensor \"\(name)\"",
        found: "arrays that repeat their bytes",
        expected: "at most \(4 * graph.program.count) bytes")
    }
    try state.append(name, tensor)
    arrays[index] = (name, tensor)
    return true
  }

  private func wrongRoot() -> RecurrentError {
    let what = tensors.tensorCall(graph.root) == nil ? graph.summary(graph.root) : "a tensor alone"
    return RecurrentError(
      .ptRoot, found: what, expected: "a dict of names to tensors",
      hint: "In Python: torch.save(model.state_dict(), \"out.pt\").")
  }
}

extension Structure {
  /// The modules under a longer name; of a file that states no connections.
  fileprivate func prefixed(_ prefix: String) -> Structure {
    var copy = self
    for index in copy.modules.indices {
      let name = copy.modules[index].name
      copy.modules[index].name = name.isEmpty ? String(prefix.dropLast()) : prefix + name
    }
    return copy
  }
}
