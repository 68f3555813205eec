import Tensors

extension RecurrentError.Reason {
  package static let jsonByteOrderMark = Self("json.byte-order-mark", .damaged)
  package static let jsonDepth = Self("json.depth", .damaged)
  package static let jsonDuplicate = Self("json.duplicate", .damaged)
  package static let jsonNumber = Self("json.number", .damaged)
  package static let jsonString = Self("json.string", .damaged)
  package static let jsonSurrogate = Self("json.surrogate", .damaged)
  package static let jsonSyntax = Self("json.syntax", .damaged)
  package static let jsonTrailing = Self("json.trailing", .damaged)
  package static let jsonTruncated = Self("json.truncated", .damaged)
  package static let jsonUTF8 = Self("json.utf8", .damaged)
}
