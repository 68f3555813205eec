// The element-wise operations that PyTorch's optimisers are written in, rounded where its CPU kernels
// round: a multiplication that feeds an addition is fused with it. Without that, up to a quarter of the
// parameters differ after 20 steps.

/// Arrays of one length as operands; every method is the torch operation of the name in its comment.
enum TensorArithmetic {
  /// `a.mul_(factor)`
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  static func scale<S: Scalar>(_ a: inout [S], by factor: S) {
    for i in a.indices { a[i] *= factor }
  }

  /// `a.add_(b, alpha=factor)`
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  static func add<S: Scalar>(_ a: inout [S], _ b: [S], times factor: S) {
    for i in a.indices { a[i] = a[i].addingProduct(b[i], factor) }
  }

  /// `a.addcmul_(b, c, value=factor)`
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  static func addProduct<S: Scalar>(_ a: inout [S], _ b: [S], _ c: [S], times factor: S) {
    for i in a.indices { a[i] = a[i].addingProduct(factor * b[i], c[i]) }
  }

  /// `a.addcdiv_(b, c, value=factor)`
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  static func addQuotient<S: Scalar>(_ a: inout [S], _ b: [S], _ c: [S], times factor: S) {
    for i in a.indices { a[i] += factor * b[i] / c[i] }
  }

  /// `a.lerp_(b, weight)`
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  static func interpolate<S: Scalar>(_ a: inout [S], _ b: [S], weight: S) {
    let near = weight < 0.5
    for i in a.indices {
      let way = b[i] - a[i]
      a[i] = near ? a[i].addingProduct(weight, way) : b[i].addingProduct(weight - 1, way)
    }
  }

  /// `(a.sqrt() / divisor).add_(epsilon)`
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  static func denominator<S: Scalar>(_ a: [S], divisor: S, epsilon: S) -> [S] {
    a.map { $0.squareRoot() / divisor + epsilon }
  }

  /// `torch.maximum(a, b, out=a)`
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  static func maximum<S: Scalar>(_ a: inout [S], _ b: [S]) {
    for i in a.indices where b[i] > a[i] || b[i].isNaN { a[i] = b[i] }
  }
}
