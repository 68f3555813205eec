import Tensors

extension RecurrentError.Reason {
  package static let flaxArray = Self("flax.array", .damaged)
  package static let flaxChunks = Self("flax.chunks", .damaged)
  package static let flaxDType = Self("flax.dtype", .unsupported)
  package static let flaxDTypeFault = Self("flax.dtype", .fault)
  package static let flaxName = Self("flax.name", .inexpressible)
  package static let messagePackBurn = Self("msgpack.burn", .unsupported)
  package static let messagePackDepth = Self("msgpack.depth", .damaged)
  package static let messagePackHeader = Self("msgpack.header", .damaged)
  package static let messagePackKey = Self("msgpack.key", .damaged)
  package static let messagePackLimit = Self("msgpack.limit", .unsupported)
  package static let messagePackTrailing = Self("msgpack.trailing", .damaged)
  package static let messagePackTruncated = Self("msgpack.truncated", .damaged)
}
