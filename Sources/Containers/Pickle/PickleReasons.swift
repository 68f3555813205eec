import Tensors

extension RecurrentError.Reason {
  package static let pickleMalformed = Self("pickle.malformed", .damaged)
  package static let pickleOpcode = Self("pickle.opcode", .unsupported)
  package static let pickleProtocol = Self("pickle.protocol", .unsupported)
}
