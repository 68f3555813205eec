import Containers
import Tensors

extension TorchScriptRun {
  /// One step of an expression.
  mutating func perform(_ step: TorchScriptStatement.Step) {
    let last = frames.count - 1
    switch step {
    case .value(let value): push(value)
    case .name(let name): push(frames[last].variables[name] ?? .function(name))
    case .list(let count): push(.list(pop(count)))
    case .attribute(let name):
      let base = pop(1)[0]
      push(attribute(name, of: base))
    case .element:
      let parts = pop(2)
      if let items = parts[0].list, let index = parts[1].int,
        items.indices.contains(index < 0 ? index + items.count : index)
      {
        push(items[index < 0 ? index + items.count : index])
      } else {
        push(flow.derived("[]", from: parts))
      }
    case .call(let count, let names):
      let values = pop(count)
      let callee = pop(1)[0]
      var arguments: [TorchValue] = []
      var named: [String: TorchValue] = [:]
      for (value, name) in zip(values, names) {
        if let name { named[name] = value } else { arguments.append(value) }
      }
      call(callee, arguments, named)
    }
  }

  private mutating func push(_ value: TorchValue) { frames[frames.count - 1].stack.append(value) }

  private mutating func pop(_ count: Int) -> [TorchValue] {
    let last = frames.count - 1
    let found = Array(frames[last].stack.suffix(count))
    frames[last].stack.removeLast(found.count)
    // An expression never takes more than it has put there; if it did, nothing is known.
    return found + (found.count..<count).map { _ in .unknown }
  }

  // MARK: Attributes

  private mutating func attribute(_ name: String, of base: TorchValue) -> TorchValue {
    switch base {
    case .function("CONSTANTS"): return flow.add(TorchTensor(origin: .constant))
    case .function(let function): return .function("\(function).\(name)")
    case .object(let object, let path): return member(name, object, path)
    case .tensor, .list: return flow.derived("." + name, from: [base])
    default: return .unknown
    }
  }

  private mutating func member(_ name: String, _ object: Int, _ path: String) -> TorchValue {
    if name == "training" { return .training }
    let inner = path.isEmpty ? name : "\(path).\(name)"
    guard let value = objects.attribute(name, of: object) else {
      return .method(object, path: path, name: name)
    }
    if let child = objects.module(value) { return .object(child, path: inner) }
    let isChanged = code.changedAttributes.contains(name)
    if objects.isTensor(value) {
      guard isChanged else { return flow.stored(inner) }
      var tensor = TorchTensor(origin: .derived)
      tensor.trails = [
        TorchTensor.Trail(module: nil, operations: ["\(inner), which is kept from call to call"])
      ]
      return flow.add(tensor)
    }
    if isChanged { return .unknown }
    switch value {
    case .none: return .none
    case .bool(let flag): return .bool(flag)
    case .int(let number): return .int(number)
    case .float(let number): return .float(number)
    default: return .unknown
    }
  }

  // MARK: Calls

  private mutating func call(
    _ callee: TorchValue, _ arguments: [TorchValue], _ named: [String: TorchValue]
  ) {
    switch callee {
    case .function(let name): callFunction(name, arguments, named)
    case .method(let object, let path, let name):
      callMethod(object, path, name, arguments, named)
    default: push(flow.derived("a call", from: [callee] + arguments))
    }
  }

  private mutating func callFunction(
    _ name: String, _ arguments: [TorchValue], _ named: [String: TorchValue]
  ) {
    switch name {
    case "annotate", "unchecked_cast":
      return push(arguments.count == 2 ? arguments[1] : .unknown)
    case "getattr":
      if case .object(let object, let path)? = arguments.first, arguments.count == 2,
        case .text(let attribute) = arguments[1]
      {
        return push(member(attribute, object, path))
      }
      return push(.unknown)
    case "int", "float", "bool", "str", "uninitialized":
      if case .int(let number)? = arguments.first { return push(.int(number)) }
      return push(.unknown)
    default: break
    }
    if name.hasPrefix("__torch__.") { return callCode(name, arguments, named) }
    let operation: Substring
    if name.hasPrefix("ops.prim.") {
      operation = name.dropFirst("ops.".count)
    } else {
      operation =
        name[(name.lastIndex(of: ".").map { name.index(after: $0) } ?? name.startIndex)...]
    }
    push(flow.apply(TorchCall(operation: String(operation), arguments: arguments, named: named)))
  }

  private mutating func callCode(
    _ name: String, _ arguments: [TorchValue], _ named: [String: TorchValue]
  ) {
    let functional = "__torch__.torch.nn.functional."
    if name.hasPrefix(functional), named.isEmpty {
      return push(
        self.functional(String(name.dropFirst(functional.count)), arguments.map { flow.veiled($0) })
      )
    }
    let packing = "__torch__.torch.nn.utils.rnn."
    if name.hasPrefix(packing), named.isEmpty,
      let value = packed(String(name.dropFirst(packing.count)), arguments.map { flow.veiled($0) })
    {
      return push(value)
    }
    if let method = function(name) { return enter(method, arguments, named: named, site: nil) }
    let all = arguments + named.sorted { $0.key < $1.key }.map(\.value)
    for case .object(_, let path) in all { leaveUnclear(path) }
    push(flow.derived(name.replacingMangles, from: all))
  }

