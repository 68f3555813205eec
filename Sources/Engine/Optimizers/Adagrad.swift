import Tensors

/// `torch.optim.Adagrad`: steps divided by the root of the sum of all squared gradients.
///
/// `v ← fma(g, g, v)`, `p ← p + (−lr / (1 + (t − 1)·decay) · g) / (√v + ε)`.
public struct Adagrad<S: Scalar>: Optimizer {
  /// The learning rate.
  public var learningRate: Double
  /// How fast the learning rate falls with the number of steps.
  public var learningRateDecay: Double
  /// The factor of the parameter that is added to its gradient.
  public var weightDecay: Double
  /// What the sums start from.
  public var initialAccumulator: Double
  /// Added to the denominator.
  public var epsilon: Double
  private var memory = OptimizerMemory<S>()

  /// Creates an optimiser with PyTorch's defaults.
  public init(
    learningRate: Double = 1e-2, learningRateDecay: Double = 0, weightDecay: Double = 0,
    initialAccumulator: Double = 0, epsilon: Double = 1e-10
  ) {
    self.learningRate = learningRate
    self.learningRateDecay = learningRateDecay
    self.weightDecay = weightDecay
    self.initialAccumulator = initialAccumulator
    self.epsilon = epsilon
  }

  /// The number of steps, and `sum` of every parameter.
  public var state: Parameters<S> { memory.state }

  /// Continues from a saved state exactly.
  public mutating func restore(_ state: Parameters<S>) throws { try memory.restore(state) }

  /// Makes one step of all groups.
  public mutating func step(_ groups: inout [Parameters<S>], gradients: [Parameters<S>]) throws {
    try OptimizerOption.check(
      .atLeastZero("lr", learningRate), .atLeastZero("lr_decay", learningRateDecay),
      .atLeastZero("weight_decay", weightDecay), .atLeastZero("eps", epsilon),
      .atLeastZero("initial_accumulator_value", initialAccumulator))
    let rate = learningRate / (1 + Double(memory.stepCount) * learningRateDecay)
    try memory.update(
      &groups, gradients, buffers: ["sum"], initial: S(initialAccumulator)
    ) { part in
      let (elements, buffers) = (part.elements, part.buffers)
      var gradient = part.gradient
      if weightDecay != 0 {
        gradient = part.copy(gradient)
        TensorArithmetic.add(gradient, elements, times: S(weightDecay))
      }
      TensorArithmetic.addProduct(buffers[0], gradient, gradient, times: 1)
      TensorArithmetic.denominator(part.denominator, buffers[0], divisor: 1, epsilon: S(epsilon))
      TensorArithmetic.addQuotient(elements, gradient, part.denominator, times: S(-rate))
    }
  }
}
