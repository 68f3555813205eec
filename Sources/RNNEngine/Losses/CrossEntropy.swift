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
      .malformed, "engine.label-smoothing", found: "label smoothing \(labelSmoothing)",
      expected: "between 0 and 1")
  }
  let classes = logits.shape[logits.shape.count - 1]
  let rows = classes == 0 ? 0 : logits.count / classes
  guard classes > 0 else {
    throw RecurrentError(
      .malformed, "engine.logits-shape", at: "logits", found: "shape \(logits.shape)",
      expected: "at least one class")
  }
  try checkTargets(targets, rows: rows, logits.shape)

  let keep = S(1 - labelSmoothing)
  let share = S(labelSmoothing / Double(classes))
  var terms = LossTerms<S>(sum: 0, weight: 0, gradient: [S](repeating: 0, count: logits.count))
  var logProbabilities = [S](repeating: 0, count: classes)
  var powers = logProbabilities
  for row in 0..<rows {
    let start = row * classes
    var hot = -1
    if case .classes(let indices, _) = targets {
      hot = indices[row]
      if hot == ignoreIndex { continue }
      guard hot >= 0, hot < classes else {
        throw RecurrentError(
          .malformed, "engine.target-range", at: "targets, row \(row)",
          found: "Target \(hot) is out of bounds.", expected: "0 to \(classes - 1)")
      }
    }
    terms.weight += hot >= 0 && !weights.isEmpty ? Double(weights[hot]) : 1
    fillLogSoftmax(logits.elements, start, &logProbabilities, &powers)
    var cost: S = 0
    var total: S = 0
    for column in 0..<classes {
      var target: S
      if case .values(let values) = targets {
        target = keep * values.elements[start + column] + share
      } else {
        target = (column == hot ? keep : 0) + share
      }
      if !weights.isEmpty { target *= weights[column] }
      total += target
      terms.gradient[start + column] = -target
      // An impossible class costs nothing unless it is asked for; a probability target of 0 does
      // meet -inf in PyTorch too.
      if hot < 0 || target != 0 { cost -= target * logProbabilities[column] }
    }
    // Sums to 1 by definition; adding it up would only round.
    if hot >= 0 && weights.isEmpty { total = 1 }
    exponentials(logProbabilities, into: &powers)
    for column in 0..<classes { terms.gradient[start + column] += powers[column] * total }
    terms.sum += Double(cost)
  }
  return terms
}

/// `x − max − log Σ exp(x − max)` of one row.
@inline(__always)
private func fillLogSoftmax<S: Scalar>(
  _ logits: [S], _ start: Int, _ result: inout [S], _ powers: inout [S]
) {
  var largest = logits[start]
  for column in 1..<max(1, result.count) where !(logits[start + column] <= largest) {
    largest = logits[start + column]
  }
  var sum: S = 0
  for column in result.indices { result[column] = logits[start + column] - largest }
  exponentials(result, into: &powers)
  for power in powers { sum += power }
  let logSum = S.log(sum)
  for column in result.indices { result[column] -= logSum }
}

/// e raised to every element, by the best kernels there are.
@_specialize(where S == Float)
@_specialize(where S == Double)
private func exponentials<S: Scalar>(_ x: [S], into result: inout [S]) {
  func run(_ x: UnsafePointer<S>, _ result: UnsafeMutablePointer<S>, _ count: Int) {
    if let table = ck_find(MemoryLayout<S>.size, nil) {
      table.pointee.exp(x, result, count)
    } else {
      for index in 0..<count { result[index] = S.exp(x[index]) }
    }
  }
  run(x, &result, x.count)
}

private func checkTargets<S>(_ targets: Targets<S>, rows: Int, _ logitsShape: [Int]) throws {
  let (shape, count, expectedShape, expectedCount): ([Int], Int, [Int], Int)
  switch targets {
  case .classes(let indices, let given):
    (shape, count) = (given, indices.count)
    (expectedShape, expectedCount) = (Array(logitsShape.dropLast()), rows)
  case .values(let values):
    (shape, count) = (values.shape, values.count)
    (expectedShape, expectedCount) = (logitsShape, logitsShape.reduce(1, *))
  }
  // The single target of an unbatched sequence is a scalar, which files often store as one element.
  let isScalar = expectedShape.isEmpty && shape == [1]
  guard shape == expectedShape || isScalar, count == expectedCount else {
    throw RecurrentError(
      .malformed, "engine.target-shape", at: "targets",
      found: "targets of shape \(shape) with \(count) elements", expected: "\(expectedShape)")
  }
}
