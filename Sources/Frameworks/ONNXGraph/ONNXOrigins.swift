import Bytes
import Containers
import Tensors

extension ONNXValues {
  /// The stored tensor that a fixed value is, or is a rearrangement of alone.
  func root(of name: Name) -> Name? {
    var name = name
    for _ in 0..<24 {
      if isInitializer(name) { return name }
      guard let (index, _) = producer(of: name), let input = graph.nodes[index].input(0) else {
        return nil
      }
      if graph.nodes[index].operation == "Concat" { return nil }
      name = input
    }
    return nil
  }

  /// The transpose of a fixed matrix; of a matrix that the graph transposes, the original.
  func transposed(_ name: Name) throws -> Tensor {
    if let (index, _) = producer(of: name), graph.nodes[index].operation == "Transpose",
      let input = graph.nodes[index].input(0), let original = try? tensor(input),
      original.shape.count == 2,
      graph.nodes[index].attribute("perm")?.integers ?? [1, 0] == [1, 0]
    {
      return original
    }
    let matrix = try tensor(name)
    let (rows, columns) = (matrix.shape[0], matrix.shape[1])
    return try Tensor(
      dtype: matrix.dtype, shape: [columns, rows],
      source: StridedSource(
        matrix.source, elementSize: matrix.dtype.byteCount, shape: [columns, rows],
        strides: [1, columns], offset: 0))
  }
}
