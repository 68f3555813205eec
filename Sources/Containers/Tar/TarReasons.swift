import Tensors

extension RecurrentError.Reason {
  package static let tarKind = Self("tar.kind", .unsupported)
  package static let tarMalformed = Self("tar.malformed", .damaged)
}
