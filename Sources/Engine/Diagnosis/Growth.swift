import Tensors

extension NDArray where Element: Scalar {
  /// The 2-norm at every time step of an array (T, …), such as the gradients of the states.
  ///
  /// Falling towards the first step gradients vanish, rising they explode. Throws `engine.shape` without a
  /// time axis.
  public func normsByStep() throws -> [Element] {
    try steps(self).map { norm(elements[$0]) }
  }

  /// How two runs (T, …) of a network drift apart, such as ours and a reference's: the largest absolute
  /// difference at every time step, and its growth.
  ///
  /// The growth is the factor per step between the first difference and the largest, by least squares of the
  /// logarithms; 1 if fewer than two steps differ. Where small deviations grow exponentially no two
  /// implementations agree for long: then compare step by step from the reference's states. Throws
  /// `engine.shape` if the arrays differ in shape.
  public func deviation(
    from reference: NDArray
  ) throws -> (perStep: [Double], growth: Double) {
    guard shape == reference.shape, count == reference.count else {
      throw RecurrentError(
        .engineShape, found: "shapes \(shape) and \(reference.shape)",
        expected: "one shape")
    }
    let perStep = try steps(self).map { range in
      range.reduce(0) {
        Swift.max($0, abs(Double(elements[$1]) - Double(reference.elements[$1])))
      }
    }
    return (perStep, growthPerStep(of: perStep))
  }
}

/// The factor per step between the first deviation and the largest, by least squares of the logarithms; 1 if fewer
/// than two steps deviate.
package func growthPerStep(of deviations: [Double]) -> Double {
  let largest = deviations.max() ?? 0
  let end = (deviations.firstIndex(of: largest) ?? 0) + 1
  let points = deviations.prefix(end).enumerated().filter { $0.element > 0 }
    .map { (x: Double($0.offset), y: Double.log($0.element)) }
  guard points.count > 1 else { return 1 }
  let count = Double(points.count)
  let (meanX, meanY) = (
    points.reduce(0) { $0 + $1.x } / count, points.reduce(0) { $0 + $1.y } / count
  )
  let spread = points.reduce(0) { $0 + ($1.x - meanX) * ($1.x - meanX) }
  let covariance = points.reduce(0) { $0 + ($1.x - meanX) * ($1.y - meanY) }
  return Double.exp(covariance / spread)
}

private func steps<S: Scalar>(_ array: NDArray<S>) throws -> [Range<Int>] {
  guard let count = array.shape.first, array.count == (try checkedCount(array.shape)) else {
    throw RecurrentError(
      .engineShape, found: "shape \(array.shape) with \(array.count) elements",
      expected: "(T, …)")
  }
  let length = count == 0 ? 0 : array.count / count
  return (0..<count).map { $0 * length..<($0 + 1) * length }
}

private func norm<S: Scalar>(_ elements: ArraySlice<S>) -> S {
  // In double precision the square of every single-precision number is finite.
  S(elements.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot())
}
