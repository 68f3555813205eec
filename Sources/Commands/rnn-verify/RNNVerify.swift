import ArgumentParser
import Bytes
import CommandSupport
import Parity
import Recurrent

/// `rnn-verify`: do the numbers agree?
@main
struct RNNVerify: Tool {
  static let toolName = "rnn-verify"
  static let consequence: String? = nil
  static let configuration = CommandConfiguration(
    commandName: toolName,
    abstract: "Run fixtures and compare outputs and gradients with the reference's.",
    discussion: """
      A fixture is one file with a network, inputs, and expected numbers (see fixtures/README.md). \
      Directories are searched recursively. Exit status: 0 all agree, 1 a difference was found.

      Examples:
        rnn-verify fixtures/
        rnn-verify fixtures/ --html report.html --junit report.xml
        rnn-verify --same a.pt b.h5
        rnn-verify --gradcheck model.pt
      """, version: toolVersion)

  @Argument(
    help: "Fixture files and directories; with --same two weight files.", completion: .file())
  var paths: [String] = []
  @Option(help: "Only fixtures whose path contains TEXT.") var filter: String?
  @Option(help: "Relative tolerance instead of the fixtures'.") var rtol: Double?
  @Option(help: "Absolute tolerance instead of the fixtures'.") var atol: Double?
  @Option(help: "Fixtures to run at the same time (default: one per core).") var jobs: Int?
  @Flag(help: "Print every tensor, not only the worst.") var verbose = false
  @Flag(help: "Print one JSON object and nothing else.") var json = false
  @Option(help: "Also write a JUnit XML report.") var junit: String?
  @Option(
    help: "Also write a page with tables and drawings.", completion: .file(extensions: ["html"]))
  var html: String?
  @Flag(
    help:
      "Print GitHub annotations of failures (also where GITHUB_ACTIONS is true, but not with --json)."
  )
  var github = false
  @Flag(help: "Compare two weight files: do they hold the same network?") var same = false
  @Flag(help: "With --same: compare in the narrower of two element types.") var rounded = false
  @Flag(help: "Check finite differences against BPTT on a network.") var gradcheck = false
  @OptionGroup(title: "How to read the files of --same and --gradcheck")
  var reading: ReadingOptions

  static func main() { launch() }

  func validate() throws {
    func refuse(_ text: String) throws { throw ValidationError(text) }
    if same && gradcheck { try refuse("--same and --gradcheck exclude each other") }
    if rounded && !same { try refuse("--rounded goes with --same") }
    if same && paths.count != 2 { try refuse("--same needs two weight files") }
    if gradcheck && paths.count != 1 { try refuse("--gradcheck needs one weight file") }
    if json && github { try refuse("--json and --github exclude each other") }
    if (same || gradcheck) && (html != nil || junit != nil || github) {
      try refuse("--html, --junit and --github are for fixtures")
    }
    if paths.isEmpty { try refuse("name fixture files or directories") }
    for (name, value) in [("--rtol", rtol), ("--atol", atol)] {
      if let value, !(value >= 0) || !value.isFinite { try refuse("\(name) must be zero or more") }
    }
    if let jobs, jobs < 1 { try refuse("--jobs must be at least 1") }
  }

  mutating func perform() throws -> Int32 {
    if same { return try compareNetworks() }
    if gradcheck { return try checkGradients() }
    return try verifyFixtures()
  }

  // MARK: Fixtures

  private func verifyFixtures() throws -> Int32 {
    var files = try FixtureSearch.files(in: paths)
    if let filter {
      let names = files.compactMap { $0.split(separator: "/").last }.map { name in
        String(name.prefix { $0 != "." })
      }
      files = files.filter { $0.contains(filter) }
      guard !files.isEmpty else {
        throw RecurrentError(
          .noInput, "fixture.none", found: "no fixture whose path contains \"\(filter)\"",
          expected: "at least one",
          hint: nearest(to: filter, among: names).map { "Did you mean \($0)?" })
      }
    }
    for report in [html, junit].compactMap({ $0 }) where files.contains(report) {
      throw RecurrentError(
        .usage, "usage.arguments", file: report, found: "a report that would replace a fixture",
        expected: "another name")
    }
    let results = run(files)
    if let html { try TextFile.write(PageReport.html(results), to: html) }
    if let junit {
      try TextFile.write(JUnitReport.xml(results), to: junit)
    }
    if json {
      Output.line(FixtureReport.json(results).serialized(pretty: true))
    } else {
      Output.write(FixtureReport.text(results, verbose: verbose))
      if github || AnnotationReport.isWanted { Output.write(AnnotationReport.text(results)) }
    }
    guard let failure = results.first(where: { !$0.passes }) else { return 0 }
    // One named file that cannot be read is an input error; a failure among many is a difference.
    if results.count == 1, paths == [failure.path], let error = failure.error, !json {
      throw error
    }
    if results.count == 1, paths == [failure.path], let error = failure.error {
      return Int32(error.kind.rawValue)
    }
    return 1
  }

