import Bytes
import Containers
import Tensors

/// A node that moves elements without computing: what exporters put between stored parameters and the
/// W, R and B of a recurrent node.
struct ONNXRearrangement {
  private let node: ONNXNode
  private let output: Int
  private static let operations: Set<String> = [
    "Identity", "Cast", "Unsqueeze", "Squeeze", "Reshape", "Flatten", "Transpose", "Slice", "Split",
    "Concat",
  ]

  init(_ node: ONNXNode, output: Int) {
    self.node = node
    self.output = output
  }

  /// Whether the operation is one of those followed.
  var isKnown: Bool { Self.operations.contains(node.operation) }

  /// The result, computed on demand; `nil` where the node asks for more than moving (a cast to another
  /// type, a stride). Throws `onnx.rearrangement` when inputs and attributes do not fit.
  func apply(_ inputs: [Tensor?]) throws -> Tensor? {
    guard let first = inputs.first, let tensor = first else { throw malformed("no input") }
    // Without elements there is nothing to move, and sizes beside a zero can be any number.
    guard !tensor.shape.contains(0) else { return nil }
    switch node.operation {
    case "Identity": return tensor
    case "Cast": return node.integer("to") == tensor.dtype.onnxNumber ? tensor : nil
    case "Unsqueeze": return try unsqueezed(tensor, inputs)
    case "Squeeze": return try squeezed(tensor, inputs)
    case "Reshape": return try reshaped(tensor, inputs)
    case "Flatten":
      let axis = try normalized(node.integer("axis") ?? 1, tensor.shape.count + 1)
      let rows = try elementCount(of: Array(tensor.shape[..<axis]))
      let columns = try elementCount(of: Array(tensor.shape[axis...]))
      return try Tensor(dtype: tensor.dtype, shape: [rows, columns], source: tensor.source)
    case "Transpose": return try transposed(tensor)
    case "Slice": return try sliced(tensor, inputs)
    case "Split": return try split(tensor, inputs)
    case "Concat": return try concatenated(inputs)
    default: return nil
    }
  }

  private func malformed(_ found: String) -> RecurrentError {
    RecurrentError(
      .onnxRearrangement, at: node.place, found: "\(node.operation) of \(found)",
      expected: "inputs and attributes that fit each other")
  }

  private func normalized(_ axis: Int, _ count: Int) throws -> Int {
    guard axis >= -count, axis < count else { throw malformed("axis \(axis) of \(count)") }
    return axis < 0 ? axis + count : axis
  }

  /// Numbers that old operator sets give as an attribute and new ones as an input.
  private func numbers(_ attribute: String, _ inputs: [Tensor?], _ index: Int) throws -> [Int]? {
    if let values = node.attribute(attribute)?.integers, !values.isEmpty { return values }
    guard index < inputs.count, let tensor = inputs[index] else { return nil }
    guard tensor.elementCount <= 1000, !tensor.dtype.isFloatingPoint else {
      throw malformed("\(attribute) of type \(tensor.dtype.rawValue) \(tensor.shape)")
    }
    return try tensor.integers()
  }

  private func unsqueezed(_ tensor: Tensor, _ inputs: [Tensor?]) throws -> Tensor {
    guard let axes = try numbers("axes", inputs, 1) else { throw malformed("no axes") }
    let rank = tensor.shape.count + axes.count
    let new = Set(try axes.map { try normalized($0, rank) })
    guard new.count == axes.count, rank <= 32 else { throw malformed("axes \(axes)") }
    var sizes = tensor.shape[...]
    let shape = (0..<rank).map { new.contains($0) ? 1 : sizes.removeFirst() }
    return try Tensor(dtype: tensor.dtype, shape: shape, source: tensor.source)
  }

  private func squeezed(_ tensor: Tensor, _ inputs: [Tensor?]) throws -> Tensor {
    let axes = try numbers("axes", inputs, 1)
    let dropped = Set(
      try axes?.map { try normalized($0, tensor.shape.count) }
        ?? tensor.shape.indices.filter { tensor.shape[$0] == 1 })
    guard dropped.allSatisfy({ tensor.shape[$0] == 1 }) else {
      throw malformed("axes \(axes ?? []) of shape \(tensor.shape)")
    }
    let shape = tensor.shape.indices.filter { !dropped.contains($0) }.map { tensor.shape[$0] }
    return try Tensor(dtype: tensor.dtype, shape: shape, source: tensor.source)
  }

  private func reshaped(_ tensor: Tensor, _ inputs: [Tensor?]) throws -> Tensor {
    guard var shape = try numbers("shape", inputs, 1), shape.count <= 32 else {
      throw malformed("no shape")
    }
    if node.integer("allowzero") != 1 {
      for axis in shape.indices where shape[axis] == 0 {
        guard axis < tensor.shape.count else {
          throw malformed("shape \(tensor.shape) to \(shape)")
        }
        shape[axis] = tensor.shape[axis]
      }
    }
    if let free = shape.firstIndex(of: -1) {
      shape[free] = 1
      let others = try elementCount(of: shape)
      guard others > 0, tensor.elementCount % others == 0 else {
        throw malformed("shape \(tensor.shape) to \(shape)")
      }
      shape[free] = tensor.elementCount / others
    }
    guard try elementCount(of: shape) == tensor.elementCount else {
      throw malformed("shape \(tensor.shape) to \(shape)")
    }
    return try Tensor(dtype: tensor.dtype, shape: shape, source: tensor.source)
  }

