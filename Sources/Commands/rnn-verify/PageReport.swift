import Bytes
import CommandSupport
import Parity
import Recurrent
import Reports

/// Results as one page of HTML: what failed, open and with drawings, then what passed, folded.
enum PageReport {
  /// Drawings of so many passing fixtures at most, so that the page of a large suite stays small.
  private static let drawnFixtures = 12
  /// Tables of so many passing fixtures at most, and drawings of so many failing ones.
  private static let listedFixtures = 500
  private static let drawnFailures = 50

  static func html(_ results: [FixtureResult], options: VerificationOptions) -> String {
    let all = Array(results.enumerated())
    let failed = all.filter { $0.element.fails }
    let skipped = results.filter { $0.skipped != nil }
    let passed = all.filter { $0.element.passes }
    let checks = results.reduce(0) { $0 + $1.checks.count }
    let folder = commonFolder(results.map(\.path))
    func name(_ result: FixtureResult) -> String { String(result.path.dropFirst(folder.count)) }
    var page = Page("rnn-verify: \(counted(results.count, "fixture"))")
    page.verdict(
      failed.isEmpty
        ? "All passed: \(counted(checks, "tensor")) compared."
        : "\(failed.count) of \(counted(results.count, "fixture")) FAILED.",
      isGood: failed.isEmpty)
    page.note(
      "A tensor passes where no element is further off than its tolerance allows: up to 1 times the"
        + " tolerance it passes, above 1 it differs.")
    if let program = results.first?.program { page.note("Computed by: \(program)") }
    if !skipped.isEmpty {
      page.note(
        "\(counted(skipped.count, "fixture")) skipped: "
          + skipped.prefix(5).map { "\(name($0)) (\($0.skipped ?? ""))" }.joined(separator: ", ")
          + (skipped.count > 5 ? ", …" : ""))
    }
    if !folder.isEmpty { page.note("All of them are in \(folder)") }
    if !failed.isEmpty {
      page.table(
        "What failed, and the tensor that is furthest out of tolerance",
        head: [
          "fixture", "times the tolerance", "from step", "worst tensor", "tensors that differ",
        ],
        rows: failed.map { row($0.element, name($0.element), $0.offset) }, becomesBlocks: true)
    }
    for (count, (index, result)) in failed.enumerated() {
      page.beginFold(
        name(result), verdict: ("FAILS", false), id: "fixture-\(index)", isOpen: true,
        isHeading: true)
      details(result, options, isDrawn: count < drawnFailures, &page)
      page.endFold()
    }
    if !passed.isEmpty {
      page.beginSection("Passed: \(counted(passed.count, "fixture"))")
      if passed.count > drawnFixtures {
        page.note(
          "The first \(drawnFixtures) have drawings; name fixtures on the command line, or use"
            + " --filter, to see those of others.")
      }
    }
    for (count, (_, result)) in passed.enumerated() {
      guard count < listedFixtures else {
        page.note("\(passed.count - listedFixtures) more that passed are not listed.")
        break
      }
      page.beginFold(name(result), verdict: ("passes", true), more: summary(result))
      details(result, options, isDrawn: count < drawnFixtures, &page)
      page.endFold()
    }
    if !passed.isEmpty { page.endSection() }
    return page.html
  }

  /// The folder that all fixtures are in, with its slash; on a phone there is no room to repeat it.
  private static func commonFolder(_ paths: [String]) -> String {
    guard paths.count > 1, var prefix = paths.first else { return "" }
    for path in paths { prefix = String(zip(prefix, path).prefix { $0 == $1 }.map(\.0)) }
    while let last = prefix.last, last != "/" { prefix.removeLast() }
    return prefix.count > 1 ? prefix : ""
  }

  private static func summary(_ result: FixtureResult) -> String {
    guard let worst = result.worst else { return "" }
    return "\(counted(result.checks.count, "tensor")); worst \(worst.tensor),"
      + " \(significant(worst.toleranceUsed)) times the tolerance"
  }

  private static func row(
    _ result: FixtureResult, _ name: String, _ index: Int
  ) -> [Page.Cell] {
    let name = Page.Cell.link(name, id: "fixture-\(index)")
    if let error = result.error {
      return [name, .number("–"), .number("–"), .text("error: \(error.reason.code)"), .number("–")]
    }
    guard let worst = result.worst else {
      return [name, .number("–"), .number("–"), .text("nothing compared"), .number("–")]
    }
    let count = result.checks.filter { !$0.passes }.count
    return [
      name, worst.problem == nil ? .times(worst.toleranceUsed) : .number("–"),
      .number(result.checks.compactMap(\.firstStep).min().map { "\($0)" } ?? "–"),
      .text(worst.tensor), .number("\(count) of \(result.checks.count)"),
    ]
  }