  /// A function of torch.nn.functional, by what PyTorch documents.
  private mutating func functional(_ name: String, _ all: [TorchValue]) -> TorchValue {
    func isFalse(_ index: Int) -> Bool { !all.indices.contains(index) || all[index].bool == false }
    func isNone(_ index: Int) -> Bool { !all.indices.contains(index) || all[index].isNone }
    switch name {
    case "dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout":
      if all.count >= 3 {
        switch all[2] {
        case .training, .bool(false): return all[0]
        default: break
        }
      }
    case "relu", "tanh", "sigmoid":
      guard !all.isEmpty else { break }
      return flow.apply(
        TorchCall(operation: isFalse(1) ? name : name + "_", arguments: [all[0]]))
    case "softmax", "log_softmax":
      guard all.count >= 2, isNone(3) else { break }
      return flow.apply(TorchCall(operation: name, arguments: [all[0], all[1]]))
    case "embedding":
      guard all.count >= 2, isNone(3) else { break }
      return flow.apply(
        TorchCall(
          operation: name, arguments: [all[1], all[0]] + (all.count > 2 ? [all[2]] : [])))
    case "linear":
      return flow.apply(TorchCall(operation: name, arguments: all))
    default: break
    }
    if name.hasSuffix("_"), let index = all.first?.tensor { flow.change(index, by: name) }
    return flow.derived(name, from: all)
  }

  /// `pack_padded_sequence` and `pad_packed_sequence`.
  private mutating func packed(_ name: String, _ all: [TorchValue]) -> TorchValue? {
    switch name {
    case "pack_padded_sequence":
      guard all.count >= 2, let rows = all[0].tensor, let lengths = all[1].tensor,
        flow.isLengths(lengths)
      else { return nil }
      let batchFirst = all.count > 2 ? all[2].bool : false
      let data = flow.derived(name, from: [.tensor(rows)])
      guard let batchFirst, let index = data.tensor else { return nil }
      flow.tensors[index].packed = batchFirst
      flow.packs[index] = .list([.unknown, .tensor(rows)])
      return data
    case "pad_packed_sequence":
      guard let data = all.first?.tensor else { return nil }
      let batchFirst = all.count > 1 ? all[1].bool : false
      let padding = all.count > 2 ? all[2].number : 0
      guard let batchFirst, padding == 0 else { return nil }
      return flow.unpacked(data, batchFirst: batchFirst).map { .list([$0, .unknown]) }
    default: return nil
    }
  }

  private mutating func callMethod(
    _ object: Int, _ path: String, _ name: String, _ arguments: [TorchValue],
    _ named: [String: TorchValue]
  ) {
    let className = TorchScriptCode.plainClass(objects.className(object))
    calledPaths.insert(path)
    if name.hasPrefix("forward"), named.isEmpty,
      let value = ownClass(className, object, path, arguments.map { flow.veiled($0) })
    {
      return push(value)
    }
    guard let method = method(name, of: object) else {
      leaveUnclear(path)
      return push(flow.derived("a call of \(path).\(name)", from: arguments))
    }
    var site: TorchFlow.Site?
    if className.hasPrefix("torch.nn.modules."), !className.hasPrefix("torch.nn.modules.container.")
    {
      site = TorchFlow.Site(className: objects.shortName(object), path: path)
    }
    if objects.kind(of: object) == .other, objects.isListed(object, flow.shape, path) {
      _ = flow.module(path, .other, className: objects.shortName(object))
    }
    enter(method, [.object(object, path: path)] + arguments, named: named, site: site)
  }

  /// PyTorch's own recurrent classes as they are scripted; their code has conditions of its own.
  private mutating func ownClass(
    _ className: String, _ object: Int, _ path: String, _ all: [TorchValue]
  ) -> TorchValue? {
    let start = "torch.nn.modules.rnn."
    guard className.hasPrefix(start), let input = all.first,
      let body = code.body(of: objects.className(object))
    else { return nil }
    let name = className.dropFirst(start.count)
    let state = all.count > 1 ? all[1] : .none
    if name.hasSuffix("Cell") {
      guard body.finals["hidden_size"] != nil else { return nil }
      var cell = ["LSTMCell": "lstm", "GRUCell": "gru"][name]
      if name == "RNNCell", let kind = body.finals["nonlinearity"]?.stringValue {
        cell = "rnn_" + kind
      }
      guard let cell else { return nil }
      return flow.step(cell, path, input: input, state: state)
    }
    guard let facts = objects.recurrence(body.finals), ["LSTM", "GRU", "RNN"].contains(name) else {
      return nil
    }
    var call = facts
    call.input = input
    call.initial = state
    if let index = input.tensor, let first = flow.tensors[index].packed,
      case .list(let items)? = flow.packs[index]
    {
      call.input = items[1]
      call.batchFirst = first
      call.isPacked = true
    }
    let results = flow.recurrent(path, className: String(name), call).list ?? []
    if results.count == 3 { return .list([results[0], .list([results[1], results[2]])]) }
    return .list(results)
  }
}

extension String {
  /// A full name without the parts that only tell copies apart.
  fileprivate var replacingMangles: String { TorchScriptCode.plainClass(self) }
}
