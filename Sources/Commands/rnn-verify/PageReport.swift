import Bytes
import CommandSupport
import Parity
import Recurrent
import Reports

/// Results as one page of HTML.
enum PageReport {
  /// Drawings of so many passing fixtures at most, so that the page of a large suite stays small.
  private static let drawnFixtures = 12

  static func html(_ results: [FixtureResult]) -> String {
    let failed = results.filter { !$0.passes }
    let checks = results.reduce(0) { $0 + $1.checks.count }
    var page = Page("rnn-verify: \(counted(results.count, "fixture"))")
    page.verdict(
      failed.isEmpty
        ? "All passed: \(counted(checks, "tensor")) compared."
        : "\(failed.count) of \(counted(results.count, "fixture")) FAILED.",
      isGood: failed.isEmpty)
    page.note(
      "Each line shows the tensor that came nearest to its tolerance, or past it. Names lead to the"
        + " details.")
    let drawn = Set(
      (results.indices.filter { !results[$0].passes }.prefix(50)
        + results.indices.filter { results[$0].passes }.prefix(drawnFixtures)))
    page.table(
      "Fixtures", head: ["fixture", "result", "worst tensor", "deviation", "of tolerance"],
      rows: results.enumerated().map { index, result in
        row(result, index, isDrawn: drawn.contains(index))
      })
    if drawn.count < results.count {
      page.note(
        "Details follow for those that failed and for the first \(drawnFixtures) that passed; name"
          + " fixtures on the command line or use --filter to see others.")
    }
    for index in results.indices where drawn.contains(index) {
      details(results[index], index, &page)
    }
    return page.html
  }

  /// Nine significant digits, which tell any two numbers of single precision apart.
  private static func digits(_ value: Double) -> String {
    let text = "\(value)"
    guard value.isFinite, value.magnitude >= 1e-4, value.magnitude < 1e9 else { return text }
    guard let first = text.firstIndex(where: { ("1"..."9").contains($0) }) else { return text }
    return String(text[..<first]) + String(text[first...].prefix(10))
  }

  private static func verdict(_ passes: Bool) -> Page.Cell {
    .verdict(passes ? "passes" : "FAILS", isGood: passes)
  }

  private static func row(_ result: FixtureResult, _ index: Int, isDrawn: Bool) -> [Page.Cell] {
    let name: Page.Cell = isDrawn ? .link(result.path, id: "fixture-\(index)") : .text(result.path)
    if let error = result.error {
      return [name, verdict(false), .text(error.reason), .number("–"), .text("–")]
    }
    guard let worst = result.worst else {
      return [name, verdict(false), .text("nothing compared"), .number("–"), .text("–")]
    }
    return [
      name, verdict(result.passes), .text(worst.tensor),
      .number(worst.problem == nil ? short(worst.worstDeviation) : "–"),
      worst.problem.map { .text($0) } ?? .share(worst.toleranceUsed),
    ]
  }

  private static func details(_ result: FixtureResult, _ index: Int, _ page: inout Page) {
    page.beginSection(result.path, id: "fixture-\(index)")
    defer { page.endSection() }
    if let name = result.name { page.note(name) }
    if let error = result.error {
      page.verdict(error.message, isGood: false)
      if let hint = error.hint { page.note("hint: \(hint.withFlags)") }
      return
    }
    for remark in result.remarks { page.note(remark) }
    page.table(
      "Deviation against tolerance",
      head: [
        "tensor", "result", "deviation", "of tolerance", "expected", "computed", "at", "from step",
      ],
      rows: result.checks.map { check in
        guard check.problem == nil else {
          return [.text(check.tensor), verdict(false), .number("–"), .text(check.summary)]
        }
        // Where all is equal there is no worst element to show.
        let isEqual = check.worstDeviation == 0
        return [
          .text(check.tensor), verdict(check.passes), .number(short(check.worstDeviation)),
          .share(check.toleranceUsed), .number(isEqual ? "–" : digits(check.expected)),
          .number(isEqual ? "–" : digits(check.computed)),
          .text(isEqual || check.index.isEmpty ? "–" : "\(check.index)"),
          .number(check.firstStep.map { "\($0)" } ?? "–"),
        ]
      })
    page.figures(errors(result) + portrait(result.path, &page))
  }

  /// The deviation of every tensor that has a time axis, step by step.
  private static func errors(_ result: FixtureResult) -> [Figure] {
    let timed = result.checks.filter { $0.deviationByStep.count > 1 }
    let lines = timed.prefix(3).map { check in
      LineChart.Series(check.tensor, check.deviationByStep.map { $0 > 0 ? $0 : .nan })
    }
    guard lines.contains(where: { $0.values.contains { $0.isFinite } }) else { return [] }
    // Where the tensor is out of tolerance, the step where it begins is what one looks for.
    let first = timed.compactMap(\.firstStep).min()
    return [
      LineChart(
        "Error over time steps",
        description: "The largest deviation at each time step; steps that agree bit for bit have"
          + " no point."
          + (first.map { " Out of tolerance from step \($0)." } ?? ""),
        axes: ("time step", "deviation"), series: Array(lines), isLogarithmic: true
      ).figure
    ]
  }

  private static func portrait(_ path: String, _ page: inout Page) -> [Figure] {
    do {
      let portrait = try Fixture(WeightFile(path: path).state).portrait()
      if let remark = portrait.gradientRemark {
        page.note("No gradient norms: \(remark).")
      }
      return portrait.figures
    } catch {
      page.note("Nothing to draw: \(error)")
      return []
    }
  }
}
