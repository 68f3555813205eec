import ArgumentParser

/// The options that decide what is written and shown on the way.
struct RunOptions: ParsableArguments {
  @Option(help: "The checkpoint (default: MODEL.checkpoint).", completion: .file())
  var checkpoint: String?
  @Option(help: "Steps between checkpoints (default: 500; 0: only at the end).")
  var checkpointEvery = 500
  @Flag(help: "Go on from the checkpoint; other options keep the values they had.")
  var resume = false
  @Flag(help: "Replace files that exist.") var force = false
  @Option(help: "Append one JSON object per step to a file.", completion: .file())
  var log: String?
  @Option(help: "Steps between lines when standard error is no terminal (default: 100).")
  var printEvery = 100
  @Flag(help: "Print nothing but errors.") var quiet = false
  @Flag(help: "Print one JSON object and nothing else.") var json = false
}
