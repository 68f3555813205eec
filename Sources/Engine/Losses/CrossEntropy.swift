import CKernels
import Tensors

// With logits x, p = softmax(x) and K classes, a target distribution q costs −Σ q log p, and the gradient
// is p Σq − q. A class y is the distribution that is 1 at y. Label smoothing mixes ε/K into each:
// q ← (1 − ε) q + ε/K. Weights w of the classes multiply q last of all.

/// The terms of cross-entropy, one for each row of logits that is not ignored.
@_specialize(where S == Float)
@_specialize(where S == Double)
func crossEntropyTerms<S: Scalar>(
  _ logits: NDArray<S>, _ targets: Targets<S>, ignoreIndex: Int, labelSmoothing: Double,
  weights: [S]
) throws -> LossTerms<S> {
  guard (0...1).contains(labelSmoothing) else {
    throw RecurrentError(
      .engineLabelSmoothing, found: "label smoothing \(labelSmoothing)",
      expected: "between 0 and 1")
  }
  let classes = logits.shape[logits.shape.count - 1]
  let rows = classes == 0 ? 0 : logits.count / classes
  guard classes > 0 else {
    throw RecurrentError(
      .engineLogitsShape, at: "logits", found: "shape \(logits.shape)",
      expected: "at least one class")
  }
  try checkTargets(targets, rows: rows, logits.shape)

  let keep = S(1 - labelSmoothing)
  let share = S(labelSmoothing / Double(classes))
  var terms = LossTerms<S>(sum: 0, weight: 0, gradient: .unfilled(logits.count))
  var hots: [Int]?
  var values: [S] = []
  switch targets {
  case .classes(let indices): hots = indices.elements
  case .values(let array): values = array.elements
  }
  var logProbabilities = [S](repeating: 0, count: classes)
  let kernels = ck_find(MemoryLayout<S>.size, nil)
  for row in 0..<rows {
    let start = row * classes
    let hot = hots?[row] ?? -1
    if hots != nil {
      if hot == ignoreIndex {
        terms.gradient.replaceSubrange(
          start..<start + classes, with: repeatElement(0, count: classes))
        continue
      }
      guard hot >= 0, hot < classes else {
        throw RecurrentError(
          .engineTargetRange, at: "targets, row \(row)",
          found: "Target \(hot) is out of bounds", expected: "0 to \(classes - 1)")
      }
    }
    terms.weight += hot >= 0 && !weights.isEmpty ? Double(weights[hot]) : 1
    let cost = terms.gradient.withUnsafeMutableBufferPointer { gradient in
      rowCost(
        logits.elements, &logProbabilities, gradient, start, hot, keep: keep, share: share,
        values: values, weights: weights, kernels)
    }
    terms.sum += Double(cost)
  }
  return terms
}

/// The cost of one row; puts its gradient in place, which holds the probabilities first.
@inline(__always)
private func rowCost<S: Scalar>(
  _ logits: [S], _ logProbabilities: inout [S], _ gradients: UnsafeMutableBufferPointer<S>,
  _ start: Int, _ hot: Int, keep: S, share: S, values: [S], weights: [S],
  _ kernels: UnsafePointer<ck_kernels>?
) -> S {
  guard let base = gradients.baseAddress else { return 0 }
  let (gradient, classes) = (base + start, logProbabilities.count)
  return logits.withUnsafeBufferPointer { logits in
    logProbabilities.withUnsafeMutableBufferPointer { logP in
      guard let from = logits.baseAddress, let logP = logP.baseAddress else { return 0 }
      fillLogSoftmax(from + start, logP, gradient, classes, kernels)
      if hot >= 0, share == 0, weights.isEmpty {
        gradient[hot] -= keep
        return -(keep * logP[hot])
      }
      var cost: S = 0
      var total: S = 0
      func target(_ column: Int) -> S {
        let wanted = values.isEmpty ? (column == hot ? keep : 0) : keep * values[start + column]
        return weights.isEmpty ? wanted + share : (wanted + share) * weights[column]
      }
      for column in 0..<classes {
        let target = target(column)
        total += target
        // An impossible class costs nothing unless it is asked for; a probability target of 0 does
        // meet -inf in PyTorch too.
        if hot < 0 || target != 0 { cost -= target * logP[column] }
      }
      // Sums to 1 by definition; adding it up would only round.
      if hot >= 0 && weights.isEmpty { total = 1 }
      for column in 0..<classes {
        gradient[column] = -target(column) + gradient[column] * total
      }
      return cost
    }
  }
}

/// `x − max − log Σ exp(x − max)` of one row, and e raised to that, by the best kernels there are.
@inline(__always)
private func fillLogSoftmax<S: Scalar>(
  _ logits: UnsafePointer<S>, _ result: UnsafeMutablePointer<S>, _ powers: UnsafeMutablePointer<S>,
  _ count: Int, _ kernels: UnsafePointer<ck_kernels>?
) {
  if let kernels { return kernels.pointee.log_softmax(logits, result, powers, count) }
  var largest = logits[0]
  for column in 1..<max(1, count) where !(logits[column] <= largest) { largest = logits[column] }
  var sum: S = 0
  for column in 0..<count {
    result[column] = logits[column] - largest
    sum += S.exp(result[column])
  }
  let logSum = S.log(sum)
  for column in 0..<count {
    result[column] -= logSum
    powers[column] = S.exp(result[column])
  }
}

private func checkTargets<S>(_ targets: Targets<S>, rows: Int, _ logitsShape: [Int]) throws {
  let (shape, count, expectedShape, expectedCount): ([Int], Int, [Int], Int)
  switch targets {
  case .classes(let indices):
    (shape, count) = (indices.shape, indices.count)
    (expectedShape, expectedCount) = (Array(logitsShape.dropLast()), rows)
  case .values(let values):
    (shape, count) = (values.shape, values.count)
    (expectedShape, expectedCount) = (logitsShape, logitsShape.reduce(1, *))
  }
  // The single target of an unbatched sequence is a scalar, which files often store as one element.
  let isScalar = expectedShape.isEmpty && shape == [1]
  guard shape == expectedShape || isScalar, count == expectedCount else {
    throw RecurrentError(
      .engineTargetShape, at: "targets",
      found: "targets of shape \(shape) with \(count) elements", expected: "\(expectedShape)")
  }
}
