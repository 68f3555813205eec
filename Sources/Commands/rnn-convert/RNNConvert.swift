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
    help: .init(
      "The weight file to read and the one to write; with --batch, inputs and a directory.",
      valueName: "FILE"), completion: .file())
  var paths: [String] = []
  @Flag(help: "Convert several files or directory trees into a directory.") var batch = false
  @Option(
    help: .init(
      "Files of a batch to convert at the same time (default: one per core).", valueName: "N"))
  var jobs: String?
  @OptionGroup var reading: ReadingOptions
  @Option(
    help: .init(
      "The output's container, instead of choosing it by extension.", valueName: "CONTAINER"),
    completion: .list(WeightFormat.all.filter(\.isWritable).map(\.name)))
  var to: String?
  @Option(
    name: .customLong("as"), help: .init("The output's convention.", valueName: "CONVENTION"),
    completion: .list(Convention.all.map(\.name)))
  var convention: String?
  @Flag(help: "Make every assumption, everything left behind and every rounding an error.")
  var strict = false
  @Option(
    help: .init("Convert floating-point tensors to f64, f32, f16 or bf16.", valueName: "TYPE"),
    completion: .list(["f64", "f32", "f16", "bf16"]))
  var dtype: String?
  @Flag(help: "Print what goes where and write nothing.") var plan = false
  @Flag(help: "Do not read back and prove the output.") var noVerify = false
  @Flag(help: "Replace the output if it exists.") var force = false
  @Flag(help: "Print one JSON object and nothing else.") var json = false
  @Flag(help: "Print nothing when all is well.") var quiet = false

  static func main() { launch() }

  func check() throws {
    try reading.check()
    if batch {
      guard paths.count >= 2 else {
        throw RecurrentError.arguments(
          counted(paths.count, "name"), expected: "inputs and an output directory with --batch")
      }
      if to == nil { throw RecurrentError.arguments("--batch without --to CONTAINER") }
      _ = try jobCount()
    } else {
      guard paths.count <= 2 else {
        throw RecurrentError.arguments(
          counted(paths.count, "file"), expected: "one to read and one to write, or --batch")
      }
      guard paths.count == 2 else {
        throw RecurrentError.arguments(
          paths.isEmpty ? "no file" : "one file", expected: "one to read and one to write")
      }
      if jobs != nil { throw RecurrentError.arguments("--jobs without --batch") }
      if to == nil { _ = try WeightFormat.forWriting(path: paths[1]) }
    }
    _ = try (outputFormat(), convention.map(Convention.named), dtype.map(DType.argument))
  }

  private func outputFormat() throws -> WeightFormat? {
    try to.map { try WeightFormat.writable($0) }
  }

  private func jobCount() throws -> Int {
    try NumberOption("--jobs", jobs).whole(atLeast: 1) ?? processorCount()
  }

  mutating func perform() throws -> Int32 {
    let bar = ProgressBar(isWanted: !quiet && !json)
    defer { bar.clear() }
    var options = try options()
    if batch, let format = options.outputFormat {
      let files = try ConversionBatch(
        paths.dropLast(), into: paths[paths.count - 1], format: format, overwrite: force)
      return try BatchRun(
        batch: files, options: options, jobs: jobCount(), planOnly: plan,
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
    options.outputFormat = try outputFormat()
    options.reading = try reading.options()
    options.convention = try convention.map(Convention.named)
    options.isStrict = strict
    options.dtype = try dtype.map(DType.argument)
    options.verifies = !noVerify
    options.overwrites = force
    return options
  }
}
