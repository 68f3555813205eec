import Tensors

/// Text as bytes, taken apart without a `String` of the whole.
enum UTF8Text {
  /// Calls `body` with every scalar and the offset of its first byte; throws `train.not-utf8`.
  static func forEachScalar(
    of text: [UInt8], _ body: (Unicode.Scalar, Int) throws -> Void
  ) throws {
    var parser = Unicode.UTF8.ForwardParser()
    var bytes = text.makeIterator()
    var offset = 0
    while true {
      switch parser.parseScalar(from: &bytes) {
      case .valid(let encoded):
        try body(Unicode.UTF8.decode(encoded), offset)
        offset += encoded.count
      case .emptyInput: return
      case .error:
        throw RecurrentError(
          .trainNotUTF8, at: "byte \(offset)", found: "a byte that is not UTF-8",
          expected: "UTF-8 text",
          hint: "Use \(.word(.level, Vocabulary.Level.byte)), which learns any file.")
      }
    }
  }

  /// Calls `body` with every word and every line break; throws `train.not-utf8`.
  static func forEachWord(of text: [UInt8], _ body: (Name) throws -> Void) throws {
    try forEachScalar(of: text) { _, _ in }
    var start = 0
    for (place, byte) in text.enumerated() where [0x20, 0x09, 0x0A, 0x0D].contains(byte) {
      if place > start { try body(name(text[start..<place])) }
      if byte == 0x0A { try body("\n") }
      start = place + 1
    }
    if start < text.count { try body(name(text[start...])) }
  }

  private static func name(_ bytes: ArraySlice<UInt8>) -> Name {
    Name(String(decoding: bytes, as: UTF8.self))
  }
}
