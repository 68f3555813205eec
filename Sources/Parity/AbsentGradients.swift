import Networks
import Tensors

extension Fixture {
  /// The gradients that the loss has and the fixture does not expect, as `grads/KEY`: they are not checked.
  ///
  /// A frozen parameter has no gradient, so leaving one out is no mistake; but a reader should know. Where
  /// the fixture expects no gradients at all, none is absent.
  func absentGradients() throws -> [String] {
    guard gradients.count > 0 else { return [] }
    var isOutputsOnly = false
    if case .vectorJacobianProduct? = lossKind { isOutputsOnly = true }
    return try network().recognition.tensors.filter { stored in
      guard gradients[stored.name] == nil else { return false }
      // The upstream gradients of `vjp` do not pass through the head.
      return !(isOutputsOnly && stored.placements.first?.slots.first?.part == .head)
    }.map { "grads/\($0.name)" }
  }

  /// The configuration's loss; upstream gradients without one mean `vjp`.
  var lossKind: FixtureConfiguration.LossKind? {
    let hasUpstream = ["grad_output", "grad_h_n", "grad_c_n"].contains {
      inputs[Name($0)] != nil
    }
    return configuration.loss ?? (hasUpstream ? .vectorJacobianProduct : nil)
  }
}
