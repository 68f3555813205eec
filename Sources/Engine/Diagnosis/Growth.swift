import Tensors

/// The 2-norm of a gradient at every time step, given the gradients of the states (T, …).
///
/// Falling towards the first step they vanish, rising they explode.
public func gradientNorms<S: Scalar>(_ deltas: NDArray<S>) throws -> [S] {
  try steps(deltas).map { norm(deltas.elements[$0]) }
}

/// How two runs of a network drift apart, such as ours and a reference's.
///
/// Where small deviations grow exponentially no two implementations agree for long: then compare step by
/// step from the reference's states.
public struct Deviation: Sendable, Equatable {
  /// The largest absolute difference at every time step.
  public var perStep: [Double]
  /// The factor per step between the first difference and the largest, by least squares of the
  /// logarithms; 1 if fewer than two steps differ.
  public var growth: Double

  /// Compares two arrays (T, …) of one shape; throws `engine.shape` if they differ in shape.
  public init<S: Scalar>(_ a: NDArray<S>, _ b: NDArray<S>) throws {
    guard a.shape == b.shape, a.count == b.count else {
      throw RecurrentError(
        .malformed, "engine.shape", found: "shapes \(a.shape) and \(b.shape)",
        expected: "one shape")
    }
    perStep = try steps(a).map { range in
      range.reduce(0) { Swift.max($0, abs(Double(a.elements[$1]) - Double(b.elements[$1]))) }
    }
    let largest = perStep.max() ?? 0
    let end = (perStep.firstIndex(of: largest) ?? 0) + 1
    let points = perStep.prefix(end).enumerated().filter { $0.element > 0 }
      .map { (x: Double($0.offset), y: Double.log($0.element)) }
    let count = Double(points.count)
    let (meanX, meanY) = (
      points.reduce(0) { $0 + $1.x } / count, points.reduce(0) { $0 + $1.y } / count
    )
    let spread = points.reduce(0) { $0 + ($1.x - meanX) * ($1.x - meanX) }
    let covariance = points.reduce(0) { $0 + ($1.x - meanX) * ($1.y - meanY) }
    growth = points.count < 2 ? 1 : Double.exp(covariance / spread)
  }
}

private func steps<S: Scalar>(_ array: NDArray<S>) throws -> [Range<Int>] {
  guard let count = array.shape.first, array.count == (try checkedCount(array.shape)) else {
    throw RecurrentError(
      .malformed, "engine.shape", found: "shape \(array.shape) with \(array.count) elements",
      expected: "(T, …)")
  }
  let length = count == 0 ? 0 : array.count / count
  return (0..<count).map { $0 * length..<($0 + 1) * length }
}

private func norm<S: Scalar>(_ elements: ArraySlice<S>) -> S {
  // In double precision the square of every single-precision number is finite.
  S(elements.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot())
}
