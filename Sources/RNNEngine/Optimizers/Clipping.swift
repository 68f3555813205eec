import Tensors

// PyTorch's arithmetic, operation by operation, so that a step from equal gradients gives equal bits.

/// Limits every element to `-max...max`, as `clip_grad_value_`; NaN stays.
public func clipByValue<S: Scalar>(_ gradients: inout Parameters<S>, max limit: S) {
  gradients.updateElements { _, elements in
    for index in elements.indices {
      if elements[index] < -limit {
        elements[index] = -limit
      } else if elements[index] > limit {
        elements[index] = limit
      }
    }
  }
}

/// Limits every element of several groups to `-max...max`.
public func clipByValue<S: Scalar>(_ groups: inout [Parameters<S>], max limit: S) {
  for index in groups.indices { clipByValue(&groups[index], max: limit) }
}

/// Scales the gradients to a global 2-norm of at most `max`, as `clip_grad_norm_`.
///
/// Returns the norm before. The factor is `max / (norm + 1e-6)`, at most 1, and NaN if the norm is.
@discardableResult
public func clipByGlobalNorm<S: Scalar>(_ gradients: inout Parameters<S>, max limit: S) -> S {
  var groups = [gradients]
  let norm = clipByGlobalNorm(&groups, max: limit)
  gradients = groups[0]
  return norm
}

/// Scales several groups by one factor to a global 2-norm of at most `max`; returns the norm before.
@discardableResult
public func clipByGlobalNorm<S: Scalar>(_ groups: inout [Parameters<S>], max limit: S) -> S {
  let norms = groups.flatMap { $0.entries.map { norm($0.array.elements) } }
  let total = norm(norms)
  let wanted = limit / (total + 1e-6)
  let factor = wanted > 1 ? 1 : wanted
  for index in groups.indices {
    groups[index].updateElements { _, elements in
      for place in elements.indices { elements[place] *= factor }
    }
  }
  return total
}

// Eight partial sums, added up in order, then the rest: the order in which torch's CPU kernel adds
// single-precision squares, and far more accurate than one long sum.
private func norm<S: Scalar>(_ elements: [S]) -> S {
  let lanes = 8
  let whole = elements.count / lanes * lanes
  var partial = [S](repeating: 0, count: lanes)
  for start in stride(from: 0, to: whole, by: lanes) {
    for lane in 0..<lanes {
      partial[lane] += elements[start + lane] * elements[start + lane]
    }
  }
  var sum = partial.reduce(0, +)
  for element in elements[whole...] { sum += element * element }
  return sum.squareRoot()
}
