import Bytes
import Containers
import Tensors

/// Finds where the states of a stack come from.
struct ONNXInitialStates {
  /// What one node takes as initial_h or initial_c.
  private enum Kind {
    case zeros
    case stored(Tensor, Set<Name>)
    case fed(ONNXTrace, ONNXLayout)
    case computed(String)
  }

  /// What a module's states are: where from, their tensors, and the stored tensors those are made of.
  struct Result {
    var state: Structure.InitialState
    var tensors: [(name: Name, tensor: Tensor)] = []
    var used: Set<Name> = []
  }

  private let follower: ONNXFollower
  private let structure: ONNXStructure

  init(_ structure: ONNXStructure) {
    self.structure = structure
    follower = structure.follower
  }

  /// The states of a stack whose tensors have names behind `prefix`.
  func result(_ stack: [Int], prefix: String) throws -> Result {
    var result = Result(state: .zeros)
    var names: [Name?] = [nil, nil]
    var isFed = false
    let isLSTM = stack.first.map { follower.recurrents[$0].operation == .lstm } ?? false
    let roles = isLSTM ? ["h_0", "c_0"] : ["h_0"]
    for (index, role) in roles.enumerated() {
      let kinds: [Kind] = try stack.map { try kind(follower.recurrents[$0], input: 5 + index) }
      for case .computed(let text) in kinds { return Result(state: .computed(text)) }
      var fed: [(ONNXTrace, ONNXLayout)] = []
      for case .fed(let trace, let layout) in kinds { fed.append((trace, layout)) }
      if !fed.isEmpty {
        guard fed.count == kinds.count, isWhole(fed.map(\.1), stack) else {
          return Result(state: .computed("inputs of the model, in another order"))
        }
        isFed = true
        continue
      }
      for case .stored(_, let roots) in kinds { result.used.formUnion(roots) }
      guard let tensor = try joined(kinds, stack) else { continue }
      guard tensor.shape.count == 3 else {
        return Result(state: .computed("stored states of several batch sizes"))
      }
      let name = Name("\(prefix)\(role)")
      names[index] = name
      result.tensors.append((name, tensor))
    }
    if isFed {
      guard result.tensors.isEmpty else {
        return Result(state: .computed("an input of the model and a stored tensor"))
      }
      result.state = .fed
    } else if !result.tensors.isEmpty {
      result.state = .stored(h: names[0], c: names[1])
    }
    return result
  }

  private func kind(_ recurrent: ONNXRecurrentNode, input: Int) throws -> Kind {
    guard let name = recurrent.node.input(input) else { return .zeros }
    if follower.zeros.contains(name) { return .zeros }
    let values = follower.values
    if let trace = follower.traces[name] {
      if trace.isClean, trace.activation == nil, case .input? = trace.sources.first,
        trace.sources.count == 1, let layout = trace.layout
      {
        return .fed(trace, layout)
      }
      let makers = trace.sources.compactMap { structure.module(of: $0).map(structure.name) }
      let words = (makers.isEmpty ? ["inputs of the model"] : makers) + trace.operations
      return .computed(words.joined(separator: ", "))
    }
    let known = follower.states[name] ?? (try? values.tensor(name)).map { ONNXStoredState($0) }
    guard let known, known.tensor.dtype.isFloatingPoint else {
      let node = values.producer(of: name).map { values.graph.nodes[$0.node] }
      return .computed(node.map { "\($0.operation), \($0.place)" } ?? "value \"\(name)\"")
    }
    if try isZero(known.tensor) { return .zeros }
    guard
      let tensor = try known.state(
        directions: recurrent.directionCount, hidden: recurrent.hiddenSize,
        batchMajor: recurrent.batchMajor)
    else { return .computed("a stored tensor of shape \(known.tensor.shape)") }
    try values.charge(tensor.byteCount, at: recurrent.node.place)
    return .stored(tensor, values.roots(of: name))
  }

  private func isZero(_ tensor: Tensor) throws -> Bool {
    var result = true
    // What is not all zero is seen at its first bytes, nearly always.
    for start in stride(from: 0, to: tensor.byteCount, by: 1 << 16) where result {
      let end = min(tensor.byteCount, start + 1 << 16)
      result = try tensor.source.read(start..<end).allSatisfy { $0 == 0 }
    }
    return result
  }

  /// (L·directions, 1 or N, H), zeros for layers without; `nil` where all are zeros, a tensor of no axes
  /// where the layers' batches differ.
  private func joined(_ kinds: [Kind], _ stack: [Int]) throws -> Tensor? {
    var tensors: [Tensor?] = []
    for kind in kinds {
      if case .stored(let tensor, _) = kind { tensors.append(tensor) } else { tensors.append(nil) }
    }
    guard let first = tensors.compactMap({ $0 }).first else { return nil }
    for case .zeros in kinds {
      try follower.values.charge(first.byteCount, at: follower.recurrents[stack[0]].node.place)
    }
    // Charged above; where every layer stores a state there is nothing to fill in.
    let zeroCount = tensors.contains { $0 == nil } ? first.byteCount : 0
    let zeros =
      zeroCount == 0
      ? first
      : try Tensor(
        dtype: first.dtype, shape: first.shape, bytes: [UInt8](repeating: 0, count: zeroCount))
    let parts = tensors.map { $0 ?? zeros }
    guard parts.allSatisfy({ $0.shape == first.shape && $0.dtype == first.dtype }) else {
      return try Tensor(dtype: .u8, shape: [], bytes: [0])
    }
    guard parts.count > 1 else { return parts[0] }
    let source = try ConcatenatedSource(
      parts.map(\.source), rows: parts.map(\.byteCount), height: 1)
    return try Tensor(
      dtype: first.dtype, shape: [first.shape[0] * parts.count, first.shape[1], first.shape[2]],
      source: source)
  }

  /// Whether the layers take one input (L·directions, N, H) slice by slice, or one input each.
  private func isWhole(_ layouts: [ONNXLayout], _ stack: [Int]) -> Bool {
    for (layer, layout) in layouts.enumerated() {
      guard layout.axes.count == 3 else { return false }
      var axes: [Int] = []
      for factors in layout.axes {
        guard factors.count == 1, case .lead(let lead) = factors[0],
          let axis = follower.inputAxis[lead.id]?.axis
        else { return false }
        axes.append(axis)
        if let range = lead.range {
          let directions = follower.recurrents[stack[layer]].directionCount
          guard axis == 0, range == layer * directions..<(layer + 1) * directions else {
            return false
          }
        } else if axis == 0, layouts.count > 1,
          lead.size.known != follower.recurrents[stack[layer]].directionCount
        {
          return false
        }
      }
      guard axes == [0, 1, 2] else { return false }
    }
    return true
  }
}
