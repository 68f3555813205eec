import HostSystem
import Tensors

/// `torch.optim.Adam` and `torch.optim.AdamW`: steps scaled by running moments of the gradient.
///
/// The moments are `m ← fma(1 − β₁, g − m, m)` and `v ← fma((1 − β₂)·g, g, v·β₂)`, the step is
/// `p ← p + (−lr / (1 − β₁ᵗ) · m) / (√v / √(1 − β₂ᵗ) + ε)`, its scalars in double precision.
public struct Adam<S: Scalar>: Optimizer {
  /// The learning rate.
  public var learningRate: Double
  /// How much of the first moment a step keeps.
  public var beta1: Double
  /// How much of the second moment a step keeps.
  public var beta2: Double
  /// Added to the denominator.
  public var epsilon: Double
  /// The factor of weight decay.
  public var weightDecay: Double
  /// Whether weight decay is taken from the parameter before the step, as `AdamW`, instead of being added to
  /// the gradient, as `Adam`.
  public var decoupledWeightDecay: Bool
  /// Whether the largest second moment so far counts instead of the present one.
  public var amsgrad: Bool
  private var memory = OptimizerMemory<S>()

  /// Creates an optimiser with the defaults of `torch.optim.Adam`.
  public init(
    learningRate: Double = 1e-3, betas: (Double, Double) = (0.9, 0.999), epsilon: Double = 1e-8,
    weightDecay: Double = 0, decoupledWeightDecay: Bool = false, amsgrad: Bool = false
  ) {
    self.learningRate = learningRate
    (beta1, beta2) = betas
    self.epsilon = epsilon
    self.weightDecay = weightDecay
    self.decoupledWeightDecay = decoupledWeightDecay
    self.amsgrad = amsgrad
  }

  /// An optimiser with the defaults of `torch.optim.AdamW`.
  public static func adamW(
    learningRate: Double = 1e-3, betas: (Double, Double) = (0.9, 0.999), epsilon: Double = 1e-8,
    weightDecay: Double = 1e-2, amsgrad: Bool = false
  ) -> Adam {
    Adam(
      learningRate: learningRate, betas: betas, epsilon: epsilon, weightDecay: weightDecay,
      decoupledWeightDecay: true, amsgrad: amsgrad)
  }

  /// The number of steps, and `exp_avg`, `exp_avg_sq` and, with `amsgrad`, `max_exp_avg_sq`.
  public var state: Parameters<S> { memory.state }

  /// Continues from a saved state exactly.
  public mutating func restore(_ state: Parameters<S>) throws { try memory.restore(state) }

  /// Makes one step of all groups.
  public mutating func step(_ groups: inout [Parameters<S>], gradients: [Parameters<S>]) throws {
    try OptimizerOption.check(
      .atLeastZero("lr", learningRate), .atLeastZero("eps", epsilon),
      .belowOne("beta1", beta1), .belowOne("beta2", beta2),
      .atLeastZero("weight_decay", weightDecay))
    let step = Double(memory.stepCount + 1)
    let stepSize = learningRate / (1 - pow(beta1, step))
    let divisor = S((1 - pow(beta2, step)).squareRoot())
    let names = ["exp_avg", "exp_avg_sq"] + (amsgrad ? ["max_exp_avg_sq"] : [])
    try memory.update(&groups, gradients, buffers: names) { part in
      let (elements, buffers) = (part.elements, part.buffers)
      var gradient = part.gradient
      if weightDecay != 0 {
        if decoupledWeightDecay {
          TensorArithmetic.scale(elements, by: S(1 - learningRate * weightDecay))
        } else {
          gradient = part.copy(gradient)
          TensorArithmetic.add(gradient, elements, times: S(weightDecay))
        }
      }
      TensorArithmetic.interpolate(buffers[0], gradient, weight: S(1 - beta1))
      TensorArithmetic.scale(buffers[1], by: S(beta2))
      TensorArithmetic.addProduct(buffers[1], gradient, gradient, times: S(1 - beta2))
      if amsgrad { TensorArithmetic.maximum(buffers[2], buffers[1]) }
      TensorArithmetic.denominator(
        part.denominator, amsgrad ? buffers[2] : buffers[1], divisor: divisor, epsilon: S(epsilon))
      TensorArithmetic.addQuotient(elements, buffers[0], part.denominator, times: S(-stepSize))
    }
  }
}
