import ArgumentParser
import CommandSupport
import Recurrent

/// `rnn-inspect`: says what network is in a file.
@main
struct RNNInspect: Tool {
  static let toolName = "rnn-inspect"
  static let consequence: String? = nil
  static let configuration = CommandConfiguration(
    commandName: toolName, abstract: "Say what network is in a weight file.",
    discussion: "Containers: \(formatList).\nConventions: \(conventionList).")

  @Argument(help: "The weight file to read.") var file: String
  @Flag(help: "Read every tensor and print minimum, maximum, mean, norm and NaN count.")
  var stats = false
  @Flag(help: "Print one JSON object and nothing else.") var json = false

  static func main() { launch() }

  mutating func perform() throws -> Int32 {
    let weights = try WeightFile(path: file)
    var recognition: Recognition?
    var obstacle: RecurrentError?
    do {
      recognition = try Recognition(weights.state)
    } catch let error as RecurrentError {
      // Tensors that are no network are still worth listing; only say why they are none.
      obstacle = error
    }
    do {
      let rows = try weights.state.entries.map { entry in
        Row(
          entry: entry, tie: weights.state.ties[entry.name],
          foreign: recognition?.foreign.contains(entry.name) ?? false,
          statistics: stats ? try TensorStatistics(entry.tensor) : nil)
      }
      if json {
        Output.line(report(weights, recognition, obstacle, rows).serialized(pretty: true))
      } else {
        printReport(weights, recognition, obstacle, rows)
      }
    } catch let error as RecurrentError {
      throw error.inFile(file)
    }
    return 0
  }

  private struct Row {
    let entry: StateDict.Entry
    let tie: Name?
    let foreign: Bool
    let statistics: TensorStatistics?
  }

  private func printReport(
    _ weights: WeightFile, _ recognition: Recognition?, _ obstacle: RecurrentError?,
    _ rows: [Row]
  ) {
    let state = weights.state
    let parameters = state.entries.reduce(0) { $0 + $1.tensor.elementCount }
    var facts = [["container", weights.format.summary]]
    if let recognition {
      facts.append(["convention", recognition.convention.name])
      facts.append(["network", recognition.architecture.summary])
    }
    if let obstacle {
      facts.append(["network", "not recognised: \(obstacle.description)"])
      if let hint = obstacle.hint { facts.append(["hint", hint]) }
    }
    let types = DType.allCases.filter { type in state.entries.contains { $0.tensor.dtype == type } }
    facts.append([
      "tensors",
      "\(grouped(state.count)), \(counted(parameters, "element")),"
        + " \(counted(state.byteCount, "byte")), \(types.map(\.rawValue).joined(separator: " "))",
    ])
    Output.line(escapedForTerminal(file))
    Output.write(table(facts))
    for assumption in recognition?.assumptions ?? [] { Output.line("  note: \(assumption)") }
    Output.line()
    Output.write(table(rows.map(columns)))
    if !state.metadata.isEmpty {
      Output.line("\n  metadata")
      Output.write(
        table(
          state.metadata.pairs.map {
            [escapedForTerminal($0.key), escapedForTerminal($0.value)]
          }, indent: "    "))
    }
    if !state.skipped.isEmpty {
      Output.line("\n  also in the file, not weights")
      for line in state.skipped { Output.line("    " + escapedForTerminal(line)) }
    }
  }

  private func columns(_ row: Row) -> [String] {
    var cells = [
      escapedForTerminal(row.entry.name.string), row.entry.tensor.dtype.rawValue,
      "\(row.entry.tensor.shape)",
    ]
    if let statistics = row.statistics {
      cells += [
        "min \(short(statistics.minimum))", "max \(short(statistics.maximum))",
        "mean \(short(statistics.mean))", "norm \(short(statistics.norm))",
        "nan \(statistics.nanCount)",
      ]
    }
    var remarks: [String] = []
    if let tie = row.tie { remarks.append("shares storage with \(tie)") }
    if row.foreign { remarks.append("not part of the network") }
    cells.append(escapedForTerminal(remarks.joined(separator: ", ")))
    return cells
  }

  private func report(
    _ weights: WeightFile, _ recognition: Recognition?, _ obstacle: RecurrentError?,
    _ rows: [Row]
  ) -> JSON {
    .object([
      .init(key: "file", value: .string(file)),
      .init(key: "container", value: .string(weights.format.name)),
      .init(
        key: "convention", value: recognition.map { .string($0.convention.name) } ?? .null),
      .init(
        key: "architecture",
        value: recognition.map { .architecture($0.architecture) } ?? .null),
      .init(key: "assumptions", value: .strings(recognition?.assumptions ?? [])),
      .init(key: "not_recognized", value: obstacle?.json ?? .null),
      .init(
        key: "parameters",
        value: .number(weights.state.entries.reduce(0) { $0 + $1.tensor.elementCount })),
      .init(key: "bytes", value: .number(weights.state.byteCount)),
      .init(
        key: "metadata",
        value: .object(
          weights.state.metadata.pairs.map { .init(key: $0.key, value: .string($0.value)) })),
      .init(key: "tensors", value: .array(rows.map(report))),
      .init(key: "skipped", value: .strings(weights.state.skipped)),
    ])
  }

  private func report(_ row: Row) -> JSON {
    var members: [JSON.Member] = [
      .init(key: "name", value: .string(row.entry.name.string)),
      .init(key: "dtype", value: .string(row.entry.tensor.dtype.rawValue)),
      .init(key: "shape", value: .shape(row.entry.tensor.shape)),
      .init(key: "bytes", value: .number(row.entry.tensor.byteCount)),
      .init(key: "tied_to", value: row.tie.map { .string($0.string) } ?? .null),
      .init(key: "foreign", value: .bool(row.foreign)),
    ]
    if let statistics = row.statistics {
      members += [
        .init(key: "min", value: .number(statistics.minimum)),
        .init(key: "max", value: .number(statistics.maximum)),
        .init(key: "mean", value: .number(statistics.mean)),
        .init(key: "norm", value: .number(statistics.norm)),
        .init(key: "nan_count", value: .number(statistics.nanCount)),
        .init(key: "inf_count", value: .number(statistics.infinityCount)),
      ]
    }
    return .object(members)
  }
}
