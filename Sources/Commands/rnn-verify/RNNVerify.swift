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
      rnn-verify --power FIXTURE... [OPTIONS]
      rnn-verify --against COMMAND PATH... [OPTIONS]
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
        rnn-verify --power fixture.npz
        rnn-verify --against "bash my_port" fixture.npz
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
  @Flag(help: "Say how small a change of each weight tensor the fixtures would notice.")
  var power = false
  @Option(
    help: .init(
      "Let a program compute what the fixtures expect: COMMAND INPUT.npz OUTPUT.npz.",
      valueName: "COMMAND"))
  var against: String?
  @Option(
    help: .init("With --against: seconds for one fixture (default: 60).", valueName: "SECONDS"))
  var timeout: String?
  @Option(
    help: .init(
      "Write every failing case as small as it still fails, as a fixture and a script.",
      valueName: "DIRECTORY"), completion: .directory)
  var shrink: String?
  @OptionGroup(title: "With --same and --gradcheck")
  var reading: ReadingOptions

  static func main() { launch() }

  func check() throws {
    try reading.check()
    func refuse(_ text: String) throws { throw RecurrentError.arguments(text) }
    let modes = [
      ("--same", same), ("--gradcheck", gradcheck), ("--power", power),
      ("--against", against != nil),
    ]
    .filter(\.1).map(\.0)
    if modes.count > 1 { try refuse("\(modes[0]) and \(modes[1]) exclude each other") }
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
    if power && (html != nil || junit != nil || github || verbose) {
      try refuse("--html, --junit, --github and --verbose with --power")
    }
    guard !paths.isEmpty else {
      throw RecurrentError.arguments("no PATH", expected: "fixture files or directories")
    }
    if shrink != nil, same || gradcheck || power { try refuse("--shrink with \(modes[0])") }
    if timeout != nil && against == nil { try refuse("--timeout without --against") }
    if let against, !against.contains(where: { !$0.isWhitespace }) {
      throw RecurrentError.arguments(
        "--against with an empty COMMAND", expected: "a program and its arguments")
    }
    _ = try (tolerances(), jobCount(), program())
  }

  private func program() throws -> ForeignProgram? {
    let seconds = try NumberOption("--timeout", timeout).number("a number above 0") { $0 > 0 }
    return against.map { ForeignProgram($0, seconds: seconds ?? 60) }
  }

  func tolerances() throws -> VerificationOptions {
    func number(_ name: String, _ text: String?) throws -> Double? {
      try NumberOption(name, text).number("a number of at least 0") { $0 >= 0 }
    }
    return try VerificationOptions(
      relative: number("--rtol", rtol), absolute: number("--atol", atol))
  }

  func jobCount() throws -> Int {
    try NumberOption("--jobs", jobs).whole(atLeast: 1) ?? processorCount()
  }

  mutating func perform() throws -> Int32 {
    if same { return try compareNetworks() }
    if gradcheck { return try checkGradients() }
    if power { return try measurePower() }
    return try verifyFixtures()
  }

  // MARK: Fixtures

  /// The files that are meant.
  func fixtureFiles() throws -> [String] {
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
    return files
  }

  private func verifyFixtures() throws -> Int32 {
    let files = try fixtureFiles()
    try checkDistinct([("--html", html), ("--junit", junit)])
    try checkDistinct([("--html", html), ("--junit", junit)], from: files)
    var options = try tolerances()
    options.keepsNumbers = html != nil && against != nil
    let results = try run(files, options)
    if let skipped = results.first?.skipped, results.allSatisfy({ $0.skipped != nil }) {
      throw RecurrentError(
        .parityNothing, file: results.count == 1 ? results[0].path : nil,
        found: "\(counted(results.count, "fixture")) skipped (\(skipped))",
        expected: "at least one that the program can express")
    }
    if let html { try TextFile.write(PageReport.html(results, options: options), to: html) }
    if let junit {
      try TextFile.write(JUnitReport.xml(results), to: junit)
    }
    // One named file that cannot be read is an input error; a failure among many is a difference.
    // What is wrong with another program is no error of the file's.
    var unreadable = results.count == 1 && paths == [results[0].path] ? results[0].error : nil
    if unreadable?.reason == .againstProgram { unreadable = nil }
    let status = unreadable?.exitStatus ?? (results.contains(where: \.fails) ? 1 : 0)
    let shrunk = try shrink.map {
      try ShrinkReport.reports(results, into: $0, against: program(), options: tolerances())
    }
    guard !json else {
      Output.line(FixtureReport.json(results, shrunk).serialized(pretty: true))
      return status
    }
    // The error's own message says all that a table would.
    if unreadable == nil { Output.write(FixtureReport.text(results, verbose: verbose)) }
    for report in shrunk ?? [] { Output.write(report.text) }
    if github || AnnotationReport.isWanted { Output.write(AnnotationReport.text(results)) }
    if let unreadable { throw unreadable }
    return status
  }

  private func run(_ files: [String], _ options: VerificationOptions) throws -> [FixtureResult] {
    let program = try program()
    return inParallel(files.count, jobs: try jobCount()) { index in
      program.map { parity(of: files[index], against: $0, options: options) }
        ?? parity(of: files[index], options: options)
    }
  }
}
