import ArgumentParser
import CommandSupport
import Recurrent

/// Lets a trained language model write.
struct SampleCommand: Tool {
  static let toolName = "rnn-train sample"
  static let consequence: String? = nil
  static let configuration = CommandConfiguration(
    commandName: "sample", abstract: "Let a model of rnn-train write.",
    usage: "rnn-train sample MODEL [options]",
    discussion: """
      Equal seeds give equal texts. Each token is drawn from the --top-k most likely ones, of these \
      from the fewest whose probabilities reach --top-p; --greedy takes the most likely one.

      Example:
        rnn-train sample model.h5 --prompt "Once " --length 300 --seed 1
      """, version: toolVersion)

  @Argument(help: "The model, or a checkpoint.", completion: .file()) var model: String
  @Option(help: "The text to go on from.") var prompt = ""
  @Option(help: "Tokens to write (default: 200).") var length = 200
  @Option(help: "Below 1 bolder, above 1 more varied (default: 1).") var temperature: Double?
  @Option(help: "Choose among so many tokens.") var topK: Int?
  @Option(help: "Choose among the tokens that make up this probability.") var topP: Double?
  @Flag(help: "Take the most likely token.") var greedy = false
  @Option(help: "Seed of the draws (default: another one each time).") var seed: Int?
  @Option(
    help: "A file of the same model that holds its vocabulary, for a .pt MODEL.",
    completion: .file())
  var vocabulary: String?
  @Flag(help: "Do not print the prompt.") var quiet = false
  @Flag(help: "Print one JSON object and nothing else.") var json = false

  mutating func perform() throws -> Int32 {
    if let temperature, temperature == 0 {
      throw RecurrentError(
        .usage, "train.option", at: "--temperature", found: "0", expected: "a number above 0",
        hint: "--greedy takes the most likely token each time, as 0 would.")
    }
    guard length >= 0 else {
      throw RecurrentError(
        .usage, "train.option", at: "--length", found: "\(length)", expected: "0 or more")
    }
    if greedy, temperature != nil || topK != nil || topP != nil {
      throw RecurrentError(
        .usage, "train.option", at: "--greedy", found: "--greedy with an option of drawing",
        expected: "one or the other")
    }
    let choice =
      try greedy
      ? TokenChoice.greedy : TokenChoice(temperature: temperature ?? 1, topK: topK, topP: topP)
    let seed = seed ?? Int.random(in: 0..<1 << 31)
    let writer = try LanguageModel<Float>(contentsOf: model, vocabularyFile: vocabulary)
    var bytes = Array(prompt.utf8)
    do {
      _ = try writer.vocabulary.encode(bytes)
      if !json, !quiet { Output.write(shown(bytes)) }
      try writer.generate(after: bytes, length: length, choice: choice, seed: seed) { piece in
        if json { bytes += piece } else { Output.write(shown(piece)) }
      }
    } catch var error as RecurrentError where error.reason == "train.unknown-character" {
      error.kind = .usage
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
