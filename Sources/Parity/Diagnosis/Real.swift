import RNNEngine

/// What the network of a hypothesis computes with: numbers, or numbers with a derivative.
protocol Real: Sendable {
  init(_ value: Double)
  /// The number without its derivative.
  var value: Double { get }
  static func + (a: Self, b: Self) -> Self
  static func - (a: Self, b: Self) -> Self
  static func * (a: Self, b: Self) -> Self
  static func / (a: Self, b: Self) -> Self
  static func tanh(_ x: Self) -> Self
  static func exp(_ x: Self) -> Self
}

extension Double: Real {
  var value: Double { self }
}

/// A number and its derivative in one direction: what is computed with it carries the derivative along, exactly.
struct Dual: Real, Equatable {
  var value: Double
  var tangent: Double

  init(_ value: Double, _ tangent: Double) {
    self.value = value
    self.tangent = tangent
  }

  init(_ value: Double) { self.init(value, 0) }

  static func + (a: Dual, b: Dual) -> Dual { Dual(a.value + b.value, a.tangent + b.tangent) }
  static func - (a: Dual, b: Dual) -> Dual { Dual(a.value - b.value, a.tangent - b.tangent) }
  static func * (a: Dual, b: Dual) -> Dual {
    Dual(a.value * b.value, a.tangent * b.value + a.value * b.tangent)
  }
  static func / (a: Dual, b: Dual) -> Dual {
    let quotient = a.value / b.value
    return Dual(quotient, (a.tangent - quotient * b.tangent) / b.value)
  }
  static func tanh(_ x: Dual) -> Dual {
    let y = Double.tanh(x.value)
    return Dual(y, (1 - y * y) * x.tangent)
  }
  static func exp(_ x: Dual) -> Dual {
    let y = Double.exp(x.value)
    return Dual(y, y * x.tangent)
  }
}

/// The functions that implementations put where PyTorch has the logistic function or tanh.
enum Squash: String, Sendable, CaseIterable {
  case sigmoid
  case tanh
  case relu
  case identity
  case softsign
  /// clip(0.2 x + 0.5), Keras 2's.
  case hardSigmoid = "hard_sigmoid (0.2 x + 0.5)"
  /// clip(x / 6 + 0.5), PyTorch's and Keras 3's.
  case hardSigmoid6 = "hard_sigmoid (x / 6 + 0.5)"
  /// clip(x, -1, 1).
  case hardTanh = "hardtanh"

  @inline(__always)
  func callAsFunction<R: Real>(_ x: R) -> R {
    func clip(_ y: R, _ low: Double, _ high: Double) -> R {
      y.value < low ? R(low) : y.value > high ? R(high) : y
    }
    switch self {
    case .sigmoid: return R(1) / (R(1) + R.exp(R(0) - x))
    case .tanh: return R.tanh(x)
    case .relu: return x.value < 0 ? R(0) : x
    case .identity: return x
    case .softsign: return x / (x.value < 0 ? R(1) - x : R(1) + x)
    case .hardSigmoid: return clip(R(0.2) * x + R(0.5), 0, 1)
    case .hardSigmoid6: return clip(x / R(6) + R(0.5), 0, 1)
    case .hardTanh: return clip(x, -1, 1)
    }
  }
}
