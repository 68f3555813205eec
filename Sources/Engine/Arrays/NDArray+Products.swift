import Tensors

extension NDArray where Element: Scalar {
  /// The product of matrices, by the engine's kernels.
  ///
  /// (…, M, K) with (K, N) is (…, M, N): one matrix for all. (…, M, K) with (…, K, N) is a product for each of the
  /// leading places, which must be the same. Throws `engine.shape` for shapes that do not fit.
  @_specialize(where Element == Float)
  @_specialize(where Element == Double)
  public func matmul(_ other: NDArray) throws -> NDArray {
    let isShared = other.rank == 2
    guard rank >= 2, other.rank >= 2, shape[rank - 1] == other.shape[other.rank - 2],
      isShared || shape.dropLast(2) == other.shape.dropLast(2)
    else {
      throw RecurrentError(
        .engineShape, found: "a product of shapes \(shape) and \(other.shape)",
        expected: "(…, M, K) and (K, N), or (…, K, N) with the same leading axes")
    }
    let (inner, columns) = (other.shape[other.rank - 2], other.shape[other.rank - 1])
    let result = shape.dropLast() + [columns]
    let places = isShared ? 1 : shape.dropLast(2).reduce(1, *)
    let rows = shape.dropLast().reduce(1, *) / Swift.max(1, places)
    guard inner > 0, rows > 0, columns > 0, places > 0 else {
      return NDArray(zeros: Array(result))
    }
    let (left, right) = (rows * inner, inner * columns)
    var product = [Element].unfilled(places * rows * columns)
    elements.withUnsafeBufferPointer { a in
      other.elements.withUnsafeBufferPointer { b in
        product.withUnsafeMutableBufferPointer { product in
          guard let a = a.baseAddress, let b = b.baseAddress, let product = product.baseAddress
          else { return }
          let kernels = kernels(for: Element.self)
          let zeros = [Element](repeating: 0, count: columns)
          for place in 0..<places {
            kernels.project(
              a + place * left, Block(rows: rows, columns: inner),
              weight: kernels.pack(
                b + place * right, rowStride: columns, columnStride: 1, rows: inner,
                columns: columns), bias: zeros, width: columns,
              into: product + place * rows * columns, stride: columns)
          }
        }
      }
    }
    return NDArray(trusted: Array(result), product)
  }
}
