import Tensors

extension RecurrentError.Reason {
  package static let protobufKey = Self("protobuf.key", .damaged)
  package static let protobufLimit = Self("protobuf.limit", .unsupported)
  package static let protobufTruncated = Self("protobuf.truncated", .damaged)
  package static let protobufUTF8 = Self("protobuf.utf8", .damaged)
  package static let protobufVarint = Self("protobuf.varint", .damaged)
  package static let protobufWireType = Self("protobuf.wire-type", .damaged)
}
