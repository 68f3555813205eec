// The model's ends: whether batches come first, the functions behind linear layers, and what the model puts out.
import Containers
import Tensors

extension ONNXStructure {
  mutating func findBatchFirst() {
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

  mutating func finishActivations() {
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

  mutating func finishOutputs() {
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
  func isWhole(_ layout: ONNXLayout, of source: ONNXTrace.Source) -> Bool {
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
