import Tensors

/// An initial state that is a parameter: one vector per layer and direction, the same for every row.
public struct LearnedState<S: Scalar>: Sendable, Equatable {
  /// The vectors, (L·D, S).
  public var vectors: NDArray<S>

  /// Wraps vectors; throws `engine.state-shape` unless they are (L·D, S).
  public init(_ vectors: NDArray<S>) throws {
    guard vectors.shape.count == 2 else {
      throw RecurrentError(
        .malformed, "engine.state-shape", found: "shape \(vectors.shape)",
        expected: "(layers and directions, features)")
    }
    self.vectors = vectors
  }

  /// The state of a batch, (L·D, N, S).
  public func expanded(rows: Int) -> NDArray<S> {
    vectors.insertingAxis(at: 1).selecting([Int](repeating: 0, count: rows), axis: 1)
  }

  /// The gradient of the vectors: that of the batch's state, (L·D, N, S), summed over the rows.
  public func gradient(of gradient: NDArray<S>) throws -> NDArray<S> {
    let (count, width) = (vectors.shape[0], vectors.shape[1])
    guard gradient.shape.count == 3, gradient.shape[0] == count, gradient.shape[2] == width else {
      throw RecurrentError(
        .malformed, "engine.state-shape", at: "gradient of the state",
        found: "shape \(gradient.shape)", expected: "(\(count), rows, \(width))")
    }
    let rows = gradient.shape[1]
    var result = NDArray<S>(zeros: vectors.shape)
    for index in 0..<count {
      for row in 0..<rows {
        for unit in 0..<width {
          result.elements[index * width + unit] +=
            gradient.elements[(index * rows + row) * width + unit]
        }
      }
    }
    return result
  }
}