  private static func details(
    _ result: FixtureResult, _ options: VerificationOptions, isDrawn: Bool, _ page: inout Page
  ) {
    if let name = result.name { page.note(name) }
    if let error = result.error {
      page.verdict(error.message, isGood: false)
      if let hint = error.advice { page.note("hint: \(hint.withFlags)") }
      return
    }
    for cause in result.causes.prefix(3) { page.note("cause: \(cause.summary)") }
    for remark in result.remarks { page.note(remark) }
    if !result.absent.isEmpty {
      page.note("\(result.counts): \(result.absent.joined(separator: ", ")).")
    }
    let failing = result.checks.filter { !$0.passes }
    let passing = result.checks.filter(\.passes)
    if !failing.isEmpty {
      table(
        failing, "\(counted(failing.count, "tensor")) out of tolerance, at the worst element", &page
      )
    }
    if !passing.isEmpty {
      let caption = "\(counted(passing.count, "tensor")) within tolerance, at the worst element"
      if failing.isEmpty {
        table(passing, caption, &page)
      } else {
        page.beginFold("\(counted(passing.count, "tensor")) within tolerance")
        table(passing, caption, &page)
        page.endFold()
      }
    }
    guard isDrawn else { return }
    do {
      let fixture = try Fixture(WeightFile(path: result.path).state)
      if !failing.isEmpty {
        // Another program's numbers were kept; our own are computed once more.
        let comparison =
          result.program == nil
          ? try fixture.comparison(options: options) : try fixture.comparison(of: result.checks)
        try compare(comparison, &page)
      }
      let portrait = try fixture.portrait()
      guard !portrait.figures.isEmpty else { return }
      if !failing.isEmpty {
        page.beginFold(
          result.program == nil
            ? "What the network does, as computed"
            : "What the network does, as this library computes it")
      }
      if let remark = portrait.gradientRemark { page.note("No gradient norms: \(remark).") }
      page.figures(portrait.figures)
      if !failing.isEmpty { page.endFold() }
    } catch {
      page.note("Nothing to draw: \(error)")
    }
  }

  private static func table(_ checks: [Check], _ caption: String, _ page: inout Page) {
    // What passed needs no verdict line by line.
    let passes = checks.allSatisfy(\.passes)
    let head =
      ["tensor", "times the tolerance"] + (passes ? [] : ["from step"]) + [
        "deviation", "allowed", "at",
      ]
      + (passes ? [] : ["expected", "computed"])
    page.table(
      caption, head: head,
      rows: checks.map { check in
        if let problem = check.problem { return [.text(check.tensor), .text(problem)] }
        // Where all is equal there is no worst element to show.
        let isEqual = check.worstDeviation == 0
        let deviation = (check.computed - check.expected).magnitude
        let step = Page.Cell.number(check.firstStep.map { "\($0)" } ?? "–")
        let values = [check.expected, check.computed].map { Page.Cell.number(digits($0)) }
        return [.text(check.tensor), .share(check.toleranceUsed)] + (passes ? [] : [step])
          + [
            .number(isEqual ? "0" : short(deviation)),
            .number(isEqual ? "–" : short(check.allowed)),
            .number(isEqual || check.index.isEmpty ? "–" : "\(check.index)"),
          ] + (passes ? [] : values)
      }, becomesBlocks: true)
  }

  /// Nine significant digits, which tell any two numbers of single precision apart.
  private static func digits(_ value: Double) -> String {
    let text = "\(value)"
    let parts = text.split(separator: "e", maxSplits: 1)
    guard value.isFinite, let mantissa = parts.first,
      let first = mantissa.firstIndex(where: { ("1"..."9").contains($0) })
    else { return text }
    let cut = mantissa[..<first] + mantissa[first...].prefix(value.magnitude < 1e9 ? 10 : 20)
    return cut + (parts.count > 1 ? "e\(parts[1])" : "")
  }

  /// Where expected and computed part: by layer and gate, over time, and side by side.
  private static func compare(_ comparison: FixtureComparison, _ page: inout Page) throws {
    let states = comparison.stateColumns
    if !states.isEmpty {
      // Only states after every step say where a layer goes wrong.
      let isStepwise = states.contains { $0.hasPrefix("states/") }
      page.table(
        "States by layer, times the tolerance",
        head: ["layer"] + (isStepwise ? ["from step"] : []) + states,
        rows: comparison.layers.map { row in
          let step = Page.Cell.number(row.firstStep.map { "\($0)" } ?? "–")
          return [.text(row.name)] + (isStepwise ? [step] : []) + row.shares.map { .times($0) }
        })
    }
    let gates = comparison.architecture.cell.gateNames
    for group in comparison.failingGroups {
      page.table(
        "\(group) by layer and gate, times the tolerance",
        head: ["parameter"] + (gates.count > 1 ? gates.map { "gate \($0)" } : ["all"]),
        rows: comparison.gates(of: group).map { row in
          [.text(row.name)] + row.shares.map { .times($0) }
        })
    }
    page.figures(comparison.overview)
    for check in comparison.shown {
      let maps = comparison.maps(of: check)
      guard !maps.isEmpty else { continue }
      page.heading("\(check.tensor): expected beside computed")
      page.figures(maps)
    }
  }
}
