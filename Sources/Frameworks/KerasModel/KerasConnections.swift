import Containers
import Tensors

/// Finds what goes directly from module to module, and what stands where nothing does.
struct KerasConnections {
  private let builder: KerasStructureBuilder
  private(set) var connections: [Structure.Connection] = []
  private(set) var obstacles: [Structure.Obstacle] = []
  private(set) var remarks: [Remark] = []
  /// The modules that a module's output goes to, by position.
  private var readers: [Int: Set<Int>] = [:]

  /// The masks that are known already, by layer; `nil` for none.
  private var masks: [Int: String?] = [:]

  private static let chainLimit = 8

  init(_ builder: KerasStructureBuilder) {
    self.builder = builder
    guard builder.flow.graph.customClass == nil else {
      refuseAll()
      return
    }
    for end in builder.ends { addBefore(end) }
    for end in builder.ends { addBehind(end) }
    let outputs = builder.flow.graph.outputs.count
    if outputs > 1 { remarks.append(.results(outputs)) }
    let inputs = zip(builder.flow.roles, builder.flow.graph.layers).reduce(0) { count, pair in
      if case .input = pair.0, pair.1.names.count == 1 { count + 1 } else { count }
    }
    if inputs > 1 { remarks.append(.inputs(inputs)) }
  }

  private var flow: KerasFlow { builder.flow }
  private func layer(_ index: Int) -> KerasGraph.Layer { builder.flow.graph.layers[index] }
  private func name(_ module: Int) -> String { builder.modules[module].name }

  /// A class of the author's own around everything may do anything with its layers.
  private mutating func refuseAll() {
    let text = "\(builder.flow.graph.customClass ?? ""), a class of the author's own"
    for end in builder.ends {
      add(end.module, .before, [text])
      add(end.module, .behind, [text])
    }
  }

  private mutating func add(
    _ module: Int, _ side: Structure.Obstacle.Side, _ operations: [String], isBranch: Bool = false
  ) {
    let obstacle = Structure.Obstacle(
      module: name(module), side: side, operations: operations, isBranch: isBranch)
    if !obstacles.contains(obstacle) || obstacles.count > 1000 { obstacles.append(obstacle) }
  }

  // MARK: Before

  private mutating func addBefore(_ end: (module: Int, first: Int, last: Int)) {
    let own = layer(end.first)
    if builder.flow.roles[end.first].recurrent?.isStateful == true {
      add(
        end.module, .before,
        ["the state of the call before (stateful: carry it from call to call)"], isBranch: true)
    }
    guard own.uses == 1, let call = own.call, let input = call.inputs.first else {
      add(
        end.module, .before,
        [own.uses > 1 ? "\(own.uses) uses of the layer" : "nothing that is known"])
      return
    }
    if let reason = obstruction(own, call, builder.flow.roles[end.first]) {
      add(end.module, .before, [reason])
      return
    }
    if builder.flow.roles[end.first].recurrent != nil, let mask = mask(on: input) {
      add(end.module, .before, [mask])
      return
    }
    switch flow.source(input) {
    case .input: break
    case .unknown(let text): add(end.module, .before, [text])
    case .output(let below, let index):
      guard let from = builder.owners[below], flow.roles[below].isModule else {
        if let selection = selection(below, by: flow.roles[end.first]) {
          connections.append(
            .init(from: name(selection.module), to: name(end.module), reads: selection.reads))
          readers[selection.module, default: []].insert(end.module)
        } else {
          add(end.module, .before, chain(from: below))
        }
        return
      }
      switch reads(below, index, by: flow.roles[end.first]) {
      case .success(let reads):
        connections.append(.init(from: name(from), to: name(end.module), reads: reads))
        readers[from, default: []].insert(end.module)
      case .failure(let reason): add(end.module, .before, [reason.text])
      }
    }
  }

  /// What marks steps of a value that the recurrent layers behind it skip.
  ///
  /// Masks travel with values through nearly every layer; a recurrent layer that returns no sequence ends them.
  private mutating func mask(on value: KerasGraph.Value) -> String? {
    guard case .output(let start, _) = value else { return nil }
    var pending = [start]
    var seen: Set<Int> = []
    var found: String?
    while found == nil, let below = pending.popLast() {
      if let known = masks[below] {
        found = known
        continue
      }
      guard seen.insert(below).inserted else { continue }
      switch flow.roles[below] {
      case .embedding(masksZero: true):
        found =
          "the mask of \(builder.describe(below)) (mask_zero: Keras skips the steps whose id is 0)"
      case .embedding: continue
      case .recurrent(let recurrent) where !recurrent.returnsSequences: continue
      case _ where layer(below).className == "Masking":
        found = "the mask of \(builder.describe(below))"
      default:
        for case .output(let next, _) in layer(below).call?.inputs ?? [] { pending.append(next) }
      }
    }
    // Whatever was looked at without finding a mask has none.
    if found == nil { for below in seen { masks[below] = .some(nil) } }
    masks[start] = .some(found)
    return found
  }

  /// Why a layer does not simply read its one input.
  private func obstruction(
    _ layer: KerasGraph.Layer, _ call: KerasGraph.Call, _ role: KerasRole
  ) -> String? {
    if let keyword = call.keywords.first(where: {
      $0.key != "initial_state" || role.recurrent == nil
    }) {
      return "\(keyword.key)= of \"\(layer.name)\""
    }
    switch role {
    case .recurrent:
      if layer.isDistributed { return "TimeDistributed \"\(layer.name)\"" }
      if call.isTraining { return "training=True of \"\(layer.name)\"" }
    case .embedding where layer.isDistributed: return "TimeDistributed \"\(layer.name)\""
    default: if call.inputs.count > 1 { return "\(call.inputs.count) inputs of \"\(layer.name)\"" }
    }
    return nil
  }

