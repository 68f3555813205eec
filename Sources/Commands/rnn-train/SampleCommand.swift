import ArgumentParser
import CommandSupport
import Recurrent

/// Lets a trained language model write.
struct SampleCommand: Tool {
  static let toolName = "rnn-train sample"
  static let consequence: String? = nil
  static let configuration = CommandConfiguration(
    commandName: "sample", abstract: "Let a model of rnn-train write.",
    usage: "rnn-train sample MODEL [OPTIONS]",
    discussion: """
      Equal seeds give equal texts. Each token is drawn from the --top-k most likely ones, of these \
      from the fewest whose probabilities reach --top-p; --greedy takes the most likely one.

      Example:
        rnn-train sample model.h5 --prompt "Once " --length 300 --seed 1
      """, version: toolVersion)

  @Argument(help: .init("The model, or a checkpoint.", valueName: "MODEL"), completion: .file())
  var model: String
  @Option(help: .init("The text to go on from.", valueName: "TEXT")) var prompt: String?
  @Option(help: .init("Tokens to write (default: 200).", valueName: "N")) var length: String?
  @Option(help: .init("Below 1 bolder, above 1 more varied (default: 1).", valueName: "X"))
  var temperature: String?
  @Option(help: .init("Choose among so many tokens.", valueName: "N")) var topK: String?
  @Option(help: .init("Choose among the tokens that make up this probability.", valueName: "SHARE"))
  var topP: String?
  @Flag(help: "Take the most likely token.") var greedy = false
  @Option(help: .init("Seed of the draws (default: another one each time).", valueName: "N"))
  var seed: String?
  @Option(
    help: .init(
      "A file of the same model that holds its vocabulary, for a .pt MODEL.", valueName: "FILE"),
    completion: .file())
  var vocabulary: String?
  @Flag(help: "Do not print the prompt.") var quiet = false
  @Flag(help: "Print one JSON object and nothing else.") var json = false

  private static func option(
    _ flag: String, _ text: String?, reason: RecurrentError.Reason = .engineSamplingArgument
  ) -> NumberOption {
    NumberOption(flag, text, reason: reason)
  }

  private func tokenChoice() throws -> TokenChoice {
    let isZero = temperature.flatMap(Double.init) == 0
    let drawn = try TokenChoice(
      temperature: Self.option(
        "--temperature", temperature, reason: isZero ? .trainOption : .engineSamplingArgument
      ).number(
        "a number above 0",
        hint: isZero ? "--greedy takes the most likely token each time, as 0 would." : nil
      ) { $0 > 0 } ?? 1,
      topK: Self.option("--top-k", topK).whole(atLeast: 1),
      topP: Self.option("--top-p", topP).number("a number above 0 and at most 1") {
        $0 > 0 && $0 <= 1
      })
    guard greedy else { return drawn }
    let drawing = [("--temperature", temperature), ("--top-k", topK), ("--top-p", topP)]
    if let (flag, _) = drawing.first(where: { $0.1 != nil }) {
      throw RecurrentError(
        .trainOption, found: "--greedy and \(flag)", expected: "one of them")
    }
    return .greedy
  }

  private func tokenCount() throws -> Int {
    try Self.option("--length", length, reason: .trainOption).whole(atLeast: 0) ?? 200
  }

  private func givenSeed() throws -> Int? {
    try Self.option("--seed", seed, reason: .trainOption).whole()
  }

  func check() throws { _ = try (tokenChoice(), tokenCount(), givenSeed()) }

  mutating func perform() throws -> Int32 {
    let (choice, length) = try (tokenChoice(), tokenCount())
    let prompt = prompt ?? ""
    let seed = try givenSeed() ?? Int.random(in: 0..<1 << 31)
    let writer = try LanguageModel<Float>(path: model, vocabularyFile: vocabulary)
    var bytes = Array(prompt.utf8)
    do {
      _ = try writer.vocabulary.encode(bytes)
      if !json, !quiet { Output.write(shown(bytes)) }
      try writer.generate(after: bytes, length: length, choice: choice, seed: seed) { piece in
        if json { bytes += piece } else { Output.write(shown(piece)) }
      }
    } catch var error as RecurrentError where error.reason == .trainUnknownCharacter {
      error.reason = .trainUnknownCharacterArgument
      error.place = "--prompt, " + (error.place ?? "")
      throw error
    }
    guard json else {
      Output.line()
      return 0
    }
    Output.line(
      JSON.object([
        "model": .string(model), "prompt": .string(prompt),
        "text": .string(String(decoding: bytes.dropFirst(prompt.utf8.count), as: UTF8.self)),
        "seed": greedy ? .null : .number(seed), "tokens": .number(length),
      ]).serialized())
    return 0
  }

  /// A model may have learned to write control characters; a terminal must not obey them.
  private func shown(_ bytes: [UInt8]) -> [UInt8] {
    guard Output.isTerminal else { return bytes }
    return bytes.map { $0 < 0x20 && $0 != 0x0A && $0 != 0x09 || $0 == 0x7F ? 0x3F : $0 }
  }
}
