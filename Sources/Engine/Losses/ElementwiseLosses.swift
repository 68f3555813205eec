import Tensors

/// A loss that compares each logit with its own target.
protocol ElementwiseTerm {
  /// `weight` is that of positive targets.
  static func value<S: Scalar>(_ logit: S, _ target: S, weight: S) -> S
  static func derivative<S: Scalar>(_ logit: S, _ target: S, weight: S) -> S
}

/// −[w y log σ(x) + (1 − y) log(1 − σ(x))], in the form that neither overflows nor cancels.
enum BCEWithLogitsTerm: ElementwiseTerm {
  @inline(__always)
  static func value<S: Scalar>(_ logit: S, _ target: S, weight: S) -> S {
    let negative: S = logit > 0 ? 0 : logit
    return (1 - target) * logit
      - ((weight - 1) * target + 1) * (negative - S.log1p(S.exp(-abs(logit))))
  }

  @inline(__always)
  static func derivative<S: Scalar>(_ logit: S, _ target: S, weight: S) -> S {
    let small = S.exp(-abs(logit))
    let unweighted = (logit < 0 ? small : 1) / (1 + small) - target
    // What the weight adds is −(w − 1) y (1 − σ(x)).
    return unweighted - (weight - 1) * target * (logit < 0 ? 1 : small) / (1 + small)
  }
}

/// (x − y)²
enum SquaredErrorTerm: ElementwiseTerm {
  @inline(__always)
  static func value<S: Scalar>(_ logit: S, _ target: S, weight: S) -> S {
    (logit - target) * (logit - target)
  }

  @inline(__always)
  static func derivative<S: Scalar>(_ logit: S, _ target: S, weight: S) -> S {
    2 * (logit - target)
  }
}

/// The terms of an elementwise loss; the mean divides by the number of elements.
@_specialize(where S == Float, Term == BCEWithLogitsTerm)
@_specialize(where S == Double, Term == BCEWithLogitsTerm)
@_specialize(where S == Float, Term == SquaredErrorTerm)
@_specialize(where S == Double, Term == SquaredErrorTerm)
func elementwiseTerms<S: Scalar, Term: ElementwiseTerm>(
  _ logits: NDArray<S>, _ targets: Targets<S>, _ weights: [S], _ term: Term.Type
) throws -> LossTerms<S> {
  guard case .values(let values) = targets else {
    throw RecurrentError(
      .engineTargetKind, at: "targets", found: "class indices",
      expected: "values of shape \(logits.shape)")
  }
  guard values.shape == logits.shape, values.count == logits.count else {
    throw RecurrentError(
      .engineTargetShape, at: "targets",
      found: "targets of shape \(values.shape) with \(values.count) elements",
      expected: "\(logits.shape)")
  }
  var terms = LossTerms<S>(
    sum: 0, weight: Double(logits.count), gradient: [S](repeating: 0, count: logits.count))
  for index in logits.elements.indices {
    let (logit, target) = (logits.elements[index], values.elements[index])
    let weight = weights.isEmpty ? 1 : weights[index % weights.count]
    terms.sum += Double(Term.value(logit, target, weight: weight))
    terms.gradient[index] = Term.derivative(logit, target, weight: weight)
  }
  return terms
}
