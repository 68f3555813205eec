import Networks
import Tensors

extension RecurrentError.Reason {
  /// A GRU of another framework that PyTorch's containers have no place for.
  package static func gruResetBefore(in convention: Convention) -> Self {
    Self("\(convention.name).gru-reset-before", .inexpressible)
  }

  package static let batchCollision = Self("batch.collision", .argument)
  package static let batchNested = Self("batch.nested", .argument)
  package static let batchNone = Self("batch.none", .missing)
  package static let conversionCollision = Self("conversion.collision", .inexpressible)
  package static let conversionNotOneNetwork = Self("conversion.not-one-network", .inexpressible)
  package static let conversionStrict = Self("conversion.strict", .mismatch)
  package static let outputNotDirectory = Self("output.not-directory", .output)
  package static let proofDeviation = Self("proof.deviation", .difference)
  package static let usageArguments = Self("usage.arguments", .argument)
  package static let usageDType = Self("usage.dtype", .argument)
  package static let weightsNone = Self("weights.none", .mismatch)
}
