import Containers
import Tensors

/// The modules of a graph and how they are connected, from what was followed.
struct ONNXStructure {
  /// A module with what its tensors are made of.
  struct Module {
    var module: Structure.Module
    var content: Content
  }

  enum Content {
    /// The nodes of a stack, by their place among the recurrent ones.
    case recurrent([Int])
    case embedding(Int)
    case linear(Int)
    case other(Int)
  }

  let follower: ONNXFollower
  private(set) var modules: [Module] = []
  private(set) var connections: [Structure.Connection] = []
  private(set) var obstacles: [Structure.Obstacle] = []
  /// The module of every recurrent node, linear layer and embedding.
  private var owner: [ONNXTrace.Source: Int] = [:]
  /// Its place in its stack, from below, of every recurrent node.
  private var layers: [Int: Int] = [:]
  /// Modules whose output something understood takes.
  private var leadsOn: Set<Int> = []
  /// What linear layers read of recurrent modules.
  private var readsOf: [Int: HeadReads] = [:]
  private var seen: Set<String> = []
  private var linearOfTensors: [[Name]: Int] = [:]
  /// The recurrent module of every time axis, the first one that has it.
  private var moduleOfTime: [Int: Int] = [:]
  private static let obstacleLimit = 1000

  /// Groups nodes to modules; names come from `names`, behind `label` for graphs inside others.
  init(_ follower: ONNXFollower, label: String?, names: inout ONNXNames) {
    self.follower = follower
    var above: [Int: Int] = [:]
    var hasBelow: Set<Int> = []
    for use in follower.uses {
      guard case .recurrent(let upper) = use.reader, let lower = layerBelow(use.trace, upper),
        above[lower] == nil, hasBelow.insert(upper).inserted
      else { continue }
      above[lower] = upper
    }
    for found in follower.found {
      switch found {
      case .recurrent(let number):
        guard !hasBelow.contains(number) else { continue }
        var stack = [number]
        while let next = above[stack[stack.count - 1]] { stack.append(next) }
        addStack(stack, label, &names)
      case .embedding(let number) where label == nil: addEmbedding(number, &names)
      case .linear(let number) where label == nil: addLinear(number, &names)
      case .other(let number) where label == nil || follower.others[number].refusal != nil:
        addOther(number, label, &names)
      default: break
      }
    }
    guard label == nil else { return }
    connect()
  }

  /// What the file states, without the initial states.
  var structure: Structure {
    Structure(
      statesConnections: true, modules: modules.map(\.module), connections: connections,
      obstacles: obstacles)
  }

  func name(_ index: Int) -> String { modules[index].module.name }

  mutating func change(_ index: Int, _ body: (inout Structure.Module) -> Void) {
    body(&modules[index].module)
  }

  /// The module that a source belongs to.
  func module(of source: ONNXTrace.Source) -> Int? { owner[source] }

  // MARK: Stacks

  /// The node that a node is the next layer of in one module of PyTorch.
  private func layerBelow(_ trace: ONNXTrace, _ upper: Int) -> Int? {
    guard trace.isClean, let nodes = trace.recurrentNodes, nodes.count == 1, nodes[0] != upper
    else {
      return nil
    }
    let (first, second) = (follower.recurrents[nodes[0]], follower.recurrents[upper])
    guard let below = first.weights, let above = second.weights else { return nil }
    let scopes = (first.node.modulePath, second.node.modulePath)
    guard
      first.operation == second.operation && first.direction == second.direction
        && first.relu == second.relu && first.linearBeforeReset == second.linearBeforeReset
        && first.hiddenSize == second.hiddenSize && (below.b == nil) == (above.b == nil)
        && second.inputSize == first.directionCount * first.hiddenSize
        && first.refusal == nil && second.refusal == nil
        && first.node.input(4) == second.node.input(4)
        && (scopes.0 == nil || scopes.1 == nil || scopes.0 == scopes.1),
      let layout = trace.layout, isWholeSequence(layout, of: nodes[0], for: second)
    else { return nil }
    return nodes[0]
  }

  /// Whether a layout is the output of all directions of a node, as another one reads it.
  private func isWholeSequence(
    _ layout: ONNXLayout, of number: Int, for reader: ONNXRecurrentNode
  ) -> Bool {
    guard layout.axes.count == 3, let time = follower.time[number],
      let batch = follower.batch[number], let features = layout.features,
      features.parts.map(\.direction) == Array(0..<follower.recurrents[number].directionCount),
      features.parts.allSatisfy({ $0.node == number && $0.step == .all })
    else { return false }
    return reader.batchMajor
      ? layout.isLead(0, batch) && layout.isLead(1, time)
      : layout.isLead(0, time) && layout.isLead(1, batch)
  }

