// What modules read of one another, or why that is no connection.
import Containers
import Tensors

extension ONNXStructure {
  mutating func connect() {
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

  mutating func connect(_ use: ONNXFollower.Use, to reader: Int) {
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
  func reads(
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
  func isPointwise(_ layout: ONNXLayout, _ reader: ONNXTrace.Source) -> Bool {
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
}
