import CKernels

// The element-wise operations that PyTorch's optimisers are written in, rounded where its CPU kernels
// round: a multiplication that feeds an addition is fused with it. Without that, up to a quarter of the
// parameters differ after 20 steps.

/// A part of an array, which the operations change in place.
struct Vector<S: Scalar> {
  let elements: UnsafeMutablePointer<S>
  let count: Int

  func copy(to other: Vector) { other.elements.update(from: elements, count: count) }
}

/// Vectors of one length as operands; every method is the torch operation of the name in its comment.
enum TensorArithmetic {
  /// `a.mul_(factor)`
  static func scale<S: Scalar>(_ a: Vector<S>, by factor: S) {
    step(CK_STEP_SCALE, a, nil, nil, factor)
  }

  /// `a.add_(b, alpha=factor)`
  static func add<S: Scalar>(_ a: Vector<S>, _ b: Vector<S>, times factor: S) {
    step(CK_STEP_ADD, a, b, nil, factor)
  }

  /// `a.addcmul_(b, c, value=factor)`
  static func addProduct<S: Scalar>(
    _ a: Vector<S>, _ b: Vector<S>, _ c: Vector<S>, times factor: S
  ) {
    step(CK_STEP_ADD_PRODUCT, a, b, c, factor)
  }

  /// `a.addcdiv_(b, c, value=factor)`
  static func addQuotient<S: Scalar>(
    _ a: Vector<S>, _ b: Vector<S>, _ c: Vector<S>, times factor: S
  ) {
    step(CK_STEP_ADD_QUOTIENT, a, b, c, factor)
  }

  /// `a.lerp_(b, weight)`
  static func interpolate<S: Scalar>(_ a: Vector<S>, _ b: Vector<S>, weight: S) {
    if weight < 0.5 {
      step(CK_STEP_NEAR, a, b, nil, weight)
    } else {
      step(CK_STEP_FAR, a, b, nil, weight - 1)
    }
  }

  /// `result = (a.sqrt() / divisor).add_(epsilon)`
  static func denominator<S: Scalar>(
    _ result: Vector<S>, _ a: Vector<S>, divisor: S, epsilon: S
  ) {
    step(CK_STEP_DENOMINATOR, result, a, nil, divisor, epsilon)
  }

  /// `torch.maximum(a, b, out=a)`
  static func maximum<S: Scalar>(_ a: Vector<S>, _ b: Vector<S>) {
    step(CK_STEP_MAXIMUM, a, b, nil, 0)
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  private static func step<S: Scalar>(
    _ operation: ck_step, _ a: Vector<S>, _ b: Vector<S>?, _ c: Vector<S>?, _ f: S, _ g: S = 0
  ) {
    let (count, a, b, c) = (a.count, a.elements, b?.elements, c?.elements)
    // Every instruction set rounds alike, so that the choice of the kernels does not matter here.
    if let table = ck_find(MemoryLayout<S>.size, nil) {
      table.pointee.step(Int32(operation.rawValue), a, b, c, Double(f), Double(g), count)
      return
    }
    for i in 0..<count {
      let (x, y, z) = (a[i], b?[i] ?? 0, c?[i] ?? 0)
      switch operation {
      case CK_STEP_SCALE: a[i] = x * f
      case CK_STEP_ADD: a[i] = x.addingProduct(y, f)
      case CK_STEP_ADD_PRODUCT: a[i] = x.addingProduct(f * y, z)
      case CK_STEP_ADD_QUOTIENT: a[i] = x + f * y / z
      case CK_STEP_NEAR: a[i] = x.addingProduct(f, y - x)
      case CK_STEP_FAR: a[i] = y.addingProduct(f, y - x)
      case CK_STEP_DENOMINATOR: a[i] = y.squareRoot() / f + g
      default: if y > x || y.isNaN { a[i] = y }
      }
    }
  }
}
