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
  /// Class indices; the shape is that of the logits without the class axis.
  case classes([Int], shape: [Int])
  /// Probabilities, one-hot vectors or real targets, in the shape of the logits.
  case values(NDArray<S>)
}

/// A loss on logits (T, N, C), (N, T, C) if `batchFirst`, or (T, C), with PyTorch's definitions.
public struct Loss: Sendable, Equatable {
  /// Which loss.
  public enum Kind: Sendable, Equatable {
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
  public var kind: Kind
  /// How it is reduced.
  public var reduction: Reduction
  /// Which time steps count.
  public var steps: Steps

  /// `nn.CrossEntropyLoss`.
  public static func crossEntropy(
    reduction: Reduction = .mean, ignoreIndex: Int = -100, labelSmoothing: Double = 0,
    steps: Steps = .all
  ) -> Loss {
    Loss(
      kind: .crossEntropy(ignoreIndex: ignoreIndex, labelSmoothing: labelSmoothing),
      reduction: reduction, steps: steps)
  }

  /// `nn.BCEWithLogitsLoss`.
  public static func bceWithLogits(reduction: Reduction = .mean, steps: Steps = .all) -> Loss {
    Loss(kind: .bceWithLogits, reduction: reduction, steps: steps)
  }

  /// `nn.MSELoss`.
  public static func mse(reduction: Reduction = .mean, steps: Steps = .all) -> Loss {
    Loss(kind: .mse, reduction: reduction, steps: steps)
  }

  /// The value and its gradient with respect to the logits, in their shape.
  public func evaluate<S: Scalar>(
    logits: NDArray<S>, targets: Targets<S>, batchFirst: Bool = false
  ) throws -> (value: S, gradLogits: NDArray<S>) {
    let rank = logits.shape.count
    guard rank == 2 || rank == 3, logits.count == logits.shape.reduce(1, *) else {
      throw RecurrentError(
        .malformed, "engine.logits-shape", at: "logits", found: "shape \(logits.shape)",
        expected: "(T, C), (T, N, C) or (N, T, C)")
    }
    let timeAxis = rank == 3 && batchFirst ? 1 : 0
    let batch = rank == 3 ? logits.shape[1 - timeAxis] : 1
    switch steps {
    case .all:
      return try reduce(logits, targets, batch: batch)
    case .last:
      let window = StepWindow(logits.shape, timeAxis: timeAxis)
      guard window.steps > 0 else {
        throw RecurrentError(
          .malformed, "engine.logits-shape", at: "logits", found: "no time steps",
          expected: "at least one")
      }
      let (value, gradient) = try reduce(window.last(of: logits), targets, batch: batch)
      return (value, window.spread(gradient, over: logits.shape))
    }
  }

  private func reduce<S: Scalar>(
    _ logits: NDArray<S>, _ targets: Targets<S>, batch: Int
  ) throws -> (value: S, gradLogits: NDArray<S>) {
    var terms: LossTerms<S>
    switch kind {
    case .crossEntropy(let ignoreIndex, let labelSmoothing):
      terms = try crossEntropyTerms(
        logits, targets, ignoreIndex: ignoreIndex, labelSmoothing: labelSmoothing)
    case .bceWithLogits:
      terms = try elementwiseTerms(logits, targets, BCEWithLogitsTerm.self)
    case .mse:
      terms = try elementwiseTerms(logits, targets, SquaredErrorTerm.self)
    }
    let divisor: Double
    switch reduction {
    case .mean: divisor = Double(terms.count)
    case .sum: divisor = 1
    case .meanOverBatch: divisor = Double(batch)
    }
    let scale = S(divisor)
    for index in terms.gradient.indices where terms.gradient[index] != 0 {
      terms.gradient[index] /= scale
    }
    return (S(terms.sum / divisor), NDArray(trusted: logits.shape, terms.gradient))
  }
}

/// A loss before its reduction.
struct LossTerms<S: Scalar> {
  /// The sum, in double precision for both element types.
  var sum: Double
  /// What the mean divides by.
  var count: Int
  /// The gradient of the sum.
  var gradient: [S]
}

/// The last time step of an array, as runs of contiguous elements.
private struct StepWindow {
  let outer, steps, inner: Int
  let shape: [Int]

  init(_ shape: [Int], timeAxis: Int) {
    outer = shape[..<timeAxis].reduce(1, *)
    steps = shape[timeAxis]
    inner = shape[(timeAxis + 1)...].reduce(1, *)
    self.shape = Array(shape[..<timeAxis] + shape[(timeAxis + 1)...])
  }

  private func start(_ index: Int) -> Int { (index * steps + steps - 1) * inner }

  func last<S>(of array: NDArray<S>) -> NDArray<S> {
    let runs = (0..<outer).map { array.elements[start($0)..<start($0) + inner] }
    return NDArray(trusted: shape, Array(runs.joined()))
  }

  func spread<S>(_ array: NDArray<S>, over shape: [Int]) -> NDArray<S> {
    var result = NDArray<S>(zeros: shape)
    for index in 0..<outer {
      let range = start(index)..<start(index) + inner
      result.elements.replaceSubrange(
        range, with: array.elements[index * inner..<(index + 1) * inner])
    }
    return result
  }
}
