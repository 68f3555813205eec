// What every report says of a fixture: text, JUnit, pages, and the errors of `require()`.

extension FixtureResult {
  /// The first time step at which anything differs, and the tensor that does.
  package var firstDifference: (step: Int, tensor: String)? {
    var first: (step: Int, tensor: String)?
    for check in checks where !check.passes && !check.countsUpdates {
      guard let step = check.firstStep, step < first?.step ?? .max else { continue }
      first = (step, check.tensor)
    }
    return first
  }

  /// What differs in one line: the worst tensor, the first step, how many others differ, and the likeliest cause.
  ///
  /// `nil` where nothing does, or where the fixture could not be run.
  package var headline: String? {
    guard error == nil, fails else { return nil }
    guard let worst else { return "nothing compared" }
    var text = "\(worst.tensor): \(worst.summary)"
    if let first = firstDifference, worst.firstStep != first.step {
      text += "; \(first.tensor) differs from time step \(first.step) on"
    }
    let others = checks.filter { !$0.passes }.count - 1
    if others > 0 { text += "; \(others) more tensor\(others == 1 ? " differs" : "s differ")" }
    if let cause = causes.first { text += "; cause: \(cause.summary)" }
    return text
  }

  /// `12 tensors checked, 3 gradients absent`.
  package var counts: String {
    func count(_ number: Int, _ noun: String) -> String {
      "\(number) \(noun)\(number == 1 ? "" : "s")"
    }
    return count(checks.count, "tensor") + " checked"
      + (absent.isEmpty
        ? "" : ", \(count(absent.count, program == nil ? "gradient" : "tensor")) absent")
  }
}
