import RNNEngine

/// The two options of a stack that PyTorch's modules do not have, as one argument of tests.
struct Stacking: Sendable, Equatable {
  var residual = false
  var layerNorm = false

  static let plain = Stacking()
}

extension RecurrentConfiguration {
  var stacking: Stacking {
    get { Stacking(residual: residual, layerNorm: layerNorm) }
    set { (residual, layerNorm) = (newValue.residual, newValue.layerNorm) }
  }
}