  private mutating func addStack(_ stack: [Int], _ label: String?, _ names: inout ONNXNames) {
    let nodes = stack.map { follower.recurrents[$0] }
    let first = nodes[0]
    let path = first.node.modulePath
    let word = path.flatMap { $0.isEmpty ? nil : $0 } ?? first.operation.rawValue.lowercased()
    let base = label.map { "\($0).\(word)" }
    var module = Structure.Module(
      name: names.unique(base ?? path ?? "rnn"), kind: .recurrent,
      className: first.operation.rawValue)
    module.recurrent = Self.recurrent(nodes)
    module.refusal = nodes.lazy.compactMap(\.refusal).first
    if label != nil {
      module.remarks.append(.insideAnotherGraph)
    }
    let index = modules.count
    modules.append(Module(module: module, content: .recurrent(stack)))
    for (layer, number) in stack.enumerated() {
      owner[.recurrent(number)] = index
      layers[number] = layer
    }
  }

  private static func recurrent(_ nodes: [ONNXRecurrentNode]) -> Structure.Recurrent {
    let first = nodes[0]
    var result = Structure.Recurrent()
    switch first.operation {
    case .rnn: result.cell = first.relu ? "rnn_relu" : "rnn_tanh"
    case .lstm: result.cell = "lstm"
    case .gru:
      result.cell = "gru"
      result.gruReset = first.linearBeforeReset ? "after" : "before"
    }
    result.layerCount = nodes.count
    result.direction = first.direction
    if let weights = first.weights {
      result.inputSize = first.inputSize
      result.hiddenSize = first.hiddenSize
      result.hasBias = weights.b != nil
    }
    result.activations = first.activations
    if let clip = first.node.attribute("clip")?.float, clip != 0 { result.clip = Double(clip) }
    if let coupled = first.node.integer("input_forget"), coupled != 0 {
      result.couplesInputForget = true
    }
    result.takesLengths = nodes.contains(where: \.sequenceLengths)
    return result
  }

  // MARK: Other modules

  private mutating func addEmbedding(_ number: Int, _ names: inout ONNXNames) {
    let embedding = follower.embeddings[number]
    let stored = ONNXFollower.prefix(of: follower.values.root(of: embedding.table), "weight")
    let path = embedding.node.modulePath.flatMap { $0.isEmpty ? nil : $0 }
    owner[.embedding(number)] = modules.count
    modules.append(
      Module(
        module: Structure.Module(
          name: names.unique(stored ?? path ?? "embedding"), kind: .embedding,
          className: embedding.node.operation),
        content: .embedding(number)))
  }

  private mutating func addLinear(_ number: Int, _ names: inout ONNXNames) {
    let linear = follower.linears[number]
    let values = follower.values
    // The same matrix and bias twice are one layer that is used twice.
    let key = [linear.weightValue, linear.biasValue ?? Name("")]
    if let known = linearOfTensors[key] {
      owner[.linear(number)] = known
      return
    }
    linearOfTensors[key] = modules.count
    let node = values.graph.nodes[linear.node]
    let path = node.modulePath.flatMap { $0.isEmpty ? nil : $0 }
    let bias = ONNXFollower.prefix(of: linear.biasValue.flatMap { values.root(of: $0) }, "bias")
    let weight = ONNXFollower.prefix(of: values.root(of: linear.weightValue), "weight")
    // A matrix shared with an embedding has the embedding's name.
    let candidates = [bias, weight, path].compactMap { $0 }
    let name = candidates.first { !names.isUsed($0) } ?? candidates.first ?? "classifier"
    owner[.linear(number)] = modules.count
    modules.append(
      Module(
        module: Structure.Module(
          name: names.unique(name), kind: .linear, className: node.operation),
        content: .linear(number)))
  }

  private mutating func addOther(_ number: Int, _ label: String?, _ names: inout ONNXNames) {
    let other = follower.others[number]
    let node = follower.values.graph.nodes[other.node]
    let operation = node.operation
    let isRecurrent = ["RNN", "LSTM", "GRU"].contains { operation.hasSuffix($0) }
    let name = other.name.flatMap { $0.isEmpty ? nil : $0 } ?? operation.lowercased()
    var module = Structure.Module(
      name: names.unique(label.map { "\($0).\(name)" } ?? name), kind: .other, className: operation)
    if let refusal = other.refusal {
      module.kind = isRecurrent ? .recurrent : .linear
      module.refusal = refusal
    }
    modules.append(Module(module: module, content: .other(number)))
  }

