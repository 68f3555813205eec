import Tensors

extension RecurrentError.Reason {
  package static let npyBF16 = Self("npy.bf16", .inexpressible)
  package static let npyBF16Unsupported = Self("npy.bf16", .unsupported)
  package static let npyDType = Self("npy.dtype", .unsupported)
  package static let npyHeader = Self("npy.header", .damaged)
  package static let npyMagic = Self("npy.magic", .damaged)
  package static let npyRank = Self("npy.rank", .damaged)
  package static let npySize = Self("npy.size", .damaged)
  package static let npyStructured = Self("npy.structured", .unsupported)
  package static let npyVersion = Self("npy.version", .unsupported)
  package static let npzMember = Self("npz.member", .unsupported)
  package static let npzMetadata = Self("npz.metadata", .damaged)
  package static let npzName = Self("npz.name", .inexpressible)
}
