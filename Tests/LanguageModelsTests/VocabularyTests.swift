import Tensors
import TestSupport
import Testing

@testable import LanguageModels

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

@Suite("A vocabulary is the text's own symbols, in one order")
struct VocabularyTests {
  // A precomposed and a decomposed é differ in bytes, and must differ as tokens.
  static let text = "h\u{E9}llo e\u{301} \u{1F600}\r\nx"

  @Test func charactersAreScalarsInOrder() throws {
    let vocabulary = try Vocabulary(.char, of: bytes(Self.text))
    #expect(vocabulary.count == 11)
    #expect(
      vocabulary.symbols.map(\.string)
        == vocabulary.symbols.map(\.string).sorted {
          $0.unicodeScalars.map(\.value).lexicographicallyPrecedes($1.unicodeScalars.map(\.value))
        })
    let tokens = try vocabulary.encode(Self.text)
    #expect(tokens == [4, 8, 5, 5, 6, 2, 3, 9, 2, 10, 1, 0, 7])
    #expect(vocabulary.decode(tokens) == bytes(Self.text))
  }

  @Test func bytesNeedNoUTF8() throws {
    let text: [UInt8] = [0xFF, 0x00, 0xC3, 0x28]
    #expect(try Vocabulary(.byte, of: text) == .bytes)
    #expect(try Vocabulary.bytes.encode(text) == [255, 0, 195, 40])
    #expect(Vocabulary.bytes.decode([255, 0, 195, 40]) == text)
    #expect(reason { _ = try Vocabulary(.char, of: [0x61] + text) } == "train.not-utf8")
    #expect(reason { _ = try Vocabulary(.word, of: text) } == "train.not-utf8")
    do {
      _ = try Vocabulary(.char, of: [0x61, 0x62, 0xFF])
    } catch let error as RecurrentError {
      #expect(error.place == "byte 2")
    }
  }

  @Test func wordsAreCountedAndLimited() throws {
    let text = bytes("the cat  sat\non the\tmat the cat\r\n<unk> ran")
    let all = try Vocabulary(.word, of: text)
    #expect(all.symbols.map(\.string) == ["<unk>", "the", "\n", "cat", "mat", "on", "ran", "sat"])
    let few = try Vocabulary(.word, of: text, limit: 4)
    #expect(few.symbols.map(\.string) == ["<unk>", "the", "\n", "cat"])
    #expect(try few.encode("the dog\ncat") == [1, 0, 2, 3])
    #expect(few.decode([1, 0, 2, 3, 1]) == bytes("the <unk>\ncat the"))
  }

  @Test(arguments: [Vocabulary.Level.byte, .char, .word])
  func travelsAsMetadata(_ level: Vocabulary.Level) throws {
    let vocabulary = try Vocabulary(level, of: bytes(Self.text + " \"q\\ \u{7}"))
    #expect(try Vocabulary(metadata: vocabulary.metadata) == vocabulary)
  }

  @Test(arguments: [
    "{}", #"{"level":"char"}"#, #"{"level":"char","symbols":[]}"#, #"{"level":"syllable"}"#,
    #"{"level":"char","symbols":["a","a"]}"#, #"{"level":"char","symbols":["ab"]}"#,
    #"{"level":"word","symbols":["a",3]}"#, #"{"level":"char","symbols":[""]}"#,
  ])
  func damagedMetadataIsRefused(_ text: String) {
    #expect(reason { _ = try Vocabulary(metadata: text) } == "train.vocabulary")
  }

  @Test func unknownCharacterIsNamed() throws {
    let vocabulary = try Vocabulary(.char, of: bytes("abc"))
    #expect(reason { _ = try vocabulary.encode("abz") } == "train.unknown-character")
  }
}