  // MARK: Connections

  private mutating func connect() {
    for use in follower.uses {
      guard let reader = owner[use.reader] else { continue }
      // Inside a stack nothing is between the layers.
      if case .recurrent(let number) = use.reader, layers[number] ?? 0 > 0 { continue }
      connect(use, to: reader)
    }
    noteUntraced()
    findBatchFirst()
    finishActivations()
    finishOutputs()
    noteBranches()
  }

  private mutating func connect(_ use: ONNXFollower.Use, to reader: Int) {
    let trace = use.trace
    guard trace.isClean, trace.activation == nil, let layout = trace.layout else {
      var operations = trace.operations
      if let activation = trace.activation { operations.insert(activation, at: 0) }
      if operations.isEmpty {
        operations = trace.moves.isEmpty ? ["an unknown operation"] : trace.moves
      }
      return block(trace, reader, operations)
    }
    guard case .input? = trace.sources.first else {
      switch reads(trace, layout, use.reader) {
      case .success(let (from, reads)):
        let connection = Structure.Connection(from: name(from), to: name(reader), reads: reads)
        if seen.insert("\(from) to \(reader) \(reads)").inserted { connections.append(connection) }
        leadsOn.insert(from)
        if case .recurrent = modules[from].content { readsOf[reader] = reads }
      case .failure(let reason): block(trace, reader, [reason.text])
      }
      return
    }
    if !readsInput(layout, use.reader) {
      block(trace, reader, trace.moves.isEmpty ? ["an unknown layout"] : trace.moves)
    }
  }

  /// Modules that read what no input of the model determines.
  private mutating func noteUntraced() {
    let values = follower.values
    let readers = Set(follower.uses.map(\.reader))
    for found in follower.found {
      let source: ONNXTrace.Source
      let value: Name?
      switch found {
      case .recurrent(let number):
        source = .recurrent(number)
        value = follower.recurrents[number].node.input(0)
      case .linear(let number):
        source = .linear(number)
        value = values.graph.nodes[follower.linears[number].node].input(0)
      default: continue
      }
      guard !readers.contains(source), let module = owner[source], let value else { continue }
      if let (node, _) = values.producer(of: value) {
        add(module, .before, [values.graph.nodes[node].operation])
      } else if values.isInitializer(value) {
        add(module, .before, ["a stored tensor"])
      }
    }
  }

  struct Mismatch: Error { var text: String }

  /// Whether a reader takes an input of the model as it is, or with time and batch exchanged.
  private func readsInput(_ layout: ONNXLayout, _ reader: ONNXTrace.Source) -> Bool {
    guard !layout.hasUnknownAxes else { return true }
    let axes = layout.axes.map { factors -> Int? in
      guard factors.count == 1, case .lead(let lead) = factors[0], lead.range == nil else {
        return nil
      }
      return follower.inputAxis[lead.id]?.axis
    }
    let found = axes.compactMap { $0 }
    guard found.count == axes.count else { return false }
    switch reader {
    case .recurrent: return found == [0, 1, 2] || found == [1, 0, 2]
    case .embedding: return found == [0, 1] || found == [1, 0] || found == Array(found.indices)
    default:
      let last = found.count - 1
      return found.last == last && (found == Array(0...last) || found == [1, 0, 2])
    }
  }

