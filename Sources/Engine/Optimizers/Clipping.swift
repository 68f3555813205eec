import Tensors

// PyTorch's arithmetic, operation by operation, so that a step from equal gradients gives equal bits.

extension Parameters {
  /// Limits every element to `-max...max`, as `clip_grad_value_`; NaN stays.
  public mutating func clipByValue(max limit: S) {
    updateElements { _, elements in limitElements(&elements, limit) }
  }

  /// Scales the gradients to a global 2-norm of at most `max`, as `clip_grad_norm_`.
  ///
  /// Returns the norm before. The factor is `max / (norm + 1e-6)`, at most 1, and NaN if the norm is.
  @discardableResult
  public mutating func clipByGlobalNorm(max limit: S) -> S {
    // Out of the caller's hands meanwhile, so that no array is copied.
    var groups = [self]
    self = Parameters()
    defer { self = groups[0] }
    return groups.clipByGlobalNorm(max: limit)
  }
}

extension Array {
  /// Limits every element of several groups to `-max...max`, as `clip_grad_value_`; NaN stays.
  public mutating func clipByValue<S: Scalar>(max limit: S) where Element == Parameters<S> {
    for index in indices { self[index].clipByValue(max: limit) }
  }

  /// Scales several groups by one factor to a global 2-norm of at most `max`, as `clip_grad_norm_`.
  ///
  /// Returns the norm before. The factor is `max / (norm + 1e-6)`, at most 1, and NaN if the norm is.
  @discardableResult
  public mutating func clipByGlobalNorm<S: Scalar>(max limit: S) -> S
  where Element == Parameters<S> {
    let norms = flatMap { $0.entries.map { norm($0.array.elements) } }
    let total = norm(norms)
    let wanted = limit / (total + 1e-6)
    let factor = wanted > 1 ? 1 : wanted
    for index in indices {
      self[index].updateElements { _, elements in
        elements.withUnsafeMutableBufferPointer {
          guard let base = $0.baseAddress else { return }
          TensorArithmetic.scale(Vector(elements: base, count: $0.count), by: factor)
        }
      }
    }
    return total
  }
}

extension Model.Gradients {
  /// Limits every element of the weights' gradients to `-max...max`, as `clip_grad_value_`; NaN stays.
  public mutating func clipByValue(max limit: S) {
    // Out of the gradients meanwhile, so that no array is copied.
    var groups = parameterGroups
    parameterGroups = groups.map { _ in Parameters() }
    groups.clipByValue(max: limit)
    parameterGroups = groups
  }

  /// Scales the weights' gradients to a global 2-norm of at most `max`, as `clip_grad_norm_`; returns the norm
  /// before.
  @discardableResult
  public mutating func clipByGlobalNorm(max limit: S) -> S {
    var groups = parameterGroups
    parameterGroups = groups.map { _ in Parameters() }
    defer { parameterGroups = groups }
    return groups.clipByGlobalNorm(max: limit)
  }
}

@_specialize(where S == Float)
@_specialize(where S == Double)
private func limitElements<S: Scalar>(_ elements: inout [S], _ limit: S) {
  elements.withUnsafeMutableBufferPointer { elements in
    for index in elements.indices {
      let element = elements[index]
      let above = element < -limit ? -limit : element
      elements[index] = above > limit ? limit : above
    }
  }
}

// Eight partial sums, added up in order, then the rest: the order in which torch's CPU kernel adds
// single-precision squares, and far more accurate than one long sum.
@_specialize(where S == Float)
@_specialize(where S == Double)
private func norm<S: Scalar>(_ elements: [S]) -> S {
  elements.withUnsafeBufferPointer { elements in
    let whole = elements.count & ~7
    func square(_ index: Int) -> S { elements[index] * elements[index] }
    var (a, b, c, d): (S, S, S, S) = (0, 0, 0, 0)
    var (e, f, g, h): (S, S, S, S) = (0, 0, 0, 0)
    var start = 0
    while start < whole {
      a += square(start)
      b += square(start &+ 1)
      c += square(start &+ 2)
      d += square(start &+ 3)
      e += square(start &+ 4)
      f += square(start &+ 5)
      g += square(start &+ 6)
      h += square(start &+ 7)
      start &+= 8
    }
    var sum: S = 0
    for partial in [a, b, c, d, e, f, g, h] { sum += partial }
    for element in elements[whole...] { sum += element * element }
    return sum.squareRoot()
  }
}
