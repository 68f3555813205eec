// Operations that only move elements: what they make of the layout of a value.
import Containers
import Tensors

extension ONNXFollower {
  /// Puts the result of an operation that only moves.
  private mutating func put(
    _ node: ONNXNode, _ trace: ONNXTrace, _ layout: ONNXLayout?, output: Int = 0
  )
    -> Bool
  {
    guard let layout, let name = node.output(output) else { return node.output(output) == nil }
    budget -= layout.parts.count
    var result = trace.moved(node.operation, layout)
    result.isExclusive = trace.isExclusive && isTakenOnce(node.input(0))
    traces[name] = result
    return true
  }

  /// Operations that are understood; false for all others.
  mutating func followKnown(_ index: Int, _ node: ONNXNode, _ trace: ONNXTrace) -> Bool {
    let layout = trace.layout
    switch node.operation {
    case "Identity": return pass(node, trace)
    case "Dropout":
      // Inference drops nothing; a model in training mode does.
      if let mode = node.input(2), sizes.integers(mode) != [0] { return false }
      return pass(node, trace)
    case "Cast":
      guard let type = node.integer("to"), isSameNumber(trace.dataType, type) else { return false }
      return pass(node, trace, type)
    case "Transpose": return put(node, trace, layout?.transposed(permutation(node)))
    case "Squeeze":
      guard let axes = numbers(node, "axes", 1) else { return false }
      return put(node, trace, layout?.squeezed(axes.isEmpty ? nil : axes))
    case "Unsqueeze":
      guard let axes = numbers(node, "axes", 1) else { return false }
      return put(node, trace, layout?.unsqueezed(axes))
    case "Flatten": return put(node, trace, layout?.flattened(node.integer("axis") ?? 1))
    case "Reshape":
      guard
        let shape = node.attribute("shape")?.integers.map({ ONNXSize($0) })
          ?? sizes.list(node.input(1))?.items
      else { return false }
      return put(
        node, trace, layout?.reshaped(shape, allowZero: node.integer("allowzero") == 1))
    case "Slice": return put(node, trace, layout.flatMap { sliced(node, $0) })
    case "Split": return split(node, trace)
    case "Gather":
      guard let indices = sizes.list(node.input(1)) else { return embed(node) }
      let chosen = indices.items.compactMap(\.known)
      guard chosen.count == indices.items.count, !chosen.isEmpty else { return false }
      return put(
        node, trace,
        layout?.gathered(
          node.integer("axis") ?? 0, chosen, isOne: indices.isScalar, times: times))
    case "Concat": return concatenate(node)
    case "MatMul", "Gemm": return followLinear(index, node, trace)
    case "Add":
      // Either operand may be the product.
      return addBias(node, trace, 0)
    default: return activate(node, trace)
    }
  }

  /// A value under another name.
  mutating func pass(_ node: ONNXNode, _ trace: ONNXTrace, _ dataType: Int? = nil) -> Bool {
    guard let output = node.output(0) else { return true }
    var result = trace
    result.isExclusive = trace.isExclusive && isTakenOnce(node.input(0))
    if let dataType { result.dataType = dataType }
    traces[output] = result
    return true
  }

  private func isSameNumber(_ from: Int?, _ to: Int) -> Bool {
    if from == to { return true }
    // Ids stay what they are among whole numbers of 32 and 64 bits.
    let whole: Set<Int> = [6, 7, 12, 13]
    return from.map { whole.contains($0) && whole.contains(to) } ?? false
  }

  func permutation(_ node: ONNXNode) -> [Int]? {
    node.attribute("perm").map(\.integers).flatMap { $0.isEmpty ? nil : $0 }
  }

  /// Axes, as an attribute or an input; empty where there are none, `nil` where they are not known.
  func numbers(_ node: ONNXNode, _ attribute: String, _ input: Int) -> [Int]? {
    if let given = node.attribute(attribute)?.integers, !given.isEmpty { return given }
    guard let name = node.input(input) else { return [] }
    return sizes.integers(name)
  }

  private func sliced(_ node: ONNXNode, _ layout: ONNXLayout) -> ONNXLayout? {
    guard let starts = numbers(node, "starts", 1), let ends = numbers(node, "ends", 2),
      starts.count == ends.count, let named = numbers(node, "axes", 3),
      let steps = numbers(node, "steps", 4), steps.allSatisfy({ $0 == 1 })
    else { return nil }
    let axes = named.isEmpty ? Array(starts.indices) : named
    guard axes.count == starts.count, Set(axes).count == axes.count else { return nil }
    var result: ONNXLayout? = layout
    for (index, axis) in axes.enumerated() {
      result = result?.sliced(axis, starts[index], ends[index], times: times)
    }
    return result
  }

  mutating func split(_ node: ONNXNode, _ trace: ONNXTrace) -> Bool {
    guard let layout = trace.layout, let given = numbers(node, "split", 1),
      !layout.hasUnknownAxes, node.outputs.count <= 64
    else { return false }
    let named = node.integer("axis") ?? 0
    let axis = named < 0 ? named + layout.axes.count : named
    guard layout.axes.indices.contains(axis), let size = layout.size(axis)?.known, size < 1 << 40
    else { return false }
    var lengths = given
    if lengths.isEmpty {
      let each = (size + node.outputs.count - 1) / max(1, node.outputs.count)
      lengths = node.outputs.indices.map { max(0, min(each, size - $0 * each)) }
    }
    guard lengths.count >= node.outputs.count, lengths.allSatisfy({ (1...size).contains($0) })
    else {
      return false
    }
    var start = 0
    var parts: [ONNXLayout] = []
    for length in lengths.prefix(node.outputs.count) {
      guard let part = layout.sliced(axis, start, start + length, times: times) else {
        return false
      }
      parts.append(part)
      start += length
    }
    for (output, part) in parts.enumerated() { _ = put(node, trace, part, output: output) }
    return true
  }

  private mutating func concatenate(_ node: ONNXNode) -> Bool {
    let parts = node.inputs.prefix(256).compactMap { traces[$0] }
    let layouts = parts.compactMap(\.layout)
    guard parts.count == node.inputs.count, layouts.count == parts.count, let first = parts.first,
      parts.allSatisfy({ $0.operations.isEmpty && $0.activation == nil })
    else { return false }
    if parts.count == 1 { return put(node, first, layouts[0]) }
    guard parts.allSatisfy({ $0.recurrentNodes != nil }), let axis = node.integer("axis"),
      let layout = ONNXLayout.joined(layouts, axis), let output = node.output(0)
    else { return false }
    budget -= layout.parts.count
    var result = first.moved("Concat", layout)
    result.sources = []
    for source in parts.flatMap(\.sources) where !result.sources.contains(source) {
      guard result.sources.count < 4096 else { return false }
      result.sources.append(source)
    }
    result.isExclusive = false
    traces[output] = result
    return true
  }
}