  /// What a reader takes of which module, or why that is no connection.
  private func reads(
    _ trace: ONNXTrace, _ layout: ONNXLayout, _ reader: ONNXTrace.Source
  ) -> Result<(Int, HeadReads), Mismatch> {
    let moves = trace.moves.reversed().joined(separator: ", ")
    let elsewhere = Mismatch(text: moves.isEmpty ? "another layout" : moves)
    if case .embedding = reader { return .failure(elsewhere) }
    let layout = layout.withoutUnitParts()
    guard let nodes = trace.recurrentNodes else {
      guard trace.sources.count == 1, let from = owner[trace.sources[0]],
        isPointwise(layout, reader)
      else { return .failure(elsewhere) }
      return .success((from, .sequence))
    }
    guard let features = layout.features, let leads = layout.leads, let first = nodes.first,
      let from = owner[.recurrent(first)]
    else { return .failure(elsewhere) }
    guard case .recurrent(let stack) = modules[from].content, let top = stack.last else {
      return .failure(elsewhere)
    }
    if let low = features.parts.first(where: { $0.node != top }) {
      return .failure(Mismatch(text: self.text(low)))
    }
    let recurrent = follower.recurrents[top]
    guard features.parts.map(\.direction) == Array(0..<recurrent.directionCount) else {
      return .failure(
        Mismatch(
          text: features.parts.count < recurrent.directionCount
            ? "one direction of \(name(from))" : "the directions of \(name(from)) in another order")
      )
    }
    guard let time = follower.time[top], let batch = follower.batch[top] else {
      return .failure(elsewhere)
    }
    let steps = features.parts.map(\.step)
    let wide = leads.filter { $0.size.known != 1 }
    let expected = [time, batch].filter { $0.size.known != 1 }
    if case .recurrent(let number) = reader {
      guard isWholeSequence(layout, of: top, for: follower.recurrents[number]) else {
        return .failure(elsewhere)
      }
      return .success((from, .sequence))
    }
    if steps.allSatisfy({ $0 == .all }) {
      guard wide.count == expected.count, Set(wide) == Set(expected) else {
        return .failure(elsewhere)
      }
      return .success((from, .sequence))
    }
    guard wide == expected.filter({ $0.id == batch.id }) else { return .failure(elsewhere) }
    // Behind the end of a short sequence there is padding, and before its start nothing.
    let isWhole = !recurrent.sequenceLengths
    if isWhole, steps.allSatisfy({ $0 == .last }) { return .success((from, .last)) }
    let isFinal = zip(features.parts, steps).allSatisfy { part, step in
      step == .final || (isWhole && step == (part.direction == 0 ? .last : .first))
    }
    if isFinal { return .success((from, .final)) }
    return .failure(Mismatch(text: features.parts.first.map(self.text) ?? "another step"))
  }

  /// How messages name a part that is not read as a whole.
  private func text(_ part: ONNXLayout.Part) -> String {
    let name = owner[.recurrent(part.node)].map { self.name($0) } ?? "a recurrent node"
    let layer = layers[part.node].map { " of layer \($0)" } ?? ""
    return switch part.step {
    case .cell: "Y_c of \(name)"
    case .final: "Y_h\(layer) of \(name)"
    case .first: "the first step of \(name)"
    case .other(let step): "step \(step) of \(name)"
    case .last: "the last step of \(name), lengths or not"
    case .all: "Y\(layer) of \(name)"
    }
  }

  /// Whether vectors stand where they stood, whatever order the axes before them have.
  private func isPointwise(_ layout: ONNXLayout, _ reader: ONNXTrace.Source) -> Bool {
    guard case .feature? = layout.axes.last?.first, layout.axes.last?.count == 1 else {
      return false
    }
    if layout.hasUnknownAxes { return layout.axes.count == 1 }
    guard let leads = layout.leads, leads.allSatisfy({ $0.range == nil }) else { return false }
    if case .recurrent = reader {
      return layout.axes.count == 3 && layout.axes.allSatisfy { $0.count < 2 }
    }
    return true
  }

  // MARK: Obstacles

  /// What stands between a module and what it is made from.
  private mutating func block(_ trace: ONNXTrace, _ reader: Int, _ operations: [String]) {
    add(reader, .before, operations.reversed())
    blockBehind(trace, operations)
  }

  private mutating func blockBehind(_ trace: ONNXTrace, _ operations: [String]) {
    for source in trace.sources {
      if let module = owner[source] { add(module, .behind, operations) }
    }
  }

  mutating func add(_ module: Int, _ side: Structure.Obstacle.Side, _ operations: [String]) {
    guard obstacles.count < Self.obstacleLimit else { return }
    let key = "\(module) \(side) \(operations)"
    guard seen.insert(key).inserted else { return }
    obstacles.append(
      Structure.Obstacle(module: name(module), side: side, operations: operations))
  }

  private mutating func noteBranches() {
    let names = Set(leadsOn.map { Name(name($0)) })
    for index in obstacles.indices
    where obstacles[index].side == .behind && names.contains(Name(obstacles[index].module)) {
      obstacles[index].isBranch = true
    }
  }

  // MARK: The model's ends

