import Tensors

/// `torch.optim.RMSprop`: steps divided by the root of a running mean of squared gradients.
///
/// `v ← fma((1 − α)·g, g, v·α)`, `p ← p + (−lr·g) / (√v + ε)`; centred, the square of the running mean is
/// taken from `v` under the root.
public struct RMSprop<S: Scalar>: Optimizer {
  /// The learning rate.
  public var learningRate: Double
  /// How much of the mean of squares a step keeps.
  public var alpha: Double
  /// Added to the denominator.
  public var epsilon: Double
  /// The factor of the parameter that is added to its gradient.
  public var weightDecay: Double
  /// How much of the last direction is kept; 0 for none.
  public var momentum: Double
  /// Whether the variance counts instead of the mean of squares.
  public var centered: Bool
  private var memory = OptimizerMemory<S>()

  /// Creates an optimiser with PyTorch's defaults.
  public init(
    learningRate: Double = 1e-2, alpha: Double = 0.99, epsilon: Double = 1e-8,
    weightDecay: Double = 0, momentum: Double = 0, centered: Bool = false
  ) {
    self.learningRate = learningRate
    self.alpha = alpha
    self.epsilon = epsilon
    self.weightDecay = weightDecay
    self.momentum = momentum
    self.centered = centered
  }

  /// The number of steps, and `square_avg`, `momentum_buffer` and `grad_avg` where they are used.
  public var state: Parameters<S> { memory.state }

  /// Continues from a saved state exactly.
  public mutating func restore(_ state: Parameters<S>) throws { try memory.restore(state) }

  /// Makes one step of all groups.
  public mutating func step(_ groups: inout [Parameters<S>], gradients: [Parameters<S>]) throws {
    try OptimizerOption.check(
      .atLeastZero("lr", learningRate), .atLeastZero("eps", epsilon),
      .atLeastZero("momentum", momentum), .atLeastZero("weight_decay", weightDecay),
      .atLeastZero("alpha", alpha))
    let names =
      ["square_avg"] + (momentum > 0 ? ["momentum_buffer"] : []) + (centered ? ["grad_avg"] : [])
    try memory.update(&groups, gradients, buffers: names) { part in
      let (elements, buffers, denominator) = (part.elements, part.buffers, part.denominator)
      var gradient = part.gradient
      if weightDecay != 0 {
        gradient = part.copy(gradient)
        TensorArithmetic.add(gradient, elements, times: S(weightDecay))
      }
      TensorArithmetic.scale(buffers[0], by: S(alpha))
      TensorArithmetic.addProduct(buffers[0], gradient, gradient, times: S(1 - alpha))
      buffers[0].copy(to: denominator)
      if centered {
        let last = buffers.count - 1
        TensorArithmetic.interpolate(buffers[last], gradient, weight: S(1 - alpha))
        TensorArithmetic.addProduct(denominator, buffers[last], buffers[last], times: -1)
      }
      TensorArithmetic.denominator(denominator, denominator, divisor: 1, epsilon: S(epsilon))
      if momentum > 0 {
        TensorArithmetic.scale(buffers[1], by: S(momentum))
        TensorArithmetic.addQuotient(buffers[1], gradient, denominator, times: 1)
        TensorArithmetic.add(elements, buffers[1], times: S(-learningRate))
      } else {
        TensorArithmetic.addQuotient(elements, gradient, denominator, times: S(-learningRate))
      }
    }
  }
}
