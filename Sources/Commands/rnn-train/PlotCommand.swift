import ArgumentParser
import Bytes
import CommandSupport
import Recurrent

/// Draws what a training wrote with `--log`.
struct PlotCommand: Tool {
  static let toolName = "rnn-train plot"
  static let consequence: String? = "Nothing was written."
  static let configuration = CommandConfiguration(
    commandName: "plot", abstract: "Draw the log of a training as a page.",
    usage: "rnn-train plot LOG PAGE [OPTIONS]",
    discussion: """
      LOG is what rnn-train --log wrote, of a training that has ended or still runs. PAGE is one file of \
      HTML with the curves of the loss, the learning rate and the gradients, and with the samples. It \
      needs no network and no script.

      Examples:
        rnn-train shakespeare.txt model.h5 --log training.jsonl
        rnn-train plot training.jsonl training.html
      """, version: toolVersion)

  @Argument(
    help: .init("The log to draw.", valueName: "LOG"), completion: .file(extensions: ["jsonl"]))
  var log: String
  @Argument(
    help: .init("The page to write.", valueName: "PAGE"), completion: .file(extensions: ["html"]))
  var page: String
  @Flag(help: "Print nothing but errors.") var quiet = false
  @Flag(help: "Print one JSON object and nothing else.") var json = false

  func check() throws { try checkDistinct([("LOG", log), ("PAGE", page)]) }

  mutating func perform() throws -> Int32 {
    let file = try PageFile(page)
    let training = try TrainingLog(path: log)
    try file.write(training, title: training.model ?? log)
    let (steps, samples) = (training.steps.count, training.samples.count)
    if json {
      Output.line(
        JSON.object([
          "page": .string(page), "steps": .number(steps), "samples": .number(samples),
          "ending": training.ending.map { .string($0) } ?? .null,
        ]).serialized())
    } else if !quiet {
      Output.line(
        "\(escapedForTerminal(page)): \(counted(steps, "step"))"
          + (samples > 0 ? ", \(counted(samples, "sample"))" : ""))
    }
    return 0
  }
}
