import Tensors

/// What the numbers of a tensor look like.
public struct TensorStatistics: Sendable {
  /// The number of elements.
  public private(set) var count = 0
  /// The smallest finite element; infinity when there is none.
  public private(set) var minimum = Double.infinity
  /// The largest finite element; −infinity when there is none.
  public private(set) var maximum = -Double.infinity
  /// The mean of the finite elements; NaN when there is none.
  public private(set) var mean = Double.nan
  /// The number of NaNs.
  public private(set) var nanCount = 0
  /// The number of infinities.
  public private(set) var infinityCount = 0
  /// The Euclidean norm of the finite elements.
  public private(set) var norm = 0.0

  /// Reads a floating-point, integer or bool tensor.
  public init(_ tensor: Tensor) throws {
    let values =
      tensor.dtype.isFloatingPoint
      ? try tensor.doubles() : try tensor.integers().map { Double($0) }
    var sum = 0.0
    var squares = 0.0
    var finite = 0
    for value in values {
      if value.isNaN {
        nanCount += 1
      } else if value.isInfinite {
        infinityCount += 1
      } else {
        finite += 1
        sum += value
        squares += value * value
        minimum = min(minimum, value)
        maximum = max(maximum, value)
      }
    }
    count = values.count
    norm = squares.squareRoot()
    if finite > 0 { mean = sum / Double(finite) }
  }
}
