import Containers
import Tensors

/// Finds the state dict in what a PyTorch file holds, and reads it.
struct PyTorchStateReader {
  private let graph: PickleGraph
  private let code: TorchScriptCode?
  private var tensors: PyTorchTensorReader
  // Found out once per dict: pickles share nodes, so asking again and again could take for ever.
  private var withTensors: Set<Int> = []
  private var optimizers: Set<Int> = []
  private let modules: Set<Int>

  /// Where checkpoints keep their weights, the likeliest first.
  private static let usualKeys = [
    "state_dict", "model_state_dict", "model", "net", "module", "weights", "params", "ema",
    "ema_model_state_dict",
  ]
  private static let maximumDepth = 4

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

  private func isModule(_ value: PickleValue) -> Bool {
    if case .node(let index) = value { modules.contains(index) } else { false }
  }

  private mutating func addAll(of chosen: PickleValue, to state: inout StateDict) throws {
    if isModule(chosen) {
      try addModule(chosen, to: &state)
    } else {
      for pair in graph.dict(chosen) ?? [] { try add(pair, to: &state) }
    }
  }

  // MARK: Choosing

  private enum Choice {
    case one(PickleValue)
    /// Every dict of the top level that holds tensors, each under its key.
    case several
  }

  private func follow(_ key: String) throws -> PickleValue {
    var value = graph.root
    if key.isEmpty { return value }
    if let whole = graph.value(key, in: value), holdsNames(whole) { return whole }
    for part in key.split(separator: ".", omittingEmptySubsequences: false) {
      guard let next = graph.value(String(part), in: value), holdsNames(next) else {
        throw RecurrentError(
          .malformed, "pt.key", at: "key \"\(key)\"", found: "no such dict in the file",
          expected: candidates().isEmpty
            ? "no key" : "one of " + candidates().joined(separator: ", "))
      }
      value = next
    }
    return value
  }

  private func holdsNames(_ value: PickleValue) -> Bool {
    graph.dict(value) != nil || isModule(value)
  }

  /// The usual keys first, then the top level, then the dicts of the top level.
  private func search(_ state: inout StateDict) throws -> Choice {
    var value = graph.root
    levels: for _ in 0..<Self.maximumDepth {
      for key in Self.usualKeys {
        guard let next = graph.value(key, in: value), holdsWeights(next) else {
          continue
        }
        for pair in graph.dict(value) ?? [] {
          if case .string(let bytes) = pair.key, bytes.elementsEqual(key.utf8) { continue }
          skip(pair, in: &state)
        }
        value = next
        continue levels
      }
      break
    }
    let pairs = graph.dict(value) ?? []
    if !isRoot(value) || isOptimizer(value) || candidates().isEmpty { return .one(value) }
    // Weights further down have no name of their own that would keep them apart.
    let hidden = pairs.contains {
      !holdsTensors($0.value) && tensors.tensorCall($0.value) == nil && holdsWeights($0.value)
    }
    guard !hidden, pairs.count <= 1000 else { throw severalDicts(hasTensors: holdsTensors(value)) }
    let held = pairs.filter { holdsTensors($0.value) && !isOptimizer($0.value) }
    guard held.count == 1, !holdsTensors(value), let only = held.first else { return .several }
    for pair in pairs where !isSame(pair.value, only.value) { skip(pair, in: &state) }
    return .one(only.value)
  }

  private func isSame(_ a: PickleValue, _ b: PickleValue) -> Bool {
    if case .node(let a) = a, case .node(let b) = b { a == b } else { false }
  }

