import Tensors

extension RecurrentError.Reason {
  package static let kerasConfig = Self("keras.config", .damaged)
  package static let kerasName = Self("keras.name", .damaged)
  package static let kerasNameInexpressible = Self("keras.name", .inexpressible)
  package static let kerasSharded = Self("keras.sharded", .unsupported)
}