  private func run(_ files: [String]) -> [FixtureResult] {
    let options = VerificationOptions(relative: rtol, absolute: atol)
    return inParallel(files.count, jobs: jobs ?? processorCount()) {
      parity(of: files[$0], options: options)
    }
  }

  // MARK: Networks

  private func compareNetworks() throws -> Int32 {
    let comparison = try NetworkComparison(
      paths[0], paths[1], options: reading.options(), rounded: rounded)
    if json {
      Output.line(
        JSON.object([
          .init(key: "same", value: .bool(comparison.areSame)),
          .init(key: "same_network", value: .bool(comparison.areSameNetwork)),
          .init(key: "modules", value: .strings(comparison.modules)),
          .init(
            key: "reservations",
            value: .object([
              .init(key: "first", value: .strings(comparison.reservations.first)),
              .init(key: "second", value: .strings(comparison.reservations.second)),
            ])),
          .init(key: "parameters", value: .number(comparison.parameterCount)),
          .init(key: "allowances", value: .strings(comparison.allowances)),
          .init(
            key: "differences",
            value: .array(
              comparison.differences.map { difference in
                .object([
                  .init(key: "place", value: .string(difference.place)),
                  .init(key: "first", value: .string(difference.first)),
                  .init(key: "second", value: .string(difference.second)),
                ])
              })),
        ]).serialized(pretty: true))
    } else {
      for difference in comparison.differences {
        Output.line("  \(difference.place): \(difference.first) against \(difference.second)")
      }
      for allowance in comparison.allowances { Output.line("  note: \(allowance)") }
      if comparison.areSame {
        let (first, second) = comparison.reservations
        let sides = [
          (paths[0], first.filter { !second.contains($0) }),
          (paths[1], second.filter { !first.contains($0) }),
          ("both files", first.filter(second.contains)),
        ]
        for (path, lines) in sides {
          for line in lines {
            Output.line("  \(escapedForTerminal("\(path): \(line)", limit: 1000))")
          }
        }
      }
      let count = counted(comparison.parameterCount, "parameter")
      let names = comparison.modules.map { $0.isEmpty ? "the recurrent module" : $0 }
      Output.line(
        !comparison.areSame
          ? "different networks"
          : comparison.areSameNetwork
            ? "same network: \(count) equal bit for bit"
            : "same modules (\(escapedForTerminal(names.joined(separator: ", ")))):"
              + " \(count) equal bit for bit; whether all else is the same, the files do not say")
    }
    return comparison.areSame ? 0 : 1
  }

  private func checkGradients() throws -> Int32 {
    let file = try WeightFile(path: paths[0])
    let check: GradientCheck
    do {
      let network =
        Fixture.isFixture(file.state)
        ? try Fixture(file.state).network() : try Network(file.state, options: reading.options())
      check = try GradientCheck(network)
    } catch let error as RecurrentError {
      throw error.inFile(paths[0])
    }
    if json {
      Output.line(
        JSON.object([
          .init(key: "passes", value: .bool(check.passes)),
          .init(key: "bound", value: .number(GradientCheck.bound)),
          .init(
            key: "parameters",
            value: .array(
              check.entries.map { entry in
                .object([
                  .init(key: "name", value: .string(entry.name)),
                  .init(key: "compared", value: .number(entry.compared)),
                  .init(key: "count", value: .number(entry.count)),
                  .init(key: "deviation", value: .number(entry.deviation)),
                ])
              })),
        ]).serialized(pretty: true))
    } else {
      Output.write(
        table(
          check.entries.map {
            [
              escapedForTerminal($0.name), "\(grouped($0.compared)) of \(grouped($0.count))",
              "deviation \(short($0.deviation))",
            ]
          }))
      Output.line(
        check.passes
          ? "gradients agree with finite differences to \(GradientCheck.bound)"
          : "gradients DISAGREE with finite differences")
    }
    return check.passes ? 0 : 1
  }
}
