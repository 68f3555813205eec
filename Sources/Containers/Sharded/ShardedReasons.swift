import Tensors

extension RecurrentError.Reason {
  package static let shardExtra = Self("shard.extra", .damaged)
  package static let shardFormat = Self("shard.format", .damaged)
  package static let shardIndex = Self("shard.index", .damaged)
  package static let shardLink = Self("shard.link", .damaged)
  package static let shardMissing = Self("shard.missing", .missing)
  package static let shardMissingTensor = Self("shard.missing-tensor", .damaged)
  package static let shardName = Self("shard.name", .damaged)
  package static let shardTotalSize = Self("shard.total-size", .damaged)
}
