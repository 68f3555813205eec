import Tensors

extension RecurrentError.Reason {
  package static let proofReadBack = Self("proof.read-back", .fault)
  package static let usageReadOnly = Self("usage.read-only", .argument)
  package static let usageShards = Self("usage.shards", .argument)
}
