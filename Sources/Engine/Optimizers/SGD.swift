import Tensors

/// Stochastic gradient descent, `torch.optim.SGD`: with momentum, Nesterov's or plain, and weight decay.
///
/// Plain: `p ← fma(g, −lr, p)`. With momentum μ, `b ← fma(g, 1 − dampening, μ·b)` takes the place of `g`,
/// and `fma(b, μ, g)` with Nesterov's; the first `b` is the first gradient itself.
public struct SGD<S: Scalar>: Optimizer {
  /// The learning rate.
  public var learningRate: Double
  /// How much of the last direction is kept; 0 for none.
  public var momentum: Double
  /// How much of the gradient momentum leaves out.
  public var dampening: Double
  /// The factor of the parameter that is added to its gradient.
  public var weightDecay: Double
  /// Whether the momentum is Nesterov's.
  public var nesterov: Bool
  private var memory = OptimizerMemory<S>()

  /// Creates an optimiser with PyTorch's defaults.
  public init(
    learningRate: Double = 1e-3, momentum: Double = 0, dampening: Double = 0,
    weightDecay: Double = 0, nesterov: Bool = false
  ) {
    self.learningRate = learningRate
    self.momentum = momentum
    self.dampening = dampening
    self.weightDecay = weightDecay
    self.nesterov = nesterov
  }

  /// The number of steps, and `momentum_buffer` of every parameter if there is momentum.
  public var state: Parameters<S> { memory.state }

  /// Continues from a saved state exactly.
  public mutating func restore(_ state: Parameters<S>) throws { try memory.restore(state) }

  /// Makes one step of all groups.
  public mutating func step(_ groups: inout [Parameters<S>], gradients: [Parameters<S>]) throws {
    try OptimizerOption.check(
      .atLeastZero("lr", learningRate), .atLeastZero("momentum", momentum),
      .atLeastZero("weight_decay", weightDecay))
    guard !nesterov || (momentum > 0 && dampening == 0) else {
      throw RecurrentError(
        .engineOptimizerOption, at: "nesterov",
        found: "momentum \(momentum) and dampening \(dampening)",
        expected: "Nesterov momentum requires a momentum and zero dampening")
    }
    let isFirst = memory.stepCount == 0
    let names = momentum == 0 ? [] : ["momentum_buffer"]
    try memory.update(&groups, gradients, buffers: names) { part in
      let (elements, buffers) = (part.elements, part.buffers)
      var gradient = part.gradient
      if weightDecay != 0 || nesterov { gradient = part.copy(gradient) }
      if weightDecay != 0 {
        TensorArithmetic.add(gradient, elements, times: S(weightDecay))
      }
      if momentum != 0 {
        if isFirst {
          gradient.copy(to: buffers[0])
        } else {
          TensorArithmetic.scale(buffers[0], by: S(momentum))
          TensorArithmetic.add(buffers[0], gradient, times: S(1 - dampening))
        }
        if nesterov {
          TensorArithmetic.add(gradient, buffers[0], times: S(momentum))
        } else {
          gradient = buffers[0]
        }
      }
      TensorArithmetic.add(elements, gradient, times: S(-learningRate))
    }
  }
}
