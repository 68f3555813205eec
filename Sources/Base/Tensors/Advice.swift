/// A sentence that says what to do, in which parameters are values and not words.
///
/// A library calls a parameter `head: "fc"`, a command `--head fc`. ``description`` has the library's
/// words; a program with users of its own puts in theirs with ``words(_:)``.
package struct Advice: Sendable, Equatable {
  /// What a caller can say or use; the raw value is Swift's word for it.
  package enum Means: String, Sendable, CaseIterable {
    /// The recurrent module that is meant.
    case module
    /// The state dict that is meant, of several in one file.
    case key
    /// The linear layer behind it.
    case head
    /// What the head reads.
    case headReads
    /// The table before it.
    case embedding
    /// The cell.
    case cell
    /// Where a GRU applies its reset gate.
    case gruReset
    /// Whether x and output are (N, T, ·).
    case batchFirst
    /// The convention to write.
    case convention
    /// A convention of one's own, from a names file.
    case namesFile = "Convention(contentsOf:)"
    /// The container to read.
    case inputFormat
    /// The container to write.
    case outputFormat
    /// The element type to write.
    case dtype
    /// Whether a file that exists is replaced.
    case overwrite
    /// Whether assumptions and losses are errors.
    case isStrict
    /// A file that holds the vocabulary of a model.
    case vocabularyFile
    /// What a token is.
    case level
    /// The rows of a batch.
    case rows
    /// The layers.
    case layerCount
    /// The share of a text to validate on.
    case validation
    /// The learning rate.
    case learningRate
    /// The largest norm of all gradients.
    case clipNorm
    /// A names file that is made from a file's shapes.
    case namesDraft = "NamesDraft"
    /// Whether two files hold the same network.
    case networkComparison = "NetworkComparison"
    /// Whether gradients agree with finite differences.
    case gradientCheck = "GradientCheck"
  }

  /// What is said of a parameter.
  package enum Value: Sendable, Equatable {
    /// The name of something in a file.
    case name(String)
    /// One of several words, and the case that stands for it in Swift.
    case word(String, caseName: String)
    /// Yes or no.
    case flag(Bool)
    /// That there is none.
    case none
  }

  /// A piece of the sentence.
  package enum Part: Sendable, Equatable {
    /// Words.
    case text(String)
    /// A parameter or an operation, with the value that is advised.
    case means(Means, Value?)
  }

  /// The pieces in order.
  package let parts: [Part]

  /// Joins pieces; words that follow each other become one piece, so that equal sentences are equal.
  package init(_ parts: [Part]) {
    var joined: [Part] = []
    for part in parts {
      if case .text(let more) = part, case .text(let text)? = joined.last {
        joined[joined.count - 1] = .text(text + more)
      } else if part != .text("") {
        joined.append(part)
      }
    }
    self.parts = joined
  }

  /// The sentence in the words of whoever calls the parameters by other names.
  package func words(_ spelling: (Means, Value?) -> String) -> String {
    parts.map { part in
      switch part {
      case .text(let text): text
      case .means(let means, let value): spelling(means, value)
      }
    }.joined()
  }

  /// One sentence after another.
  package static func + (left: Advice, right: Advice) -> Advice { Advice(left.parts + right.parts) }
}

extension Advice.Part {
  /// The module with a name.
  package static func module(_ name: String) -> Self { .means(.module, .name(name)) }

  /// The head with a name.
  package static func head(_ name: String) -> Self { .means(.head, .name(name)) }

  /// That a file that exists is replaced.
  package static let replacing = Self.means(.overwrite, .flag(true))

  /// The container to read.
  package static func inputFormat(_ name: String) -> Self {
    .means(.inputFormat, .word(name, caseName: name))
  }

  /// A parameter with either of two of its words.
  package static func word<Word: RawRepresentable<String>>(
    _ means: Advice.Means, _ value: Word, or other: Word
  ) -> Self {
    .means(
      means,
      .word("\(value.rawValue) or \(other.rawValue)", caseName: "\(value)` or `.\(other)"))
  }

  /// A parameter with one of its words.
  package static func word<Word: RawRepresentable<String>>(
    _ means: Advice.Means, _ value: Word
  ) -> Self {
    .means(means, .word(value.rawValue, caseName: "\(value)"))
  }
}

extension Advice: CustomStringConvertible {
  /// The sentence in the library's words: ``Choose one: `module: "encoder"`.``
  package var description: String {
    words { means, value in
      switch value {
      case .name(let name)?:
        means == .head || means == .embedding
          ? "`\(means.rawValue): .named(\"\(name)\")`" : "`\(means.rawValue): \"\(name)\"`"
      case .word(_, let caseName)?: "`\(means.rawValue): .\(caseName)`"
      case .flag(let value)?: "`\(means.rawValue): \(value)`"
      case Value.none?: "`\(means.rawValue): .none`"
      case nil: "`\(means.rawValue)`"
      }
    }
  }
}

extension Advice: ExpressibleByStringInterpolation {
  /// Collects a literal's pieces.
  package struct StringInterpolation: StringInterpolationProtocol {
    fileprivate var parts: [Part] = []

    /// An empty sentence.
    package init(literalCapacity: Int, interpolationCount: Int) {}

    /// Adds words.
    package mutating func appendLiteral(_ literal: String) {
      parts.append(.text(literal))
    }

    /// Adds a value as text.
    package mutating func appendInterpolation(_ value: some CustomStringConvertible) {
      appendLiteral(value.description)
    }

    /// Adds the pieces of another sentence.
    package mutating func appendInterpolation(_ advice: Advice) { parts += advice.parts }

    /// Adds a parameter, whatever its value.
    package mutating func appendInterpolation(_ means: Means) { parts.append(.means(means, nil)) }

    /// Adds a parameter with its value.
    package mutating func appendInterpolation(_ part: Part) { parts.append(part) }
  }

  /// A sentence without parameters.
  package init(stringLiteral text: String) { self.init([.text(text)]) }

  /// A sentence with parameters in it.
  package init(stringInterpolation: StringInterpolation) { self.init(stringInterpolation.parts) }

  /// A sentence that was made elsewhere.
  package init(_ text: String) { self.init(stringLiteral: text) }
}
