import Tensors

/// What a recurrent matrix does to a signal that passes through it again and again.
///
/// Without the non-linearity, a gradient changes by the factor `spectralRadius` per step after many
/// steps, and by `largestSingularValue` at most in any one step. (A document of this project takes the
/// singular value for the rate; for its own example 2.3815 is measured, the radius being 2.3819 and the
/// singular value 2.4746.)
public struct RecurrentSpectrum: Sendable, Equatable {
  /// The eigenvalues, largest first.
  public var eigenvalues: [(real: Double, imaginary: Double)] {
    values.map { ($0.real, $0.imaginary) }
  }
  /// The singular values, largest first.
  public let singularValues: [Double]
  package let values: [Complex]

  /// The size of the largest eigenvalue: the factor per step in the long run.
  public var spectralRadius: Double { values.first?.size ?? 0 }
  /// The largest factor that a single step can have.
  public var largestSingularValue: Double { singularValues.first ?? 0 }

  /// Whether gradients through many steps grow, where the units of a tanh or ReLU network are not saturated.
  public var explodes: Bool { spectralRadius > 1 }

  /// Whether gradients shrink in every step, whatever the non-linearity (whose slope is 1 at most).
  ///
  /// Where they neither vanish nor explode they may grow for some steps, and shrink in the long run.
  public var vanishes: Bool { largestSingularValue < 1 && spectralRadius <= 1 }

  /// Examines a square matrix; throws `engine.shape` for another one, `engine.not-finite` for NaN or
  /// infinite elements.
  public init<S: Scalar>(_ matrix: NDArray<S>) throws {
    guard matrix.shape.count == 2, matrix.shape[0] == matrix.shape[1],
      matrix.count == (try checkedCount(matrix.shape))
    else {
      throw RecurrentError(
        .engineShape, found: "shape \(matrix.shape)", expected: "a square matrix")
    }
    try self.init(matrix.elements.map { Double($0) }, size: matrix.shape[0])
  }

  /// Examines every gate of recurrent weights (gates·H, H), such as `weight_hh_l0` of an LSTM; one
  /// spectrum for each gate, in order.
  ///
  /// Throws `engine.shape` for a projection or any other shape, `engine.not-finite` for NaN or infinite elements.
  public static func gates<S: Scalar>(_ weights: NDArray<S>) throws -> [RecurrentSpectrum] {
    guard weights.shape.count == 2, weights.shape[1] > 0, weights.shape[0] % weights.shape[1] == 0,
      weights.count == (try checkedCount(weights.shape))
    else {
      throw RecurrentError(
        .engineShape, found: "shape \(weights.shape)",
        expected: "(gates · H, H), without a projection")
    }
    let size = weights.shape[1]
    let elements = weights.elements.map { Double($0) }
    return try stride(from: 0, to: elements.count, by: size * size).map {
      try RecurrentSpectrum(Array(elements[$0..<$0 + size * size]), size: size)
    }
  }

  private init(_ elements: [Double], size: Int) throws {
    guard elements.allSatisfy(\.isFinite) else {
      throw RecurrentError(
        .engineNotFinite, found: "a matrix with NaN or infinite elements",
        expected: "finite elements")
    }
    values = try RNNEngine.eigenvalues(elements, size: size)
    singularValues = RNNEngine.singularValues(elements, rows: size, columns: size)
  }
}
