import ArgumentParser
import Recurrent

/// What a caller knows about a file: the options that every reading tool shares. The page "On the command line" lists them.
public struct ReadingOptions: ParsableArguments {
  /// The container.
  @Option(
    help: .init("The input's container, instead of recognising it.", valueName: "CONTAINER"),
    completion: .list(WeightFormat.all.map(\.name)))
  public var from: String?
  /// The convention.
  @Option(
    help: .init("The input's convention, instead of recognising it.", valueName: "CONVENTION"),
    completion: .list(Convention.all.map(\.name)))
  public var readAs: String?
  /// A convention of one's own.
  @Option(
    help: .init(
      "A names file (JSON) that describes weights under anybody's names.", valueName: "FILE"),
    completion: .file(extensions: ["json"]))
  public var names: String?
  /// The recurrent module.
  @Option(
    help: .init(
      "The recurrent module that is meant, by its name, with what is known to stand beside it.",
      valueName: "NAME"))
  public var module: String?
  /// The linear layer behind it.
  @Option(
    help: .init(
      "The name of the linear layer behind the recurrent module, or none.", valueName: "NAME"))
  public var head: String?
  /// Which result it reads.
  @Option(
    help: .init(
      "What the head reads: sequence (every step), last (the last step) or final (the final states).",
      valueName: "WHAT"),
    completion: .list(HeadReads.allCases.map(\.rawValue)))
  public var headReads: String?
  /// The table before it.
  @Option(
    help: .init(
      "The name of the embedding before the recurrent module, or none.", valueName: "NAME"))
  public var embedding: String?
  /// The cell.
  @Option(
    help: .init(
      "The cell, where shapes leave it open: rnn_tanh or rnn_relu.", valueName: "CELL"),
    completion: .list(Cell.allCases.map(\.rawValue)))
  public var cell: String?
  /// The form of a GRU.
  @Option(
    help: .init(
      "Where a GRU applies its reset gate: after (PyTorch) or before the product.",
      valueName: "WHERE"),
    completion: .list(["after", "before"]))
  public var gruReset: String?
  /// The layout of x and output.
  @Option(
    help: .init("Whether x and output are (N, T, features): yes or no.", valueName: "YES-OR-NO"),
    completion: .list(["yes", "no"]))
  public var batchFirst: String?

  /// Says nothing.
  public init() {}

  /// The flags that were given.
  public var given: [String] {
    let all: [(String, String?)] = [
      ("--from", from), ("--read-as", readAs), ("--names", names), ("--module", module),
      ("--head", head), ("--head-reads", headReads), ("--embedding", embedding), ("--cell", cell),
      ("--gru-reset", gruReset), ("--batch-first", batchFirst),
    ]
    return all.compactMap { flag, value in value == nil ? nil : flag }
  }

  /// Throws a usage error for options that exclude each other.
  public func check() throws {
    if readAs != nil, names != nil {
      throw RecurrentError.arguments("--read-as and --names exclude each other")
    }
    if head == "none", headReads != nil {
      throw RecurrentError.arguments("--head none and --head-reads exclude each other")
    }
    // Words that are none are said before any file is looked at.
    _ = try (from.map(WeightFormat.named), wordOptions())
  }

  /// What was said; throws `.usage` for a word that is none, and what reading a names file throws.
  public func options() throws -> ReadOptions {
    var options = try wordOptions()
    if let names { options.convention = try Convention(path: names) }
    return options
  }

  /// The same without the names file.
  private func wordOptions() throws -> ReadOptions {
    func neighbour(_ text: String) -> ReadOptions.Neighbour {
      text == "none" ? .none : .named(text)
    }
    var options = ReadOptions()
    options.convention = try readAs.map(Convention.named)
    options.module = module
    options.head = head.map(neighbour)
    options.embedding = embedding.map(neighbour)
    options.headReads = try headReads.map { text in
      guard let reads = HeadReads(rawValue: text) else {
        let words = HeadReads.allCases.map(\.rawValue)
        throw RecurrentError(
          .usageHeadReads, at: "--head-reads", found: "\"\(text)\"",
          expected: "sequence, last or final",
          hint: nearest(to: text, among: words).map { "Did you mean \($0)?" })
      }
      return reads
    }
    options.cell = try cell.map(Cell.argument)
    options.gruReset = try gruReset.map(GRUReset.argument)
    options.batchFirst = try batchFirst.map { try Bool.argument($0, "--batch-first") }
    return options
  }

  /// Opens a file in the container that was said.
  public func open(_ path: String) throws -> WeightFile {
    try WeightFile(path: path, format: from.map(WeightFormat.named))
  }
}

extension Bool {
  /// Parses yes or no; throws `.usage`.
  public static func argument(_ text: String, _ flag: String) throws -> Bool {
    switch text {
    case "yes", "true": return true
    case "no", "false": return false
    default:
      throw RecurrentError(
        .usageYesNo, at: flag, found: "\"\(text)\"", expected: "yes or no")
    }
  }
}

extension RecurrentError {
  /// Arguments that parse and make no sense together.
  public static func arguments(_ found: String, expected: String? = nil) -> RecurrentError {
    RecurrentError(.usageArguments, found: found, expected: expected)
  }
}