  private func transposed(_ tensor: Tensor) throws -> Tensor {
    let rank = tensor.shape.count
    let order = node.attribute("perm")?.integers ?? Array((0..<rank).reversed())
    guard order.sorted() == Array(0..<rank) else {
      throw malformed("permutation \(order) of \(rank) axes")
    }
    let strides = Self.strides(of: tensor.shape)
    return try view(
      tensor, shape: order.map { tensor.shape[$0] }, strides: order.map { strides[$0] }, offset: 0)
  }

  private func sliced(_ tensor: Tensor, _ inputs: [Tensor?]) throws -> Tensor? {
    guard let starts = try numbers("starts", inputs, 1), let ends = try numbers("ends", inputs, 2),
      starts.count == ends.count
    else { throw malformed("no bounds") }
    let axes = try numbers("axes", inputs, 3) ?? Array(starts.indices)
    if let steps = try numbers("steps", inputs, 4), steps.contains(where: { $0 != 1 }) {
      return nil
    }
    guard axes.count == starts.count else { throw malformed("axes \(axes)") }
    var shape = tensor.shape
    var offset = 0
    let strides = Self.strides(of: tensor.shape)
    var seen: Set<Int> = []
    for (axis, (start, end)) in zip(axes, zip(starts, ends)) {
      let axis = try normalized(axis, shape.count)
      guard seen.insert(axis).inserted else { throw malformed("axis \(axis) twice") }
      let size = tensor.shape[axis]
      func clamped(_ position: Int) -> Int {
        position < 0 ? max(0, position + size) : min(position, size)
      }
      let low = clamped(start)
      shape[axis] = max(0, clamped(end) - low)
      offset += low * strides[axis]
    }
    guard !shape.contains(0) else { throw malformed("shape \(tensor.shape) to nothing") }
    return try view(tensor, shape: shape, strides: strides, offset: offset)
  }

  private func split(_ tensor: Tensor, _ inputs: [Tensor?]) throws -> Tensor {
    let axis = try normalized(node.integer("axis") ?? 0, tensor.shape.count)
    let size = tensor.shape[axis]
    var lengths = try numbers("split", inputs, 1) ?? []
    if lengths.isEmpty {
      // The last part is the smaller one where it does not come out even.
      let each = (size + node.outputs.count - 1) / max(1, node.outputs.count)
      lengths = node.outputs.indices.map { min(each, max(0, size - $0 * each)) }
    }
    guard output < lengths.count, lengths.allSatisfy({ (1...size).contains($0) }),
      lengths.count <= size, lengths.reduce(0, +) == size
    else { throw malformed("\(size) into \(lengths)") }
    var shape = tensor.shape
    shape[axis] = lengths[output]
    let strides = Self.strides(of: tensor.shape)
    let start = lengths[..<output].reduce(0, +)
    return try view(tensor, shape: shape, strides: strides, offset: start * strides[axis])
  }

  private func concatenated(_ inputs: [Tensor?]) throws -> Tensor {
    let parts = inputs.compactMap { $0 }
    guard parts.count == node.inputs.count, let first = parts.first else {
      throw malformed("\(node.inputs.count) inputs")
    }
    let axis = try normalized(node.integer("axis") ?? 0, first.shape.count)
    var shape = first.shape
    shape[axis] = 0
    for part in parts {
      guard part.dtype == first.dtype, part.shape.count == shape.count,
        shape.indices.allSatisfy({ $0 == axis || part.shape[$0] == shape[$0] }),
        !part.shape.contains(0)
      else { throw malformed("shapes \(parts.map(\.shape))") }
      shape[axis] += part.shape[axis]
    }
    let height = try elementCount(of: Array(shape[..<axis]))
    let source = try ConcatenatedSource(
      parts.map(\.source), rows: parts.map { $0.byteCount / height }, height: height)
    return try Tensor(dtype: first.dtype, shape: shape, source: source)
  }

  private func view(
    _ tensor: Tensor, shape: [Int], strides: [Int], offset: Int
  ) throws -> Tensor {
    // Rows that stay together need no gathering.
    if strides == Self.strides(of: shape) {
      let width = tensor.dtype.byteCount
      let count = try byteCount(of: shape, elementSize: width)
      return try Tensor(
        dtype: tensor.dtype, shape: shape,
        source: WindowSource(tensor.source, offset: offset * width, count: count))
    }
    return try Tensor(
      dtype: tensor.dtype, shape: shape,
      source: StridedSource(
        tensor.source, elementSize: tensor.dtype.byteCount, shape: shape, strides: strides,
        offset: offset))
  }

  /// The strides of a row-major tensor whose number of elements is known to fit.
  private static func strides(of shape: [Int]) -> [Int] {
    var strides = [Int](repeating: 1, count: shape.count)
    for axis in shape.indices.dropLast().reversed() {
      strides[axis] = strides[axis + 1] * max(1, shape[axis + 1])
    }
    return strides
  }
}
