// Whole models, and values that are neither tensors nor modules.
import Containers
import Tensors

extension PyTorchStateReader {
  mutating func addModule(_ module: PickleValue, to state: inout StateDict) throws {
    var walk = PyTorchModules(graph, modules: modules, code: code) { [tensors] in
      tensors.tensorCall($0) != nil
    }
    try walk.walk(module)
    for entry in walk.entries { try add((.string(entry.name), entry.value), to: &state) }
    state.structure = structure(of: module, walk, state)
    guard state.count > 0 || code == nil else {
      throw RecurrentError(
        .ptTorchScriptUnsupported, found: "a program without parameters",
        expected: "parameters in its modules",
        hint: "A frozen program has its weights inside the code; save it without torch.jit.freeze.")
    }
  }

  /// What a module states: a program its connections, a pickled one its modules only.
  func structure(of module: PickleValue, _ walk: PyTorchModules, _ state: StateDict)
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
  func checkSkippable(_ pair: (key: PickleValue, value: PickleValue)) throws {
    let quantised: Advice =
      "Quantised weights cannot be read; save the state dict of the model from before quantisation."
    if case .string(let key) = pair.key, key.ends(with: "._packed_params".utf8) {
      throw RecurrentError(
        .ptObject, at: graph.summary(pair.key), found: "packed, quantised weights",
        expected: "a tensor", hint: quantised)
    }
    guard let name = graph.call(pair.value)?.name else { return }
    let module = name.prefix { $0 != " " && $0 != "." }
    guard module == "torch" || module == "numpy", name.hasSuffix(" scalar") == false,
      !["torch Size", "torch device"].contains(name), !name.hasPrefix("torch.optim."),
      !isModule(pair.value)
    else { return }
    throw RecurrentError(
      module == "numpy" ? .ptNumPy : .ptObject, at: graph.summary(pair.key),
      found: "an object of \(name)", expected: "a tensor",
      hint: name == "torch ScriptObject"
        ? quantised : "In Python, turn it into a tensor and save the state dict again.")
  }

  func skip(
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
}

extension [UInt8] {
  fileprivate func ends(with suffix: String.UTF8View) -> Bool {
    self.suffix(suffix.count).elementsEqual(suffix)
  }
}
