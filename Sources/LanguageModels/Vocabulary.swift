import Containers
import Frameworks
import Tensors

/// What the tokens of a language model stand for: bytes, characters or words.
///
/// Characters are Unicode scalars, as in Python. Words are what stands between white space; a line break
/// is a word of its own, `\n`, and words outside the vocabulary become `<unk>`.
public struct Vocabulary: Sendable, Equatable {
  /// What one token is.
  public enum Level: String, Sendable, CaseIterable {
    /// A byte; the vocabulary is all 256, so that any file can be learned.
    case byte
    /// A Unicode scalar of UTF-8 text.
    case char
    /// A word of UTF-8 text.
    case word
  }

  /// What one token is.
  public let level: Level
  /// The symbols by token, for characters and words; bytes need none.
  public let symbols: [Name]
  private let tokens: [Name: Int]

  /// The word that stands for all words outside the vocabulary.
  public static let unknown: Name = "<unk>"

  /// The 256 bytes.
  public static let bytes = Vocabulary(.byte, [])

  private init(_ level: Level, _ symbols: [Name]) {
    self.level = level
    self.symbols = symbols
    tokens = Dictionary(
      symbols.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
  }

  /// The vocabulary of a text: its characters in the order of Unicode, or `<unk>` and its words, the
  /// most frequent first and at most `limit` in all.
  ///
  /// Throws `train.not-utf8` for a text that is not UTF-8, unless the level is bytes.
  public init(_ level: Level, of text: [UInt8], limit: Int? = nil) throws {
    switch level {
    case .byte: self = .bytes
    case .char:
      var seen: Set<UInt32> = []
      try UTF8Text.forEachScalar(of: text) { scalar, _ in seen.insert(scalar.value) }
      self.init(
        .char, seen.sorted().compactMap { Unicode.Scalar($0) }.map { Name(String($0)) })
    case .word:
      var counts: [Name: Int] = [:]
      try UTF8Text.forEachWord(of: text) { counts[$0, default: 0] += 1 }
      counts[Self.unknown] = nil
      let order = counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map(\.key)
      let room = limit.map { max(1, $0) - 1 } ?? order.count
      self.init(.word, [Self.unknown] + order.prefix(room))
    }
  }

  /// V, the number of tokens.
  public var count: Int { level == .byte ? 256 : symbols.count }

  /// The tokens of a text.
  ///
  /// Throws `train.not-utf8` for a text that is not UTF-8, and `train.unknown-character` for a character
  /// that the vocabulary lacks.
  public func encode(_ text: [UInt8]) throws -> [Int] {
    var result: [Int] = []
    switch level {
    case .byte: result = text.map { Int($0) }
    case .char:
      var table: [UInt32: Int] = [:]
      for (token, symbol) in symbols.enumerated() {
        if let scalar = symbol.string.unicodeScalars.first { table[scalar.value] = token }
      }
      result.reserveCapacity(text.count)
      try UTF8Text.forEachScalar(of: text) { scalar, offset in
        guard let token = table[scalar.value] else {
          throw RecurrentError(
            .trainUnknownCharacter, at: "byte \(offset)",
            found: "the character \"\(scalar)\"",
            expected: "one of the \(count) that the model has learned")
        }
        result.append(token)
      }
    case .word:
      let unknown = tokens[Self.unknown] ?? 0
      try UTF8Text.forEachWord(of: text) { result.append(tokens[$0] ?? unknown) }
    }
    return result
  }

  /// The tokens of a text; throws `train.unknown-character` for a character that the vocabulary lacks.
  public func encode(_ text: String) throws -> [Int] { try encode(Array(text.utf8)) }

  /// The bytes that a token adds to a text that ends in `previous`; a word brings the space before it.
  public func bytes(of token: Int, after previous: Int? = nil) -> [UInt8] {
    guard token >= 0, token < count else { return [] }
    if level == .byte { return [UInt8(token)] }
    let symbol = symbols[token].utf8
    guard level == .word, let previous, previous >= 0, previous < count,
      symbol != [0x0A], symbols[previous].utf8 != [0x0A]
    else { return symbol }
    return [0x20] + symbol
  }

  /// The text of tokens.
  public func decode(_ tokens: [Int]) -> [UInt8] {
    var previous: Int?
    return tokens.flatMap { token in
      defer { previous = token }
      return bytes(of: token, after: previous)
    }
  }
}

// As metadata, key `vocabulary`: {"level":"char","symbols":["\n"," ","a",…]}, in the order of the
// tokens; {"level":"byte"} needs no symbols.
extension Vocabulary {
  /// The metadata key that it travels under.
  package static let metadataKey = "vocabulary"

  /// The text of the metadata.
  package var metadata: String {
    var members: [JSON.Member] = [.init(key: "level", value: .string(level.rawValue))]
    if level != .byte {
      members.append(
        .init(key: "symbols", value: .array(symbols.map { .string($0.string) })))
    }
    return JSON.object(members).serialized()
  }

  /// Reads the text of the metadata; throws `train.vocabulary` if it is none.
  package init(metadata: String) throws {
    func refusal(_ found: String) -> RecurrentError {
      RecurrentError(
        .trainVocabulary, at: "metadata \"\(Self.metadataKey)\"", found: found,
        expected: "a level (byte, char, word) and its symbols, each once")
    }
    let json = try JSON.parse(Array(metadata.utf8))
    guard let level = json["level"]?.stringValue.flatMap(Level.init) else {
      throw refusal("no level")
    }
    if level == .byte {
      self = .bytes
      return
    }
    let texts = json["symbols"]?.arrayValue?.map(\.stringValue)
    guard let texts, !texts.isEmpty, texts.allSatisfy({ $0 != nil }) else {
      throw refusal("no symbols")
    }
    let symbols = texts.compactMap { $0 }.map { Name($0) }
    self.init(level, symbols)
    guard tokens.count == symbols.count else { throw refusal("a symbol twice") }
    guard level == .word || symbols.allSatisfy({ $0.string.unicodeScalars.count == 1 }) else {
      throw refusal("a symbol that is not one character")
    }
  }
}
