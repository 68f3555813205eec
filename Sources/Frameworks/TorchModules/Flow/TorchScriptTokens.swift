// The code of a TorchScript archive, as PyTorch prints it: one statement on a line, blocks by
// indentation, every operation a call. Only what that printer writes is understood.

import Containers
import Tensors

/// A piece of a line.
enum TorchScriptToken: Equatable {
  case name(String)
  case number(String)
  case text(String)
  case sign(UInt8)

  static func sign(_ text: Unicode.Scalar) -> TorchScriptToken { .sign(UInt8(ascii: text)) }
}

/// Splits text into lines of tokens; a line goes on while a bracket is open.
struct TorchScriptLines {
  private let text: ArraySlice<UInt8>
  private var position: Int
  private static let maximumTokens = 200_000

  init(_ text: ArraySlice<UInt8>) {
    self.text = text
    position = text.startIndex
  }

  /// The next line that is not empty; `tokens` is `nil` where it has something unknown in it.
  mutating func next() -> (indent: Int, tokens: [TorchScriptToken]?)? {
    while position < text.endIndex {
      let start = position
      while position < text.endIndex, text[position] == 0x20 { position += 1 }
      let indent = position - start
      guard position < text.endIndex else { return nil }
      if text[position] == 0x0A {
        position += 1
        continue
      }
      if text[position] == UInt8(ascii: "#") {
        skipLine()
        continue
      }
      let tokens = line()
      if tokens == nil { skipLine() }
      return (indent, tokens)
    }
    return nil
  }

  private mutating func skipLine() {
    while position < text.endIndex, text[position] != 0x0A { position += 1 }
  }

  private mutating func line() -> [TorchScriptToken]? {
    var tokens: [TorchScriptToken] = []
    var depth = 0
    while position < text.endIndex {
      let byte = text[position]
      switch byte {
      case 0x20, 0x0D: position += 1
      case 0x0A:
        position += 1
        if depth <= 0 { return tokens }
      case UInt8(ascii: "#"): skipLine()
      case UInt8(ascii: "\""), UInt8(ascii: "'"):
        guard let token = string(byte) else { return nil }
        tokens.append(token)
      case _ where Self.isNameStart(byte):
        tokens.append(.name(word()))
      case UInt8(ascii: "0")...UInt8(ascii: "9"):
        tokens.append(.number(number()))
      default:
        guard byte > 0x20, byte < 0x7F else { return nil }
        if [UInt8(ascii: "("), UInt8(ascii: "["), UInt8(ascii: "{")].contains(byte) { depth += 1 }
        if [UInt8(ascii: ")"), UInt8(ascii: "]"), UInt8(ascii: "}")].contains(byte) { depth -= 1 }
        tokens.append(.sign(byte))
        position += 1
      }
      guard tokens.count <= Self.maximumTokens else { return nil }
    }
    return tokens
  }

  private static func isNameStart(_ byte: UInt8) -> Bool {
    (byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "z"))
      || byte == UInt8(ascii: "_")
      || byte >= 0x80
  }

  private mutating func word() -> String {
    let start = position
    while position < text.endIndex,
      Self.isNameStart(text[position])
        || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(text[position])
    { position += 1 }
    return String(decoding: text[start..<position], as: UTF8.self)
  }

  private mutating func number() -> String {
    let start = position
    while position < text.endIndex {
      let byte = text[position]
      let isSigned =
        (byte == UInt8(ascii: "+") || byte == UInt8(ascii: "-")) && position > start
        && text[position - 1] | 0x20 == UInt8(ascii: "e")
      guard
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || byte == UInt8(ascii: ".")
          || byte | 0x20 == UInt8(ascii: "e") || isSigned
      else { break }
      position += 1
    }
    return String(decoding: text[start..<position], as: UTF8.self)
  }

  private mutating func string(_ quote: UInt8) -> TorchScriptToken? {
    position += 1
    let start = position
    var isPlain = true
    while position < text.endIndex, text[position] != quote {
      if text[position] == 0x0A { return nil }
      if text[position] == UInt8(ascii: "\\") {
        isPlain = false
        position += 1
      }
      position += 1
    }
    guard position < text.endIndex else {
      position = text.endIndex
      return nil
    }
    let content = String(decoding: text[start..<position], as: UTF8.self)
    position += 1
    // Escapes occur in messages only.
    return .text(isPlain ? content : "")
  }
}
