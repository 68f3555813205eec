import Tensors

extension RecurrentError.Reason {
  package static let kerasActivation = Self("keras.activation", .mismatch)
  package static let kerasActivationInexpressible = Self("keras.activation", .inexpressible)
  package static let kerasBidirectional = Self("keras.bidirectional", .inexpressible)
  package static let kerasGoBackwards = Self("keras.go-backwards", .inexpressible)
  package static let kerasLayers = Self("keras.layers", .damaged)
  package static let kerasLegacy = Self("keras.legacy", .damaged)
  package static let kerasMergeMode = Self("keras.merge-mode", .inexpressible)
  package static let kerasNested = Self("keras.nested", .unsupported)
  package static let kerasQuantised = Self("keras.quantised", .unsupported)
  package static let kerasSequential = Self("keras.sequential", .inexpressible)
  package static let weightsMissing = Self("weights.missing", .mismatch)
  package static let weightsShape = Self("weights.shape", .mismatch)
}
