import Tensors

/// A loss that compares each logit with its own target.
protocol ElementwiseTerm {
  static func value<S: Scalar>(_ logit: S, _ target: S) -> S
  static func derivative<S: Scalar>(_ logit: S, _ target: S) -> S
}

/// −[y log σ(x) + (1 − y) log(1 − σ(x))], in the form that neither overflows nor cancels.
enum BCEWithLogitsTerm: ElementwiseTerm {
  @inline(__always)
  static func value<S: Scalar>(_ logit: S, _ target: S) -> S {
    let negative: S = logit > 0 ? 0 : logit
    return (1 - target) * logit - (negative - S.log1p(S.exp(-abs(logit))))
  }

  @inline(__always)
  static func derivative<S: Scalar>(_ logit: S, _ target: S) -> S {
    let small = S.exp(-abs(logit))
    return (logit < 0 ? small : 1) / (1 + small) - target
  }
}

/// (x − y)²
enum SquaredErrorTerm: ElementwiseTerm {
  @inline(__always)
  static func value<S: Scalar>(_ logit: S, _ target: S) -> S {
    (logit - target) * (logit - target)
  }

  @inline(__always)
  static func derivative<S: Scalar>(_ logit: S, _ target: S) -> S { 2 * (logit - target) }
}

/// The terms of an elementwise loss; the mean divides by the number of elements.
func elementwiseTerms<S: Scalar, Term: ElementwiseTerm>(
  _ logits: NDArray<S>, _ targets: Targets<S>, _ term: Term.Type
) throws -> LossTerms<S> {
  guard case .values(let values) = targets else {
    throw RecurrentError(
      .malformed, "engine.target-kind", at: "targets", found: "class indices",
      expected: "values of shape \(logits.shape)")
  }
  guard values.shape == logits.shape, values.count == logits.count else {
    throw RecurrentError(
      .malformed, "engine.target-shape", at: "targets",
      found: "targets of shape \(values.shape) with \(values.count) elements",
      expected: "\(logits.shape)")
  }
  var terms = LossTerms<S>(
    sum: 0, count: logits.count, gradient: [S](repeating: 0, count: logits.count))
  for index in logits.elements.indices {
    let (logit, target) = (logits.elements[index], values.elements[index])
    terms.sum += Double(Term.value(logit, target))
    terms.gradient[index] = Term.derivative(logit, target)
  }
  return terms
}
