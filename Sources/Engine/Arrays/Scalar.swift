import HostSystem

/// An element type of the engine; `Float` and `Double` conform, and nothing else should.
public protocol Scalar: BinaryFloatingPoint & Sendable {
  /// The hyperbolic tangent.
  static func tanh(_ x: Self) -> Self
  /// e raised to `x`.
  static func exp(_ x: Self) -> Self
  /// The natural logarithm.
  static func log(_ x: Self) -> Self
  /// The natural logarithm of `1 + x`, accurate near zero.
  static func log1p(_ x: Self) -> Self
}

extension Double: Scalar {
  /// The hyperbolic tangent.
  @inline(__always)
  public static func tanh(_ x: Double) -> Double { cTanh(x) }
  /// e raised to `x`.
  @inline(__always)
  public static func exp(_ x: Double) -> Double { cExp(x) }
  /// The natural logarithm.
  @inline(__always)
  public static func log(_ x: Double) -> Double { cLog(x) }
  /// The natural logarithm of `1 + x`, accurate near zero.
  @inline(__always)
  public static func log1p(_ x: Double) -> Double { cLog1p(x) }
}

extension Float: Scalar {
  /// The hyperbolic tangent, through `Double`: libm's own `tanhf` is off by up to two units in the last
  /// place, PyTorch's by half of one.
  @inline(__always)
  public static func tanh(_ x: Float) -> Float { Float(cTanh(Double(x))) }
  /// e raised to `x`.
  @inline(__always)
  public static func exp(_ x: Float) -> Float { Float(cExp(Double(x))) }
  /// The natural logarithm.
  @inline(__always)
  public static func log(_ x: Float) -> Float { Float(cLog(Double(x))) }
  /// The natural logarithm of `1 + x`, accurate near zero.
  @inline(__always)
  public static func log1p(_ x: Float) -> Float { Float(cLog1p(Double(x))) }
}

/// 1 / (1 + e⁻ˣ), operation by operation as torch.
@inline(__always)
func sigmoid<S: Scalar>(_ x: S) -> S { 1 / (1 + S.exp(-x)) }

// Inside `Double` the C functions are hidden by the static methods of the same names.
@inline(__always) private func cTanh(_ x: Double) -> Double { tanh(x) }
@inline(__always) private func cExp(_ x: Double) -> Double { exp(x) }
@inline(__always) private func cLog(_ x: Double) -> Double { log(x) }
@inline(__always) private func cLog1p(_ x: Double) -> Double { log1p(x) }
