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
    usage: """
      rnn-verify PATH... [OPTIONS]
      rnn-verify --same A B [--rounded] [OPTIONS]
      rnn-verify --gradcheck FILE [OPTIONS]
      """,
    discussion: """
      A fixture is one file, an .npz say: config (JSON with "schema" and "cell"), weights/…, inputs/x, \
      and what a reference computed, outputs/… and grads/…. The page "Making fixtures" of the \
      documentation lists every name; recurrent_capture.py writes one from a model in Python.

      Directories are searched recursively. Exit status: 0 all agree, 1 a difference was found.

      Examples:
        rnn-verify fixtures/
        rnn-verify fixtures/ --html report.html --junit report.xml
        rnn-verify --same a.pt b.h5
        rnn-verify --gradcheck model.pt
      """, version: toolVersion)

  @Argument(
    help: .init(
      "Fixture files and directories; with --same two weight files.", valueName: "PATH"),
    completion: .file())
  var paths: [String] = []
  @Option(help: .init("Only fixtures whose path contains TEXT.", valueName: "TEXT"))
  var filter: String?
  @Option(help: .init("Relative tolerance instead of the fixtures'.", valueName: "X"))
  var rtol: String?
  @Option(help: .init("Absolute tolerance instead of the fixtures'.", valueName: "X"))
  var atol: String?
  @Option(help: .init("Fixtures to run at the same time (default: one per core).", valueName: "N"))
  var jobs: String?
  @Flag(help: "Print every tensor, not only the worst.") var verbose = false
  @Flag(help: "Print one JSON object and nothing else.") var json = false
  @Option(
    help: .init("Also write a JUnit XML report.", valueName: "FILE"),
    completion: .file(extensions: ["xml"]))
  var junit: String?
  @Option(
    help: .init("Also write a page with tables and drawings.", valueName: "PAGE"),
    completion: .file(extensions: ["html"]))
  var html: String?
  @Flag(
    help:
      "Print GitHub annotations of failures (also where GITHUB_ACTIONS is true, but not with --json)."
  )
  var github = false
  @Flag(help: "Compare two weight files: do they hold the same network?") var same = false
  @Flag(help: "With --same: compare in the narrower of two element types.") var rounded = false
  @Flag(help: "Check finite differences against BPTT on a network.") var gradcheck = false
  @OptionGroup(title: "With --same and --gradcheck")
  var reading: ReadingOptions

  static func main() { launch() }

  func check() throws {
    try reading.check()
    func refuse(_ text: String) throws { throw RecurrentError.arguments(text) }
    if same && gradcheck { try refuse("--same and --gradcheck exclude each other") }
    if rounded && !same { try refuse("--rounded without --same") }
    if same && paths.count != 2 {
      throw RecurrentError.arguments(
        counted(paths.count, "file"), expected: "two weight files with --same")
    }
    if gradcheck && paths.count != 1 {
      throw RecurrentError.arguments(
        counted(paths.count, "file"), expected: "one weight file with --gradcheck")
    }
    if !same, !gradcheck, let flag = reading.given.first {
      throw RecurrentError.arguments(
        "\(flag) with fixtures, which say it themselves", expected: "--same or --gradcheck")
    }
    if json && github { try refuse("--json and --github exclude each other") }
    if (same || gradcheck) && (html != nil || junit != nil || github) {
      try refuse("--html, --junit and --github are for fixtures")
    }
    guard !paths.isEmpty else {
      throw RecurrentError.arguments("no PATH", expected: "fixture files or directories")
    }
    _ = try (tolerances(), jobCount())
  }

  private func tolerances() throws -> VerificationOptions {
    func number(_ name: String, _ text: String?) throws -> Double? {
      try NumberOption(name, text).number("a number of at least 0") { $0 >= 0 }
    }
    return try VerificationOptions(
      relative: number("--rtol", rtol), absolute: number("--atol", atol))
  }

  private func jobCount() throws -> Int {
    try NumberOption("--jobs", jobs).whole(atLeast: 1) ?? processorCount()
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
          .fixtureNone, found: "no fixture whose path contains \"\(filter)\"",
          expected: "at least one",
          hint: nearest(to: filter, among: names).map { "Did you mean \($0)?" })
      }
    }
    try checkDistinct([("--html", html), ("--junit", junit)])
    try checkDistinct([("--html", html), ("--junit", junit)], from: files)
    let options = try tolerances()
    let results = try run(files, options)
    if let html { try TextFile.write(PageReport.html(results, options: options), to: html) }
    if let junit {
      try TextFile.write(JUnitReport.xml(results), to: junit)
    }
    // One named file that cannot be read is an input error; a failure among many is a difference.
    let unreadable = results.count == 1 && paths == [results[0].path] ? results[0].error : nil
    let status =
      unreadable?.exitStatus ?? (results.allSatisfy(\.passes) ? 0 : 1)
    guard !json else {
      Output.line(FixtureReport.json(results).serialized(pretty: true))
      return status
    }
    // The error's own message says all that a table would.
    if unreadable == nil { Output.write(FixtureReport.text(results, verbose: verbose)) }
    if github || AnnotationReport.isWanted { Output.write(AnnotationReport.text(results)) }
    if let unreadable { throw unreadable }
    return status
  }

  private func run(_ files: [String], _ options: VerificationOptions) throws -> [FixtureResult] {
    inParallel(files.count, jobs: try jobCount()) {
      parity(of: files[$0], options: options)
    }
  }

  // MARK: Networks

  private func compareNetworks() throws -> Int32 {
    let comparison = try NetworkComparison(
      paths[0], paths[1], format: reading.from.map(WeightFormat.named),
      options: reading.options(), rounded: rounded)
    if json {
      Output.line(
        JSON.object([
          .init(key: "same", value: .bool(comparison.areSame)),
          .init(key: "same_network", value: .bool(comparison.areSameNetwork)),
          .init(key: "modules", value: .strings(comparison.modules)),
          .init(
            key: "reservations",
            value: .object([
              .init(key: "first", value: .strings(comparison.reservations.first.map(\.withFlags))),
              .init(
                key: "second", value: .strings(comparison.reservations.second.map(\.withFlags))),
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
        let line = "\(difference.place): \(difference.first) against \(difference.second)"
        Output.line("  \(escapedForTerminal(line, limit: 1000))")
      }
      if !comparison.loneModules.isEmpty {
        Output.line("  note: --module NAME compares one module of each file and nothing else")
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
            Output.line("  \(escapedForTerminal("\(path): \(line.withFlags)", limit: 1000))")
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
    let file = try reading.open(paths[0])
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
