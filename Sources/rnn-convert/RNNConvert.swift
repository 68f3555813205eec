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
    discussion: """
      The input's container is recognised by content, its convention by names and shapes. The \
      output's container is chosen by extension. Before the output appears it is read back and \
      proven equal: byte for byte, or by running both networks when the convention changes.

      Containers: \(formatList).
      Conventions: \(conventionList).
      """)

  @Argument(help: "The weight file to read.") var input: String
  @Argument(help: "The weight file to write.") var output: String
  @Option(help: "The input's container, instead of recognising it.") var from: String?
  @Option(help: "The output's container, instead of choosing it by extension.") var to: String?
  @Option(help: "The input's convention, instead of recognising it.") var readAs: String?
  @Option(name: .customLong("as"), help: "The output's convention.") var convention: String?
  @Option(help: "The prefix of the recurrent module, when there are several.") var module: String?
  @Option(help: "The cell, where shapes leave it open: rnn_tanh or rnn_relu.") var cell: String?
  @Option(help: "Where a GRU applies its reset gate: after (PyTorch) or before the product.")
  var gruReset: String?
  @Option(help: "Convert floating-point tensors to f64, f32, f16 or bf16.") var dtype: String?
  @Flag(help: "Print what goes where and write nothing.") var plan = false
  @Flag(help: "Do not read back and prove the output.") var noVerify = false
  @Flag(help: "Replace the output if it exists.") var force = false
  @Flag(help: "Print one JSON object and nothing else.") var json = false
  @Flag(help: "Print nothing when all is well.") var quiet = false

  static func main() { launch() }

  mutating func perform() throws -> Int32 {
    let conversion = try ConversionPlan(from: input, to: output, options: options())
    let proof = plan ? nil : try conversion.execute()
    if json {
      Output.line(report(conversion, proof).serialized(pretty: true))
    } else if plan {
      printPlan(conversion)
    } else if !quiet {
      printSummary(conversion, proof)
    }
    return 0
  }

  private func options() throws -> ConversionOptions {
    var options = ConversionOptions()
    options.inputFormat = try from.map(WeightFormat.named)
    options.outputFormat = try to.map(WeightFormat.named)
    options.reading.convention = try readAs.map(Convention.named)
    options.convention = try convention.map(Convention.named)
    options.reading.module = module
    options.reading.cell = try cell.map(Cell.argument)
    options.dtype = try dtype.map(DType.argument)
    options.reading.gruReset = try gruReset.map(GRUReset.argument)
    options.verifies = !noVerify
    options.overwrites = force
    return options
  }

  private func printHeader(_ conversion: ConversionPlan) {
    let source = conversion.network?.recognition.convention.name
    let target = conversion.convention?.name
    func side(_ path: String, _ format: WeightFormat, _ convention: String?) -> String {
      "\(escapedForTerminal(path)) (\(([format.name] + [convention].compactMap { $0 }).joined(separator: ", ")))"
    }
    Output.line(
      side(input, conversion.input.format, source) + " -> "
        + side(output, conversion.outputFormat, target))
    if let network = conversion.network { Output.line("  " + network.architecture.summary) }
  }

  private func printSummary(_ conversion: ConversionPlan, _ proof: ConversionProof?) {
    printHeader(conversion)
    printNotes(conversion)
    if let proof { Output.line("  " + proof.summary) }
  }

  private func printNotes(_ conversion: ConversionPlan) {
    for line in ConversionLoss.report(conversion.losses) { Output.line("  " + line) }
    for note in conversion.notes { Output.line("  note: \(escapedForTerminal(note))") }
  }

  private func printPlan(_ conversion: ConversionPlan) {
    printHeader(conversion)
    let rows = conversion.steps.map { step in
      [
        escapedForTerminal(step.target.string), "\(step.dtype.rawValue) \(step.shape)",
        "<- "
          + (step.sources.isEmpty
            ? "nothing"
            : step.sources.map { escapedForTerminal($0.string) }.joined(separator: " + ")),
        step.actions.isEmpty ? "unchanged" : step.actions.joined(separator: ", "),
      ]
    }
    Output.write(table(rows))
    printNotes(conversion)
    Output.line("  plan only, nothing was written")
  }

  private func report(_ conversion: ConversionPlan, _ proof: ConversionProof?) -> JSON {
    var members: [JSON.Member] = [
      .init(key: "input", value: .string(input)), .init(key: "output", value: .string(output)),
      .init(key: "from", value: .string(conversion.input.format.name)),
      .init(key: "to", value: .string(conversion.outputFormat.name)),
      .init(
        key: "read_as",
        value: conversion.network.map { .string($0.recognition.convention.name) } ?? .null),
      .init(key: "as", value: conversion.convention.map { .string($0.name) } ?? .null),
      .init(
        key: "architecture",
        value: conversion.network.map { .architecture($0.architecture) } ?? .null),
      .init(
        key: "tensors",
        value: .array(
          conversion.steps.map { step in
            .object([
              .init(key: "name", value: .string(step.target.string)),
              .init(key: "dtype", value: .string(step.dtype.rawValue)),
              .init(key: "shape", value: .shape(step.shape)),
              .init(key: "sources", value: .strings(step.sources.map(\.string))),
              .init(key: "actions", value: .strings(step.actions)),
            ])
          })),
      .init(
        key: "notes",
        value: .strings(ConversionLoss.report(conversion.losses) + conversion.notes)),
      .init(key: "written", value: .bool(proof != nil)),
    ]
    switch proof {
    case .identical?: members.append(.init(key: "proof", value: .string("identical")))
    case .asPlanned?: members.append(.init(key: "proof", value: .string("as_planned")))
    case .sameNetwork(let forward, let gradients)?:
      members.append(.init(key: "proof", value: .string("same_network")))
      members.append(.init(key: "forward_deviation", value: .number(forward)))
      members.append(.init(key: "gradient_deviation", value: .number(gradients)))
    case .sameParameters(let count)?:
      members.append(.init(key: "proof", value: .string("same_parameters")))
      members.append(.init(key: "parameters", value: .number(count)))
    case ConversionProof.none?, nil: members.append(.init(key: "proof", value: .string("none")))
    }
    return .object(members)
  }
}
