import ArgumentParser
import CommandSupport

/// The options that decide what is written and shown on the way.
struct RunOptions: ParsableArguments {
  @Option(
    help: .init("The checkpoint (default: MODEL.checkpoint).", valueName: "FILE"),
    completion: .file())
  var checkpoint: String?
  @Option(
    help: .init("Steps between checkpoints; 0: only at the end (default: 500).", valueName: "N"))
  var checkpointEvery: String?
  @Flag(help: "Go on from the checkpoint; other options keep the values they had.")
  var resume = false
  @Flag(help: "Replace files that exist.") var force = false
  @Option(
    help: .init("Append one JSON object per step to a file.", valueName: "FILE"),
    completion: .file())
  var log: String?
  @Option(
    help: .init(
      "Write a page with curves and samples, at every checkpoint and at the end.",
      valueName: "PAGE"), completion: .file(extensions: ["html"]))
  var html: String?
  @Option(
    help: .init(
      "Steps between samples on the page and in the log (default: a tenth of all; 0: none).",
      valueName: "N"))
  var sampleEvery: String?
  @Option(
    help: .init(
      "Steps between lines when standard error is no terminal (default: 100).", valueName: "N"))
  var printEvery: String?
  @Flag(help: "Print nothing but errors.") var quiet = false
  @Flag(help: "Print one JSON object and nothing else.") var json = false

  /// Steps between checkpoints; 0 for none but the last.
  func stepsBetweenCheckpoints() throws -> Int {
    try Self.count("--checkpoint-every", checkpointEvery) ?? 500
  }

  /// Steps between samples; 0 for none, `nil` for what suits the length of the training.
  func stepsBetweenSamples() throws -> Int? { try Self.count("--sample-every", sampleEvery) }

  /// Steps between lines; 0 for none.
  func stepsBetweenLines() throws -> Int { try Self.count("--print-every", printEvery) ?? 100 }

  private static func count(_ flag: String, _ text: String?) throws -> Int? {
    try NumberOption(flag, text, reason: .trainOption).whole(atLeast: 0)
  }
}
