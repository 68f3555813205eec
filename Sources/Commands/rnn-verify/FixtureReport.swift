import CommandSupport
import Parity
import Recurrent
import Reports

/// Results as text and as JSON.
enum FixtureReport {
  static func text(_ results: [FixtureResult], verbose: Bool) -> String {
    var text = table(results.map(row), indent: "")
    if verbose || results.contains(where: \.fails) {
      for result in results where verbose || result.fails {
        text += details(result, all: verbose)
      }
    }
    let failed = results.filter(\.fails).count
    let skipped = results.filter { $0.skipped != nil }.count
    let checks = results.reduce(0) { $0 + $1.checks.count }
    let absent = results.reduce(0) { $0 + $1.absent.count }
    text +=
      failed == 0
      ? "\(counted(results.count - skipped, "fixture")) passed, \(counted(checks, "tensor")) compared"
        + (absent == 0
          ? ""
          : ", \(counted(absent, results.first?.program == nil ? "gradient" : "tensor")) absent")
        + (skipped == 0 ? "\n" : ", \(skipped) skipped\n")
      : "\(failed) of \(counted(results.count, "fixture")) FAILED\n"
    return text
  }

  private static func row(_ result: FixtureResult) -> [String] {
    let status = result.passes ? Output.good("ok  ") : Output.bad("FAIL")
    let path = escapedForTerminal(result.path)
    if let skipped = result.skipped {
      return ["skip", path, escapedForTerminal(skipped, limit: 200)]
    }
    if let error = result.error {
      return [status, path, "error[\(error.reason.code)]"]
    }
    guard let worst = result.worst else { return [status, path, "nothing compared"] }
    if let problem = worst.problem {
      return [status, path, escapedForTerminal("\(worst.tensor): \(problem)", limit: 1000)]
    }
    return [
      status, path,
      "worst \(short(worst.worstDeviation)) in \(escapedForTerminal(worst.tensor)),"
        + " \(significant(worst.toleranceUsed)) times the tolerance",
    ]
  }

  /// So many lines are said of a fixture that fails, its path among them, unless all are asked for.
  private static let mostLines = 5

  private static func details(_ result: FixtureResult, all: Bool) -> String {
    var lines: [String] = []
    if let error = result.error {
      lines.append(error.message)
      if let hint = error.advice?.withFlags { lines.append("hint: \(escapedForTerminal(hint))") }
    }
    // What matters most comes first, because the rest may be cut off.
    let checks = result.checks.filter { !$0.passes } + (all ? result.checks.filter(\.passes) : [])
    lines += result.causes.prefix(3).map {
      "cause: \(escapedForTerminal($0.summary, limit: 1000))"
    }
    lines += checks.map(line)
    let remarks = result.remarks.map { "note: \(escapedForTerminal($0))" }
    // Whoever reads everything reads how it was made first.
    lines = all && result.error == nil ? remarks + lines : lines + remarks
    if all {
      if let skipped = result.skipped { lines.append("skipped: \(escapedForTerminal(skipped))") }
      if result.error == nil, result.skipped == nil { lines.append(result.counts) }
      lines += result.absent.map { "absent: \(escapedForTerminal($0))" }
    } else if lines.count > mostLines - 1 {
      let rest = lines.count - (mostLines - 2)
      lines.removeLast(rest)
      lines.append("\(counted(rest, "more line")): --verbose")
    }
    return escapedForTerminal(result.path) + "\n" + lines.map { "  \($0)\n" }.joined()
  }

  private static func line(_ check: Check) -> String {
    let start = "\(check.passes ? "ok  " : "FAIL") \(escapedForTerminal(check.tensor)): "
    if let problem = check.problem { return start + escapedForTerminal(problem) }
    guard !check.passes else {
      return start
        + "worst \(short(check.worstDeviation)), \(significant(check.toleranceUsed)) times the tolerance"
    }
    let step = check.firstStep.map {
      ", first differing \(check.countsUpdates ? "update" : "time step") \($0)"
    }
    return start
      + "at \(check.index) expected \(check.expected), computed \(check.computed),"
      + " deviation \(short(check.worstDeviation)),"
      + " \(significant(check.toleranceUsed)) times the tolerance" + (step ?? "")
  }

  static func json(_ results: [FixtureResult], _ shrunk: [ShrinkReport]? = nil) -> JSON {
    .object(
      [
        .init(key: "passes", value: .bool(!results.contains(where: \.fails))),
        .init(key: "passed", value: .number(results.filter(\.passes).count)),
        .init(key: "failed", value: .number(results.filter(\.fails).count)),
        .init(key: "skipped", value: .number(results.filter { $0.skipped != nil }.count)),
        .init(key: "fixtures", value: .array(results.map(json))),
      ] + (shrunk.map { [.init(key: "shrunk", value: .array($0.map(\.json)))] } ?? []))
  }

  private static func json(_ result: FixtureResult) -> JSON {
    .object([
      .init(key: "file", value: .string(result.path)),
      .init(key: "name", value: result.name.map { .string($0) } ?? .null),
      .init(key: "passes", value: .bool(result.passes)),
      .init(key: "skipped", value: result.skipped.map { .string($0) } ?? .null),
      .init(key: "error", value: result.error?.json ?? .null),
      .init(key: "remarks", value: .strings(result.remarks)),
      .init(key: "causes", value: .array(result.causes.map(json))),
      .init(key: "seconds", value: .number(result.seconds)),
      .init(key: "checked", value: .number(result.checks.count)),
      .init(key: "absent", value: .strings(result.absent)),
      .init(key: "worst", value: result.worst.map(json) ?? .null),
      .init(key: "checks", value: .array(result.checks.map(json))),
    ])
  }

  private static func json(_ cause: Cause) -> JSON {
    .object([
      .init(key: "code", value: .string(cause.code)),
      .init(key: "tensor", value: cause.tensor.map { .string($0) } ?? .null),
      .init(key: "detail", value: .string(cause.detail)),
      .init(key: "deviation", value: .number(cause.deviation)),
    ])
  }

  private static func json(_ check: Check) -> JSON {
    .object([
      .init(key: "tensor", value: .string(check.tensor)),
      .init(key: "passes", value: .bool(check.passes)),
      .init(key: "problem", value: check.problem.map { .string($0) } ?? .null),
      .init(key: "worst_deviation", value: .number(check.worstDeviation)),
      .init(key: "tolerance_used", value: .number(check.toleranceUsed)),
      .init(key: "class", value: .string(check.deviationClass.rawValue)),
      .init(key: "index", value: .shape(check.index)),
      .init(key: "expected", value: .number(check.expected)),
      .init(key: "computed", value: .number(check.computed)),
      .init(key: "first_step", value: check.firstStep.map { .number($0) } ?? .null),
    ])
  }
}
