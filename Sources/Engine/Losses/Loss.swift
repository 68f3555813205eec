import CKernels
import Tensors

/// How the losses of single predictions become one number.
public enum Reduction: String, Sendable, CaseIterable {
  /// The mean over everything that counts (for cross-entropy, the targets that are not ignored).
  case mean
  /// The sum.
  case sum
  /// The sum divided by the batch size N: summed over time, averaged over the batch.
  case meanOverBatch = "mean_over_batch"
}

/// What a network should have said.
public enum Targets<S: Scalar>: Sendable {
  /// Class indices in the shape of the logits without the class axis.
  case classes(NDArray<Int>)
  /// Probabilities, one-hot vectors or real targets, in the shape of the logits.
  case values(NDArray<S>)

  /// Class indices in row-major order; that they fill the shape is checked where they are used.
  public static func classes(_ indices: [Int], shape: [Int]) -> Targets {
    .classes(NDArray(trusted: shape, indices))
  }
}

/// A loss on logits (T, N, C), (N, T, C) if `batchFirst`, or (T, C), with PyTorch's definitions.
public struct Loss: Sendable, Equatable {
  /// Which loss.
  package enum Kind: Sendable, Equatable {
    /// Softmax and negative log-likelihood.
    case crossEntropy(ignoreIndex: Int, labelSmoothing: Double)
    /// Sigmoid and binary cross-entropy, element by element.
    case bceWithLogits
    /// The squared difference.
    case mse
  }

  /// Which time steps count.
  public enum Steps: String, Sendable, CaseIterable {
    /// All of them.
    case all
    /// The last one; the targets then have no time axis.
    case last
  }

  /// Which loss.
  package var kind: Kind
  /// How it is reduced.
  public var reduction: Reduction
  /// Which time steps count.
  public var steps: Steps
  /// A factor for each of the C classes, or none: `weight` of cross-entropy, `pos_weight` of binary
  /// cross-entropy.
  public var weights: [Double] = []

  /// `nn.CrossEntropyLoss`.
  ///
  /// With `weights` the mean of class targets divides by the sum of the targets' weights, as PyTorch's.
  public static func crossEntropy(
    reduction: Reduction = .mean, ignoreIndex: Int = -100, labelSmoothing: Double = 0,
    steps: Steps = .all, weights: [Double] = []
  ) -> Loss {
    Loss(
      kind: .crossEntropy(ignoreIndex: ignoreIndex, labelSmoothing: labelSmoothing),
      reduction: reduction, steps: steps, weights: weights)
  }

  /// `nn.BCEWithLogitsLoss`; `positiveWeights` multiply the terms of positive targets, `pos_weight`.
  public static func bceWithLogits(
    reduction: Reduction = .mean, steps: Steps = .all, positiveWeights: [Double] = []
  ) -> Loss {
    Loss(kind: .bceWithLogits, reduction: reduction, steps: steps, weights: positiveWeights)
  }

  /// `nn.MSELoss`.
  public static func mse(reduction: Reduction = .mean, steps: Steps = .all) -> Loss {
    Loss(kind: .mse, reduction: reduction, steps: steps)
  }

  /// The value and its gradient with respect to the logits, in their shape.
  ///
  /// With `lengths`, steps after the end of a ragged row do not exist: they cost nothing, their gradient
  /// is zero, the mean does not count them, and the last step is the row's last valid one. The targets
  /// keep their padding, whose values do not matter.
  ///
  /// Throws `engine.logits-shape`, `engine.target-shape`, `engine.target-kind`, `engine.target-range`,
  /// `engine.lengths` or `engine.class-weights` for what does not fit.
  public func evaluate<S: Scalar>(
    logits: NDArray<S>, targets: Targets<S>, batchFirst: Bool = false, lengths: [Int]? = nil
  ) throws -> (value: S, gradLogits: NDArray<S>) {
    let rank = logits.shape.count
    guard rank == 2 || rank == 3, logits.count == logits.shape.reduce(1, *) else {
      throw RecurrentError(
        .engineLogitsShape, at: "logits", found: "shape \(logits.shape)",
        expected: "(T, C), (T, N, C) or (N, T, C)")
    }
    let timeAxis = rank == 3 && batchFirst ? 1 : 0
    let batch = rank == 3 ? logits.shape[1 - timeAxis] : 1
    let timeSteps = logits.shape[timeAxis]
    if let lengths { _ = try Packing(lengths: lengths, batch: batch, steps: timeSteps) }
    if steps == .all && lengths == nil { return try reduce(logits, targets, batch: batch) }
    guard timeSteps > 0 || steps == .all else {
      throw RecurrentError(
        .engineLogitsShape, at: "logits", found: "no time steps",
        expected: "at least one")
    }
    // The rows of logits that count, in the caller's order.
    func row(_ step: Int, _ n: Int) -> Int { batchFirst ? n * timeSteps + step : step * batch + n }
    let chosen: [Int]
    switch steps {
    case .last: chosen = (0..<batch).map { row((lengths?[$0] ?? timeSteps) - 1, $0) }
    case .all:
      chosen = (0..<batch).flatMap { n in
        (0..<(lengths?[n] ?? timeSteps)).map { row($0, n) }
      }.sorted()
    }
    let classes = logits.shape[rank - 1]
    let shape =
      steps == .last ? (rank == 3 ? [batch, classes] : [classes]) : [chosen.count, classes]
    let (value, gradient) = try reduce(
      logits.selecting(chosen, as: shape),
      steps == .last ? targets : targets.selecting(chosen, of: logits.shape), batch: batch)
    var spread = NDArray<S>(zeros: logits.shape)
    for (place, row) in chosen.enumerated() {
      spread.elements.replaceSubrange(
        row * classes..<(row + 1) * classes,
        with: gradient.elements[place * classes..<(place + 1) * classes])
    }
    return (value, spread)
  }

