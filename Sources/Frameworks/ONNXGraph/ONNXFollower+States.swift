// Initial states that the file stores, on their way to a recurrent node.
import Containers
import Tensors

extension ONNXFollower {
  /// Zeros, and stored tensors on their way to an initial state.
  mutating func followState(_ node: ONNXNode) {
    guard let output = node.output(0) else { return }
    if node.operation == "ConstantOfShape" {
      let record = node.attribute("value")?.tensor
      let bytes = record.flatMap { values.stored(attribute: $0) }.flatMap { try? $0.bytes() }
      if record == nil || bytes?.allSatisfy({ $0 == 0 }) == true { zeros.insert(output) }
      return
    }
    // Before there was ConstantOfShape.
    if node.operation == "ConstantFill" {
      if (node.attribute("value")?.float ?? 0) == 0 { zeros.insert(output) }
      return
    }
    if let input = node.input(0), zeros.contains(input) {
      let moves: Set<String> = [
        "Identity", "Cast", "Expand", "Slice", "Split", "Transpose", "Squeeze", "Unsqueeze",
        "Reshape", "Tile", "Gather",
      ]
      if moves.contains(node.operation)
        || (node.operation == "Concat" && node.inputs.allSatisfy(zeros.contains))
      {
        zeros.formUnion(node.outputs)
      }
      return
    }
    if ["Expand", "Tile"].contains(node.operation), let input = node.input(0),
      let tensor = try? values.tensor(input), tensor.dtype.isFloatingPoint,
      tensor.byteCount <= 1 << 16, let bytes = try? tensor.bytes(), bytes.allSatisfy({ $0 == 0 })
    {
      zeros.insert(output)
      return
    }
    for (index, state) in storedStates(node).enumerated() {
      if let state, let name = node.output(index) { states[name] = state }
    }
  }

  private func storedStates(_ node: ONNXNode) -> [ONNXStoredState?] {
    guard let input = node.input(0) else { return [] }
    let known = states[input]
    switch node.operation {
    case "Expand", "Tile":
      guard
        let base = known ?? (try? values.tensor(input)).map({ ONNXStoredState($0) }),
        base.tensor.dtype.isFloatingPoint
      else { return [] }
      let list = sizes.list(node.input(1))?.items
      if node.operation == "Tile" { return [list.flatMap { base.tiled($0) }] }
      return [(try? base.expanded(list)) ?? nil]
    case "Identity": return [known]
    case "Cast": return [node.integer("to") == known?.tensor.dtype.onnxNumber ? known : nil]
    case "Transpose", "Slice", "Split", "Squeeze", "Unsqueeze":
      guard let known else { return [] }
      return node.outputs.indices.prefix(64).map { moved(known, node, output: $0) }
    default: return []
    }
  }

  /// A state behind a move, where that leaves the expanded axes alone or takes one step of them.
  func moved(_ state: ONNXStoredState, _ node: ONNXNode, output: Int) -> ONNXStoredState? {
    let rank = state.sizes.count
    switch node.operation {
    case "Transpose":
      let order = permutation(node) ?? Array((0..<rank).reversed())
      guard order.sorted() == Array(0..<rank),
        let tensor = try? ONNXRearrangement(node, output: 0).apply([state.tensor])
      else { return nil }
      var result = ONNXStoredState(tensor)
      result.sizes = order.map { state.sizes[$0] }
      return result
    case "Slice", "Split":
      guard let (axis, range) = cut(node, state, output: output) else { return nil }
      var result = state
      if state.tensor.shape[axis] == 1, state.sizes[axis]?.known != 1 {
        result.sizes[axis] = ONNXSize(range.count)
        return result
      }
      let shape = state.tensor.shape
      let inner = shape[(axis + 1)...].reduce(state.tensor.dtype.byteCount, *)
      guard shape[..<axis].allSatisfy({ $0 == 1 }) else { return nil }
      var cutShape = shape
      cutShape[axis] = range.count
      guard
        let source = try? WindowSource(
          state.tensor.source, offset: range.lowerBound * inner, count: range.count * inner),
        let tensor = try? Tensor(dtype: state.tensor.dtype, shape: cutShape, source: source)
      else { return nil }
      result.tensor = tensor
      result.sizes[axis] = ONNXSize(range.count)
      return result
    default: return nil
    }
  }

  /// The axis and the range that a Slice or Split of a state takes.
  private func cut(_ node: ONNXNode, _ state: ONNXStoredState, output: Int) -> (Int, Range<Int>)? {
    func position(_ axis: Int) -> Int? {
      let axis = axis < 0 ? axis + state.sizes.count : axis
      return state.sizes.indices.contains(axis) ? axis : nil
    }
    if node.operation == "Split" {
      guard let axis = position(node.integer("axis") ?? 0), let size = state.sizes[axis]?.known,
        (1..<1 << 40).contains(size), let given = numbers(node, "split", 1)
      else { return nil }
      let each = (size + node.outputs.count - 1) / max(1, node.outputs.count)
      let lengths = given.isEmpty ? node.outputs.map { _ in each } : given
      guard output < lengths.count, lengths.count < 1 << 16,
        lengths.allSatisfy({ (1...size).contains($0) })
      else { return nil }
      let start = lengths[..<output].reduce(0, +)
      let end = min(size, start + lengths[output])
      return start < end ? (axis, start..<end) : nil
    }
    guard let starts = numbers(node, "starts", 1), let ends = numbers(node, "ends", 2),
      let axes = numbers(node, "axes", 3), let steps = numbers(node, "steps", 4),
      starts.count == 1, ends.count == 1, axes.count < 2, steps.allSatisfy({ $0 == 1 }),
      let axis = position(axes.first ?? 0), let size = state.sizes[axis]?.known, size < 1 << 40
    else { return nil }
    func clamped(_ position: Int) -> Int {
      position < 0 ? max(0, position + size) : min(position, size)
    }
    let (low, high) = (clamped(starts[0]), clamped(ends[0]))
    return low < high ? (axis, low..<high) : nil
  }
}
