import Recurrent

// What the library says, in the words of the command line: its parameters are flags here.

extension Advice {
  /// The sentence with flags in it: `Choose one: --module encoder.`
  package var withFlags: String {
    words { means, value in
      let flag = means.flag
      switch value {
      case .name(let name)?: return "\(flag) \(quotedForShell(name))"
      case .word(let word, _)?: return "\(flag) \(word)"
      case .flag(let isSet)?:
        let takesWord = means == .batchFirst
        return takesWord ? "\(flag) \(isSet ? "yes" : "no")" : flag
      case Value.none?: return "\(flag) none"
      case nil: return flag
      }
    }
  }
}

extension Advice.Means {
  /// The flag, or the call of a tool, that stands for it.
  fileprivate var flag: String {
    switch self {
    case .module: "--module"
    case .key: "rnn-convert --module NAME"
    case .head: "--head"
    case .headReads: "--head-reads"
    case .embedding: "--embedding"
    case .cell: "--cell"
    case .gruReset: "--gru-reset"
    case .batchFirst: "--batch-first"
    case .convention: "--as"
    case .namesFile: "--names FILE"
    case .inputFormat: "--from"
    case .outputFormat: "--to"
    case .dtype: "--dtype"
    case .overwrite: "--force"
    case .isStrict: "--strict"
    case .vocabularyFile: "--vocabulary"
    case .level: "--level"
    case .rows: "--batch"
    case .layerCount: "--layers"
    case .validation: "--validation"
    case .learningRate: "--lr"
    case .clipNorm: "--clip-norm"
    case .namesDraft: "rnn-inspect --json"
    case .networkComparison: "--same"
    case .gradientCheck: "--gradcheck"
    }
  }
}

extension Assumption {
  /// One line: what is believed, and the flag that changes it.
  package var withFlags: String { advice.withFlags }
}

extension Reservation {
  /// One line, with the flag that changes an assumption.
  package var withFlags: String {
    switch self {
    case .assumed(let assumption): assumption.withFlags
    case .says(let text): text
    }
  }
}

extension ConversionPreview {
  /// One line, with flags in the way out of a refusal.
  package var withFlags: String {
    guard let refusal else { return summary }
    return "refused: \(refusal.found)" + (refusal.advice.map { " (\($0.withFlags))" } ?? "")
  }
}

/// A word as a shell takes it; plain words stay as they are.
package func quotedForShell(_ word: String) -> String {
  let plain = word.utf8.allSatisfy { byte in
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), 0x80...:
      true
    default: "_-./:@%+=,".utf8.contains(byte)
    }
  }
  guard !plain || word.isEmpty else { return word }
  return word.isEmpty ? "\"\"" : "'" + word.map { $0 == "'" ? "'\\''" : String($0) }.joined() + "'"
}
