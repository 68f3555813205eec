import ArgumentParser
import Recurrent

/// What a caller knows about a file: the options that every reading tool shares (design, section 7).
public struct ReadingOptions: ParsableArguments {
  /// The container.
  @Option(
    help: "The input's container, instead of recognising it.",
    completion: .list(WeightFormat.all.map(\.name)))
  public var from: String?
  /// The convention.
  @Option(
    help: "The input's convention, instead of recognising it.",
    completion: .list(Convention.all.map(\.name)))
  public var readAs: String?
  /// A convention of one's own.
  @Option(
    help: "A names file (JSON) that describes weights under anybody's names.",
    completion: .file(extensions: ["json"]))
  public var names: String?
  /// The recurrent module.
  @Option(
    help: "The recurrent module that is meant, by its name, with what is known to stand beside it.")
  public var module: String?
  /// The linear layer behind it.
  @Option(help: "The name of the linear layer behind the recurrent module, or none.")
  public var head: String?
  /// Which result it reads.
  @Option(
    help:
      "What the head reads: sequence (every step), last (the last step) or final (the final states).",
    completion: .list(HeadReads.allCases.map(\.rawValue)))
  public var headReads: String?
  /// The table before it.
  @Option(help: "The name of the embedding before the recurrent module, or none.")
  public var embedding: String?
  /// The cell.
  @Option(
    help: "The cell, where shapes leave it open: rnn_tanh or rnn_relu.",
    completion: .list(Cell.allCases.map(\.rawValue)))
  public var cell: String?
  /// The form of a GRU.
  @Option(
    help: "Where a GRU applies its reset gate: after (PyTorch) or before the product.",
    completion: .list(["after", "before"]))
  public var gruReset: String?
  /// The layout of x and output.
  @Option(
    help: "Whether x and output are (N, T, features): yes or no.",
    completion: .list(["yes", "no"]))
  public var batchFirst: String?

  /// Says nothing.
  public init() {}

  /// Throws a usage error for options that exclude each other.
  public mutating func validate() throws {
    if readAs != nil, names != nil {
      throw ValidationError("--read-as and --names exclude each other")
    }
    if head == "none", headReads != nil {
      throw ValidationError("--head none and --head-reads exclude each other")
    }
  }

  /// What was said; throws `.usage` for a word that is none, and what reading a names file throws.
  public func options() throws -> ReadOptions {
    func neighbour(_ text: String) -> ReadOptions.Neighbour {
      text == "none" ? .none : .named(text)
    }
    var options = ReadOptions()
    options.convention =
      try readAs.map(Convention.named) ?? names.map { try Convention(contentsOf: $0) }
    options.module = module
    options.head = head.map(neighbour)
    options.embedding = embedding.map(neighbour)
    options.headReads = try headReads.map { text in
      guard let reads = HeadReads(rawValue: text) else {
        throw RecurrentError(
          .usage, "usage.head-reads", found: "--head-reads \(text)",
          expected: "sequence, last or final")
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
        .usage, "usage.yes-no", found: "\(flag) \(text)", expected: "yes or no")
    }
  }
}
