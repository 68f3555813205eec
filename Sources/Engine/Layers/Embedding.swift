import Tensors

/// A table of vectors, as `nn.Embedding`.
public struct Embedding<S: Scalar>: Sendable {
  /// The vectors (V, E).
  public let weight: NDArray<S>
  /// The index whose vector is not trained, if there is one.
  public let paddingIndex: Int?

  /// Creates a layer; a negative `paddingIndex` counts from the end. The weight is taken as it is.
  ///
  /// Throws `engine.parameter-shape` unless the weight is (V, E), `engine.configuration` for a padding index
  /// outside it.
  public init(weight: NDArray<S>, paddingIndex: Int? = nil) throws {
    guard weight.shape.count == 2, weight.shape.allSatisfy({ $0 > 0 }),
      weight.count == weight.shape[0] * weight.shape[1]
    else {
      throw RecurrentError(
        .engineParameterShape, at: "weight", found: "shape \(weight.shape)",
        expected: "(V, E)")
    }
    let count = weight.shape[0]
    if let paddingIndex, paddingIndex < -count || paddingIndex >= count {
      throw RecurrentError(
        .engineConfiguration, at: "padding_idx", found: "padding_idx \(paddingIndex)",
        asPyTorchSays: "Padding_idx must be within num_embeddings, \(count)")
    }
    self.weight = weight
    self.paddingIndex = paddingIndex.map { $0 < 0 ? $0 + count : $0 }
  }

  /// The table under PyTorch's name, `weight`.
  public var parameters: Parameters<S> {
    var result = Parameters<S>()
    result.append("weight", weight)
    return result
  }

  /// Creates a layer from `weight`, and nothing else.
  ///
  /// Throws `engine.missing-parameter` for other names, and as ``init(weight:paddingIndex:)``.
  public init(parameters: Parameters<S>, paddingIndex: Int? = nil) throws {
    guard let weight = parameters["weight"], parameters.names.count == 1 else {
      throw RecurrentError(
        .engineMissingParameter, at: "embedding",
        found: "parameters \(parameters.names)", expected: "weight (V, E)")
    }
    try self.init(weight: weight, paddingIndex: paddingIndex)
  }

  /// The vectors of the indices: their shape and (E); throws `engine.index-range` for an index outside 0..<V.
  public func callAsFunction(_ indices: NDArray<Int>) throws -> NDArray<S> {
    try self(indices.elements, shape: indices.shape)
  }

  /// The gradient of the weight, given that of the vectors; zero for the padding index.
  ///
  /// Throws `engine.index-range` for an index outside the table, `engine.output-shape` for a gradient of another
  /// shape.
  public func backward(_ indices: NDArray<Int>, gradOutput: NDArray<S>) throws -> NDArray<S> {
    try backward(indices.elements, shape: indices.shape, gradOutput: gradOutput)
  }

  /// The vectors of indices in row-major order: `shape` and (E); throws `engine.index-range` for an index outside 0..<V.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  public func callAsFunction(_ indices: [Int], shape: [Int]) throws -> NDArray<S> {
    try check(indices, shape)
    let width = weight.shape[1]
    var result = [S].unfilled(indices.count * width)
    weight.elements.withUnsafeBufferPointer { table in
      result.withUnsafeMutableBufferPointer { vectors in
        guard let from = table.baseAddress, let to = vectors.baseAddress else { return }
        for (row, index) in indices.enumerated() {
          (to + row * width).update(from: from + index * width, count: width)
        }
      }
    }
    return NDArray(trusted: shape + [width], result)
  }

  /// The gradient of the weight, given that of the vectors; zero for the padding index.
  ///
  /// Throws `engine.index-range` for an index outside the table, `engine.output-shape` for a gradient of another
  /// shape.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  public func backward(
    _ indices: [Int], shape: [Int], gradOutput: NDArray<S>
  ) throws -> NDArray<S> {
    try check(indices, shape)
    let width = weight.shape[1]
    guard gradOutput.shape == shape + [width], gradOutput.count == indices.count * width else {
      throw RecurrentError(
        .engineOutputShape, at: "gradient of output",
        found: "shape \(gradOutput.shape)", expected: "\(shape + [width])")
    }
    var result = NDArray<S>(zeros: weight.shape)
    // Only the rows of indices that occur are touched.
    result.elements.withUnsafeMutableBufferPointer { sums in
      gradOutput.elements.withUnsafeBufferPointer { gradients in
        for (row, index) in indices.enumerated() where index != paddingIndex {
          for column in 0..<width {
            sums[index * width + column] += gradients[row * width + column]
          }
        }
      }
    }
    return result
  }

  private func check(_ indices: [Int], _ shape: [Int]) throws {
    // Without the overflow check a hostile shape would trap.
    var count = 1
    for extent in shape {
      let (product, overflow) = count.multipliedReportingOverflow(by: extent)
      count = overflow || extent < 0 ? -1 : product
      if count < 0 { break }
    }
    guard count == indices.count else {
      throw RecurrentError(
        .engineShape, at: "indices", found: "\(indices.count) indices",
        expected: "shape \(shape)")
    }
    for (row, index) in indices.enumerated() where index < 0 || index >= weight.shape[0] {
      throw RecurrentError(
        .engineIndexRange, at: "indices, element \(row)",
        found: "index out of range in self: \(index)", expected: "0 to \(weight.shape[0] - 1)")
    }
  }
}