  /// The recurrent module of which a layer only picks the last step or the final states, for a linear layer.
  private func selection(_ layer: Int, by reader: KerasRole) -> (
    module: Int, reads: HeadReads
  )? {
    guard case .linear = reader, let selection = flow.selection(of: layer),
      let module = builder.owners[selection.layer], flow.roles[selection.layer].isModule,
      builder.ends.contains(where: { $0.module == module && $0.last == selection.layer }),
      self.layer(selection.layer).uses == 1, !self.layer(selection.layer).isDistributed,
      flow.roles[selection.layer].recurrent?.refusal.map({
        $0.reason == .kerasActivationInexpressible
      })
        ?? true
    else { return nil }
    return (module, selection.reads)
  }

  private struct Reason: Error { let text: String }

  /// Which result of a module's last layer is read.
  private func reads(
    _ below: Int, _ index: Int, by reader: KerasRole
  ) -> Result<HeadReads, Reason> {
    let words = builder.describe(below)
    if case .embedding = reader { return .failure(Reason(text: words)) }
    if let function = flow.functions[below], !function.isKnown {
      return .failure(Reason(text: "the activation \(function.name) of \(words)"))
    }
    guard let recurrent = flow.roles[below].recurrent else {
      if case .embedding = flow.roles[below], layer(below).isDistributed {
        return .failure(Reason(text: words))
      }
      return index == 0 ? .success(.sequence) : .failure(Reason(text: words))
    }
    if layer(below).isDistributed { return .failure(Reason(text: words)) }
    if let refusal = recurrent.refusal, refusal.reason != .kerasActivationInexpressible {
      return .failure(Reason(text: "\(words): \(refusal.found)"))
    }
    let isSequence = index == 0 && recurrent.returnsSequences
    if reader.recurrent != nil, !isSequence {
      return .failure(Reason(text: "a state of \(words)"))
    }
    if index == 0 {
      return .success(isSequence ? .sequence : recurrent.isBidirectional ? .final : .last)
    }
    // Result 1 of a layer with one direction is h; all others are c or halves. Stacked cells give the
    // states of all cells.
    guard index == 1, !recurrent.isBidirectional, recurrent.prefixes.count == 1 else {
      return .failure(Reason(text: "state \(index - 1) of \(words)"))
    }
    return .success(.final)
  }

  /// The layers from one that is no module down to the next module or input, nearest first.
  private func chain(from start: Int) -> [String] {
    var words: [String] = []
    var current = start
    while words.count < Self.chainLimit {
      words.append(builder.describe(current))
      guard let call = layer(current).call, call.inputs.count == 1, call.keywords.isEmpty,
        case .output(let below, _) = flow.source(call.inputs[0]), below != current,
        !flow.roles[below].isModule
      else { break }
      current = below
    }
    return words
  }

  // MARK: Behind

  private mutating func addBehind(_ end: (module: Int, first: Int, last: Int)) {
    let own = layer(end.last)
    if own.uses > 1 {
      add(end.module, .behind, ["\(own.uses) uses of the layer"])
      return
    }
    let consumers = flow.consumers[end.last]
    let returned = flow.returned[end.last]
    let isReturned = !returned.isEmpty
    if let function = flow.functions[end.last], !function.isKnown {
      add(end.module, .behind, ["the activation \(function.name)"])
    }
    guard !consumers.isEmpty || isReturned else {
      add(end.module, .behind, ["nothing, or a layer or a model that is used more than once"])
      return
    }
    var connected = readers[end.module] ?? []
    let goesOn = !connected.isEmpty || isReturned
    if returned.contains(where: { $0 > 0 }) {
      add(end.module, .behind, ["a result of the model: its final states"], isBranch: goesOn)
    } else if isReturned, !connected.isEmpty {
      add(end.module, .behind, ["a result of the model"], isBranch: true)
    }
    var selected: Set<Int> = []
    for consumer in consumers {
      if selected.contains(consumer.layer) { continue }
      if isSelected(consumer.layer, of: end.last, by: &connected) {
        selected.insert(consumer.layer)
        continue
      }
      if let reader = builder.owners[consumer.layer], consumer.isMain,
        connected.remove(reader) != nil
      {
        continue
      }
      let role = flow.roles[consumer.layer]
      let isState = !consumer.isMain && role.recurrent != nil
      let words = builder.describe(consumer.layer)
      let operations = isState ? ["\(words), whose initial state it is"] : upwards(consumer.layer)
      add(end.module, .behind, operations, isBranch: goesOn)
    }
  }

  /// Whether a layer picks something of a recurrent layer for one of the connected readers, and for nothing else.
  private func isSelected(_ layer: Int, of below: Int, by connected: inout Set<Int>) -> Bool {
    guard flow.selection(of: layer)?.layer == below, flow.returned[layer].isEmpty,
      flow.consumers[layer].count == 1,
      let reader = builder.owners[flow.consumers[layer][0].layer]
    else { return false }
    return connected.remove(reader) != nil
  }

  /// The layers from one that is no module up to the next module or the end, nearest first.
  private func upwards(_ start: Int) -> [String] {
    var words: [String] = []
    var current = start
    while words.count < Self.chainLimit {
      words.append(builder.describe(current))
      guard !flow.roles[current].isModule, flow.consumers[current].count == 1 else { break }
      let next = flow.consumers[current][0].layer
      guard next != current, !flow.roles[next].isModule else { break }
      current = next
    }
    return words
  }
}
