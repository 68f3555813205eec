import CommandSupport
import Parity
import Recurrent
import Reports

/// Results as text and as JSON.
enum FixtureReport {
  static func text(_ results: [FixtureResult], verbose: Bool) -> String {
    var text = table(results.map(row), indent: "")
    if verbose || results.contains(where: { !$0.passes }) {
      for result in results where verbose || !result.passes {
        text += details(result, all: verbose)
      }
    }
    let failed = results.filter { !$0.passes }.count
    let checks = results.reduce(0) { $0 + $1.checks.count }
    text +=
      failed == 0
      ? "\(counted(results.count, "fixture")) passed, \(counted(checks, "tensor")) compared\n"
      : "\(failed) of \(counted(results.count, "fixture")) FAILED\n"
    return text
  }

  private static func row(_ result: FixtureResult) -> [String] {
    let status = result.passes ? Output.good("ok  ") : Output.bad("FAIL")
    let path = escapedForTerminal(result.path)
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

  private static func details(_ result: FixtureResult, all: Bool) -> String {
    var text = escapedForTerminal(result.path) + "\n"
    if let error = result.error {
      text += "  \(error.message)\n"
      if let hint = error.advice?.withFlags { text += "  hint: \(escapedForTerminal(hint))\n" }
    }
    for cause in result.causes.prefix(3) {
      text += "  cause: \(escapedForTerminal(cause.summary, limit: 1000))\n"
    }
    for remark in result.remarks { text += "  note: \(escapedForTerminal(remark))\n" }
    for check in result.checks where all || !check.passes {
      text += "  \(check.passes ? "ok  " : "FAIL") \(escapedForTerminal(check.tensor)): "
      if let problem = check.problem {
        text += escapedForTerminal(problem) + "\n"
      } else if check.passes {
        text +=
          "worst \(short(check.worstDeviation)), \(significant(check.toleranceUsed)) times the tolerance\n"
      } else {
        text +=
          "at \(check.index) expected \(check.expected), computed \(check.computed),"
          + " deviation \(short(check.worstDeviation)),"
          + " \(significant(check.toleranceUsed)) times the tolerance"
        if let step = check.firstStep {
          text += ", first differing \(check.countsUpdates ? "update" : "time step") \(step)"
        }
        text += "\n"
      }
    }
    return text
  }

  static func json(_ results: [FixtureResult]) -> JSON {
    .object([
      .init(key: "passes", value: .bool(results.allSatisfy(\.passes))),
      .init(key: "passed", value: .number(results.filter(\.passes).count)),
      .init(key: "failed", value: .number(results.filter { !$0.passes }.count)),
      .init(key: "fixtures", value: .array(results.map(json))),
    ])
  }

  private static func json(_ result: FixtureResult) -> JSON {
    .object([
      .init(key: "file", value: .string(result.path)),
      .init(key: "name", value: result.name.map { .string($0) } ?? .null),
      .init(key: "passes", value: .bool(result.passes)),
      .init(key: "error", value: result.error?.json ?? .null),
      .init(key: "remarks", value: .strings(result.remarks)),
      .init(key: "causes", value: .array(result.causes.map(json))),
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
