import ArgumentParser
import CommandSupport
import Recurrent

/// `rnn-convert`: from any container and convention to any other, proven equal.
@main
struct RNNConvert: Tool {
  static let toolName = "rnn-convert"
  static let consequence: String? = "Nothing was written."
  static let configuration = CommandConfiguration(
    commandName: toolName,
    abstract: "Convert recurrent-network weights between files and prove that nothing changed.",
    usage: """
      rnn-convert INPUT OUTPUT [OPTIONS]
      rnn-convert --batch INPUT... OUTPUT_DIRECTORY --to CONTAINER [OPTIONS]
      """,
    discussion: """
      The input's container is recognised by content, its modules by names and shapes. The output's \
      container is chosen by extension. Every module converts, under its own name. Before the output \
      appears it is read back and proven: byte for byte, or by running the modules of both files when \
      the convention changes.

      How modules are connected, the file states, or options say (--head, --head-reads, --embedding), \
      or it is assumed and said. Keras models and ONNX hold one network; of a file that is more, \
      --module chooses what to convert.

      With --batch the inputs are files and directories; what lies below a directory goes to the same \
      place below the output directory. If two inputs would become one file, or an output exists \
      (without --force), nothing is written. A file that fails is reported and the others go on; \
      the exit status is the worst of all.

      Examples:
        rnn-convert model.pt model.h5
        rnn-convert model.keras model.pt
        rnn-convert model.onnx model.safetensors --dtype f16
        rnn-convert model.pt model.h5 --plan
        rnn-convert --batch checkpoints/ converted/ --to safetensors

      Containers: \(formatList).
      Conventions: \(conventionList).
      """, version: toolVersion)

  @Argument(
    help: "The weight file to read and the one to write; with --batch, inputs and a directory.",
    completion: .file())
  var paths: [String] = []
  @Flag(help: "Convert several files or directory trees into a directory.") var batch = false
  @Option(help: "Files of a batch to convert at the same time (default: one per core).")
  var jobs: Int?
  @OptionGroup var reading: ReadingOptions
  @Option(
    help: "The output's container, instead of choosing it by extension.",
    completion: .list(WeightFormat.all.map(\.name)))
  var to: String?
  @Option(
    name: .customLong("as"), help: "The output's convention.",
    completion: .list(Convention.all.map(\.name)))
  var convention: String?
  @Flag(help: "Make every assumption, everything left behind and every rounding an error.")
  var strict = false
  @Option(
    help: "Convert floating-point tensors to f64, f32, f16 or bf16.",
    completion: .list(["f64", "f32", "f16", "bf16"]))
  var dtype: String?
  @Flag(help: "Print what goes where and write nothing.") var plan = false
  @Flag(help: "Do not read back and prove the output.") var noVerify = false
  @Flag(help: "Replace the output if it exists.") var force = false
  @Flag(help: "Print one JSON object and nothing else.") var json = false
  @Flag(help: "Print nothing when all is well.") var quiet = false

  static func main() { launch() }

  func validate() throws {
    if batch {
      if paths.count < 2 { throw ValidationError("--batch needs inputs and an output directory") }
      if to == nil { throw ValidationError("--batch needs --to CONTAINER") }
      if let jobs, jobs < 1 { throw ValidationError("--jobs must be at least 1") }
    } else {
      if paths.count > 2 {
        throw ValidationError("\(paths.count) files; more than two need --batch")
      }
      if paths.count < 2 { throw ValidationError("name a file to read and a file to write") }
      if jobs != nil { throw ValidationError("--jobs goes with --batch") }
    }
  }

  mutating func perform() throws -> Int32 {
    let bar = ProgressBar(isWanted: !quiet && !json)
    defer { bar.clear() }
    var options = try options()
    if batch, let format = options.outputFormat {
      let files = try ConversionBatch(
        paths.dropLast(), into: paths[paths.count - 1], format: format, overwrite: force)
      return BatchRun(
        batch: files, options: options, jobs: jobs ?? processorCount(), planOnly: plan,
        progress: bar
      ).perform(json: json, quiet: quiet)
    }
    options.progress = { bar.update($0.phase.rawValue, done: $0.done, total: $0.total) }
    let conversion = try ConversionPlan(from: paths[0], to: paths[1], options: options)
    let proof = plan ? nil : try conversion.execute()
    bar.clear()
    let report = ConversionReport(
      input: paths[0], output: paths[1], plan: conversion, proof: proof)
    if json {
      Output.line(JSON.object(report.json).serialized(pretty: true))
    } else if plan {
      Output.write(report.steps)
    } else if !quiet {
      Output.write(report.summary)
    }
    return 0
  }

  private func options() throws -> ConversionOptions {
    var options = ConversionOptions()
    options.inputFormat = try reading.from.map(WeightFormat.named)
    options.outputFormat = try to.map(WeightFormat.named)
    options.reading = try reading.options()
    options.convention = try convention.map(Convention.named)
    options.isStrict = strict
    options.dtype = try dtype.map(DType.argument)
    options.verifies = !noVerify
    options.overwrites = force
    return options
  }
}
