import ArgumentParser
import CommandSupport
import Recurrent

/// `rnn-inspect`: says what network is in a file.
@main
struct RNNInspect: Tool {
  static let toolName = "rnn-inspect"
  static let consequence: String? = nil
  static let configuration = CommandConfiguration(
    commandName: toolName,
    abstract: "Say what networks are in a weight file, and how that is known.",
    usage: """
      rnn-inspect FILE [OPTIONS] [--stats] [--html PAGE] [--json]
      rnn-inspect A --diff B [--json]
      """,
    discussion: """
      Lists the modules of a file, their connections with how they are known (stated, given, \
      assumed), what is assumed, and what a conversion to every target would lose.

      With --diff two files are compared tensor by tensor; the exit status is 0 when both have the \
      same tensors, bit for bit, and 1 when they differ. Order and metadata do not count.

      Examples:
        rnn-inspect model.pt
        rnn-inspect model.h5 --stats
        rnn-inspect model.keras --html model.html
        rnn-inspect before.pt --diff after.h5

      Containers: \(formatList).
      Conventions: \(conventionList).
      """, version: toolVersion)

  @Argument(help: .init("The weight file to read.", valueName: "FILE"), completion: .file())
  var file: String
  @OptionGroup var reading: ReadingOptions
  @Flag(help: "Read every tensor and print minimum, maximum, mean, norm and NaN count.")
  var stats = false
  @Option(
    help: .init("Compare with another weight file instead.", valueName: "FILE"), completion: .file()
  )
  var diff: String?
  @Option(
    help: .init("Also write a page with statistics, histograms and spectra.", valueName: "PAGE"),
    completion: .file(extensions: ["html"]))
  var html: String?
  @Flag(help: "Print one JSON object and nothing else.") var json = false

  static func main() { launch() }

  func check() throws {
    try reading.check()
    if html != nil, diff != nil {
      throw RecurrentError.arguments("--html and --diff exclude each other")
    }
    if stats, diff != nil {
      throw RecurrentError.arguments("--stats and --diff exclude each other")
    }
    try checkDistinct([("FILE", file), ("--names", reading.names), ("--html", html)])
  }

  mutating func perform() throws -> Int32 {
    let bar = ProgressBar(isWanted: !json)
    defer { bar.clear() }
    if let diff { return try compare(with: diff, bar) }
    let weights = try reading.open(file)
    try checkDistinct([("--html", html)], from: weights.files.map(\.path))
    let options = try reading.options()
    let inspection: Inspection
    do {
      inspection = try Inspection(
        weights, reading: options, statistics: stats || html != nil, bar)
      if let html { try TextFile.write(PageReport.html(inspection), to: html) }
    } catch let error as RecurrentError {
      throw error.inFile(file)
    }
    bar.clear()
    if json {
      Output.line(inspection.json.serialized(pretty: true))
    } else {
      Output.write(inspection.text)
    }
    return 0
  }

  private func compare(with other: String, _ bar: ProgressBar) throws -> Int32 {
    let files = try (WeightFile(path: file), WeightFile(path: other))
    let meter = ReadMeter("comparing", total: files.0.state.byteCount, bar)
    let difference = try FileDifference(meter.watch(files.0.state), files.1.state)
    bar.clear()
    let report = DifferenceReport(file, other, difference, files.0.state)
    if json {
      Output.line(report.json.serialized(pretty: true))
    } else {
      Output.write(report.text)
    }
    return difference.areEqual ? 0 : 1
  }
}

/// Shows how many bytes of a state dict were read; a tensor that is read twice counts once.
final class ReadMeter: @unchecked Sendable {
  private let label: String
  private let total: Int
  private let bar: ProgressBar
  // Only the thread that reads touches these.
  private var ends: [Int: Int] = [:]
  private var done = 0

  init(_ label: String, total: Int, _ bar: ProgressBar) {
    self.label = label
    self.total = total
    self.bar = bar
  }

  func watch(_ state: StateDict) throws -> StateDict {
    try state.observed { [self] position, bytes in
      done += max(0, bytes.upperBound - ends[position, default: 0])
      ends[position] = max(bytes.upperBound, ends[position, default: 0])
      bar.update(label, done: done, total: total)
    }
  }
}