  private func reduce<S: Scalar>(
    _ logits: NDArray<S>, _ targets: Targets<S>, batch: Int
  ) throws -> (value: S, gradLogits: NDArray<S>) {
    let classes = logits.shape[logits.shape.count - 1]
    guard weights.isEmpty || weights.count == classes && kind != .mse else {
      throw RecurrentError(
        .engineClassWeights, at: "weights", found: "\(weights.count) weights",
        expected: kind == .mse ? "none for squared errors" : "\(classes), one for each class")
    }
    let weights = weights.map { S($0) }
    var terms: LossTerms<S>
    switch kind {
    case .crossEntropy(let ignoreIndex, let labelSmoothing):
      terms = try crossEntropyTerms(
        logits, targets, ignoreIndex: ignoreIndex, labelSmoothing: labelSmoothing,
        weights: weights)
    case .bceWithLogits:
      terms = try elementwiseTerms(logits, targets, weights, BCEWithLogitsTerm.self)
    case .mse:
      terms = try elementwiseTerms(logits, targets, weights, SquaredErrorTerm.self)
    }
    let divisor: Double
    switch reduction {
    case .mean: divisor = terms.weight
    case .sum: divisor = 1
    case .meanOverBatch: divisor = Double(batch)
    }
    divide(&terms.gradient, by: S(divisor))
    return (S(terms.sum / divisor), NDArray(trusted: logits.shape, terms.gradient))
  }
}

// A mean over nothing leaves the gradient of what does not count at zero.
@_specialize(where S == Float)
@_specialize(where S == Double)
private func divide<S: Scalar>(_ gradient: inout [S], by divisor: S) {
  gradient.withUnsafeMutableBufferPointer { gradient in
    if let table = ck_find(MemoryLayout<S>.size, nil), let base = gradient.baseAddress {
      let operation = Int32(CK_STEP_DIVIDE.rawValue)
      return table.pointee.step(operation, base, nil, nil, Double(divisor), 0, gradient.count)
    }
    for index in gradient.indices {
      let element = gradient[index]
      gradient[index] = element != 0 ? element / divisor : element
    }
  }
}

/// A loss before its reduction.
struct LossTerms<S: Scalar> {
  /// The sum, in double precision for both element types.
  var sum: Double
  /// What the mean divides by: the number of terms, or the sum of their weights.
  var weight: Double
  /// The gradient of the sum.
  var gradient: [S]
}

extension NDArray where Element: Scalar {
  /// Some rows of the last axis.
  fileprivate func selecting(_ rows: [Int], as shape: [Int]) -> NDArray {
    let width = self.shape[self.shape.count - 1]
    var result: [Element] = []
    result.reserveCapacity(rows.count * width)
    for row in rows { result += elements[row * width..<(row + 1) * width] }
    return NDArray(trusted: shape, result)
  }
}

extension Targets {
  /// The targets of some rows of logits of that shape; throws unless they fit all of them.
  fileprivate func selecting(_ rows: [Int], of logits: [Int]) throws -> Targets {
    let (found, count): ([Int], Int)
    let expected: [Int]
    switch self {
    case .classes(let indices):
      (found, count, expected) = (indices.shape, indices.count, Array(logits.dropLast()))
      if found == expected, count == expected.reduce(1, *) {
        return .classes(NDArray(rows.map { indices.elements[$0] }))
      }
    case .values(let values):
      (found, count, expected) = (values.shape, values.count, logits)
      if found == expected, count == expected.reduce(1, *) {
        return .values(values.selecting(rows, as: [rows.count, logits[logits.count - 1]]))
      }
    }
    throw RecurrentError(
      .engineTargetShape, at: "targets",
      found: "targets of shape \(found) with \(count) elements", expected: "\(expected)")
  }
}