  private func severalDicts(hasTensors: Bool) -> RecurrentError {
    RecurrentError(
      .malformed, "pt.key",
      found: hasTensors ? "tensors at the top level and in dicts" : "several dicts of tensors",
      expected: "one state dict",
      hint:
        "\(.key) chooses one of \(candidates().joined(separator: ", "))\(hasTensors ? ", or \"\" for the top level." : ".")"
    )
  }

  private func isRoot(_ value: PickleValue) -> Bool {
    if case .node(let a) = value, case .node(let b) = graph.root { a == b } else { false }
  }

  /// The keys of the top level under which tensors lie; never an optimizer.
  private func candidates() -> [String] {
    (graph.dict(graph.root) ?? []).prefix(1000).compactMap { pair in
      guard case .string(let key) = pair.key, holdsTensors(pair.value), !isOptimizer(pair.value)
      else { return nil }
      return "\"" + String(decoding: key, as: UTF8.self) + "\""
    }
  }

  private func holdsTensors(_ value: PickleValue) -> Bool {
    if case .node(let index) = value {
      withTensors.contains(index) || isModule(value)
    } else {
      false
    }
  }

  private func isOptimizer(_ value: PickleValue) -> Bool {
    if case .node(let index) = value { optimizers.contains(index) } else { false }
  }

  /// Whether tensors lie here or under the usual keys further down.
  private func holdsWeights(_ value: PickleValue) -> Bool {
    var pending = [value]
    var seen: Set<Int> = []
    while let next = pending.popLast() {
      guard case .node(let index) = next, seen.insert(index).inserted, !isOptimizer(next) else {
        continue
      }
      if holdsTensors(next) { return true }
      for pair in graph.dict(next) ?? [] {
        if case .string(let key) = pair.key, key.count < 32,
          Self.usualKeys.contains(String(decoding: key, as: UTF8.self))
        {
          pending.append(pair.value)
        }
      }
    }
    return false
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
        } catch let error as RecurrentError where error.reason == "name.duplicate" {
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

  private mutating func add(
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
        .malformed, "pt.name", at: "tensor \"\(String(decoding: bytes, as: UTF8.self))\"",
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
      throw error.reason == "name.duplicate" ? error : error.within("tensor \"\(name)\"")
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
        .malformed, "pt.expansion", at: "tensor \"\(name)\"",
        found: "arrays that repeat their bytes",
        expected: "at most \(4 * graph.program.count) bytes")
    }
    try state.append(name, tensor)
    arrays[index] = (name, tensor)
    return true
  }

  private mutating func addModule(_ module: PickleValue, to state: inout StateDict) throws {
    var walk = PyTorchModules(graph, modules: modules, code: code) { [tensors] in
      tensors.tensorCall($0) != nil
    }
    try walk.walk(module)
    for entry in walk.entries { try add((.string(entry.name), entry.value), to: &state) }
    state.structure = structure(of: module, walk, state)
    guard state.count > 0 || code == nil else {
      throw RecurrentError(
        .unsupported, "pt.torchscript", found: "a program without parameters",
        expected: "parameters in its modules",
        hint: "A frozen program has its weights inside the code; save it without torch.jit.freeze.")
    }
  }

  /// What a module states: a program its connections, a pickled one its modules only.
  private func structure(of module: PickleValue, _ walk: PyTorchModules, _ state: StateDict)
    -> Structure?
  {
    guard case .node(let root) = module else { return nil }
    guard graph.call(module)?.name.hasPrefix("__torch__") ?? false else {
      return PickledStructure.structure(graph, walk.visited, state)
    }
    guard let code else { return nil }
    let objects = TorchScriptObjects(graph) { [tensors] in tensors.tensorCall($0) != nil }
    return TorchScriptRun.structure(of: root, objects: objects, code: code, state: state)
  }

  /// Refuses values that are weights in a form that is not read; leaving them out would be a loss.
  private func checkSkippable(_ pair: (key: PickleValue, value: PickleValue)) throws {
    let quantised: Advice =
      "Quantised weights cannot be read; save the state dict of the model from before quantisation."
    if case .string(let key) = pair.key, key.ends(with: "._packed_params".utf8) {
      throw RecurrentError(
        .unsupported, "pt.object", at: graph.summary(pair.key), found: "packed, quantised weights",
        expected: "a tensor", hint: quantised)
    }
    guard let name = graph.call(pair.value)?.name else { return }
    let module = name.prefix { $0 != " " && $0 != "." }
    guard module == "torch" || module == "numpy", name.hasSuffix(" scalar") == false,
      !["torch Size", "torch device"].contains(name), !name.hasPrefix("torch.optim."),
      !isModule(pair.value)
    else { return }
    throw RecurrentError(
      .unsupported, module == "numpy" ? "pt.numpy" : "pt.object", at: graph.summary(pair.key),
      found: "an object of \(name)", expected: "a tensor",
      hint: name == "torch ScriptObject"
        ? quantised : "In Python, turn it into a tensor and save the state dict again.")
  }

  private func skip(
    _ pair: (key: PickleValue, value: PickleValue), in state: inout StateDict
  ) {
    guard state.skipped.count < 1000 else { return }
    let key: String
    if case .string(let bytes) = pair.key {
      key = String(decoding: bytes.prefix(256), as: UTF8.self)
    } else {
      key = graph.summary(pair.key)
    }
    var text = graph.summary(pair.value)
    if tensors.tensorCall(pair.value) != nil {
      text = "a tensor"
    } else if isModule(pair.value) {
      text = "a model, which is read as the module \"\(key)\""
    } else if isOptimizer(pair.value) {
      text = "the state of an optimizer"
    } else if holdsTensors(pair.value) {
      text += " with tensors, which are read as the module \"\(key)\""
    }
    state.skipped.append("\(key) = \(text)")
  }

  private func wrongRoot() -> RecurrentError {
    let what = tensors.tensorCall(graph.root) == nil ? graph.summary(graph.root) : "a tensor alone"
    return RecurrentError(
      .unsupported, "pt.root", found: what, expected: "a dict of names to tensors",
      hint: "In Python: torch.save(model.state_dict(), \"out.pt\").")
  }
}

extension [UInt8] {
  fileprivate func ends(with suffix: String.UTF8View) -> Bool {
    self.suffix(suffix.count).elementsEqual(suffix)
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