  private mutating func findBatchFirst() {
    for (index, found) in modules.enumerated() {
      guard case .recurrent(let stack) = found.content else { continue }
      guard let time = follower.time[stack[0]], let batch = follower.batch[stack[0]] else {
        continue
      }
      if moduleOfTime[time.id] == nil { moduleOfTime[time.id] = index }
      if let axis = follower.inputAxis[time.id]?.axis, axis < 2 {
        modules[index].module.recurrent.batchFirst = axis == 1
      } else if let axis = follower.inputAxis[batch.id]?.axis, axis < 2 {
        modules[index].module.recurrent.batchFirst = axis == 0
      }
    }
  }

  private mutating func finishActivations() {
    var read: Set<Int> = []
    for use in follower.uses where use.trace.activation == nil {
      for source in use.trace.sources {
        if case .linear(let number) = source { read.insert(number) }
      }
    }
    var words: [Int: [String]] = [:]
    for (number, linear) in follower.linears.enumerated() where !linear.activations.isEmpty {
      guard let index = owner[.linear(number)] else { continue }
      if read.contains(number) {
        add(index, .behind, linear.activations)
      } else {
        words[index, default: []] += linear.activations
      }
    }
    for (index, words) in words.sorted(by: { $0.key < $1.key }) {
      if words.count == 1 {
        modules[index].module.activation = words[0]
      } else {
        for word in words { add(index, .behind, [word]) }
      }
    }
  }

  private mutating func finishOutputs() {
    for output in follower.values.graph.outputs {
      guard let trace = follower.traces[output] else { continue }
      guard trace.isClean, let layout = trace.layout else {
        blockBehind(trace, trace.operations)
        continue
      }
      for source in trace.sources {
        guard let index = owner[source] else { continue }
        if case .recurrent(let number) = source, !isInOrder(layout, of: number) {
          add(index, .behind, trace.moves.isEmpty ? ["another order of features"] : trace.moves)
          continue
        }
        if case .linear = source, !isWhole(layout, of: source) {
          add(index, .behind, trace.moves.isEmpty ? ["another layout"] : trace.moves)
        } else if let before = isBatchFirst(layout) {
          let (module, found) = before
          let known = modules[module].module.recurrent.batchFirst
          if known == nil {
            modules[module].module.recurrent.batchFirst = found
          } else if known != found {
            add(index, .behind, trace.moves.isEmpty ? ["another order of axes"] : trace.moves)
          }
          if known == nil || known == found { leadsOn.insert(index) }
        } else {
          leadsOn.insert(index)
        }
      }
    }
  }

  /// Whether the features of a recurrent result are those of its directions in order, every one of a sequence.
  private func isInOrder(_ layout: ONNXLayout, of number: Int) -> Bool {
    let own = (layout.features?.parts ?? []).filter { $0.node == number }
    let directions = own.map(\.direction)
    let count = follower.recurrents[number].directionCount
    guard count > 1, !own.isEmpty else { return true }
    return own.allSatisfy { $0.step == .all }
      ? directions == Array(0..<count) : directions == directions.sorted()
  }

  /// Whether a linear layer's output has its axes one by one, the features last.
  private func isWhole(_ layout: ONNXLayout, of source: ONNXTrace.Source) -> Bool {
    if layout.hasUnknownAxes { return true }
    guard isPointwise(layout, source) else { return false }
    if let reads = owner[source].flatMap({ readsOf[$0] }),
      layout.axes.count != (reads == .sequence ? 3 : 2)
    {
      return false
    }
    return layout.axes.allSatisfy { $0.count < 2 }
  }

  /// The module whose time and batch are the first axes of a value, and in which order.
  private func isBatchFirst(_ layout: ONNXLayout) -> (Int, Bool)? {
    guard !layout.hasUnknownAxes, layout.axes.count > 2 else { return nil }
    for axis in 0..<2 {
      guard case .lead(let lead)? = layout.axes[axis].first, layout.axes[axis].count == 1,
        let index = moduleOfTime[lead.id], case .recurrent(let stack) = modules[index].content,
        let batch = follower.batch[stack[0]], layout.isLead(1 - axis, batch)
      else { continue }
      return (index, axis == 1)
    }
    return nil
  }
}

/// Names of modules, each used once.
struct ONNXNames {
  private var used: Set<Name> = []
  /// Where counting goes on, so that many modules of one name stay cheap.
  private var next: [Name: Int] = [:]

  func isUsed(_ name: String) -> Bool { used.contains(Name(name)) }

  /// The name, or the name and a number.
  mutating func unique(_ name: String) -> String {
    var candidate = name
    var number = next[Name(name)] ?? 1
    while !used.insert(Name(candidate)).inserted {
      candidate = "\(name)_\(number)"
      number += 1
    }
    next[Name(name)] = number
    return candidate
  }
}
