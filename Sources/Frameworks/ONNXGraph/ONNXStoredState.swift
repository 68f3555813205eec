import Bytes
import Containers
import Tensors

/// An initial state that the file stores, on its way through Expand to the batch.
struct ONNXStoredState {
  /// What is stored, axes of size one standing for those that were expanded.
  var tensor: Tensor
  /// The sizes after expanding; `nil` where the graph alone knows.
  var sizes: [ONNXSize?]

  init(_ tensor: Tensor) {
    self.tensor = tensor
    sizes = tensor.shape.map { ONNXSize($0) }
  }

  /// Expands like ONNX's Expand; without known sizes only the rank may be taken from the tensor.
  func expanded(_ targets: [ONNXSize]?) throws -> ONNXStoredState? {
    guard let targets else {
      guard tensor.shape.count == 3 else { return nil }
      var result = self
      for axis in 0..<3 where tensor.shape[axis] == 1 { result.sizes[axis] = nil }
      return result
    }
    guard targets.count <= 8, tensor.shape.count <= 8 else { return nil }
    let rank = max(targets.count, tensor.shape.count)
    let shape = [Int](repeating: 1, count: rank - tensor.shape.count) + tensor.shape
    var result = ONNXStoredState(
      try Tensor(dtype: tensor.dtype, shape: shape, source: tensor.source))
    result.sizes = [ONNXSize?](repeating: ONNXSize(1), count: rank - sizes.count) + sizes
    for (index, target) in targets.enumerated() {
      let axis = rank - targets.count + index
      // One is a size that any other replaces; what is larger stays.
      if result.sizes[axis] == ONNXSize(1) { result.sizes[axis] = target }
    }
    return result
  }

  /// Repeats axes of size one.
  func tiled(_ repeats: [ONNXSize]) -> ONNXStoredState? {
    guard repeats.count == sizes.count else { return nil }
    var result = self
    for (axis, count) in repeats.enumerated() where count.known != 1 {
      guard sizes[axis] == ONNXSize(1) else { return nil }
      result.sizes[axis] = count
    }
    return result
  }

  /// The state (directions, 1 or N, H) that a node takes, from a value in its layout.
  func state(directions: Int, hidden: Int, batchMajor: Bool) throws -> Tensor? {
    guard tensor.shape.count == 3 else { return nil }
    var shape = tensor.shape
    var source = tensor.source
    if batchMajor {
      let strides = [shape[2], shape[1] * shape[2], 1]
      shape = [shape[1], shape[0], shape[2]]
      source = try StridedSource(
        source, elementSize: tensor.dtype.byteCount, shape: shape, strides: strides, offset: 0)
    }
    guard shape[2] == hidden, shape[1] > 0 else { return nil }
    if shape[0] == 1, directions == 2 {
      let size = sizes[batchMajor ? 1 : 0]
      guard size == nil || size?.known == directions else { return nil }
      source = try ConcatenatedSource(
        [source, source], rows: [source.count, source.count], height: 1)
      shape[0] = 2
    }
    guard shape[0] == directions else { return nil }
    return try Tensor(dtype: tensor.dtype, shape: shape, source: source)
  }
}
