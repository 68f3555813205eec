import Networks
import RNNEngine
import Tensors

/// The search for what explains numbers that differ: known mistakes, then differing weights, then two mistakes
/// at once.
///
/// A cause is named only if all numbers are then explained to rounding, if without it they are not, and if there
/// are enough numbers that so many hypotheses could not have met them by chance.
struct Diagnosis {
  let evidence: FixtureEvidence
  /// Whose numbers are explained: `the expected numbers`, `the port's numbers`.
  let subject: String
  let key: (String) -> String
  private let limit: Duration
  private let deadline: ContinuousClock.Instant
  private var tried = 0
  private(set) var stoppedEarly = false
  private var found: [Cause] = []

  init(
    _ evidence: FixtureEvidence, subject: String, within limit: Duration,
    key: @escaping (String) -> String
  ) {
    self.evidence = evidence
    self.subject = subject
    self.key = key
    self.limit = limit
    deadline = .now + limit
  }

  private var isLate: Bool { ContinuousClock.now >= deadline }

  /// The causes, simplest first; empty where nothing explains the numbers.
  mutating func causes() -> [Cause] {
    let known = KnownMistakes(evidence.baseline, dtype: evidence.run.network.weights.dtype)
    let ofEverything = known.ofEverything
    try1(ofEverything)
    if found.isEmpty { try1(known.ofParts) }
    if found.isEmpty {
      let deadline = deadline
      evidence.activeDropout(subject) { ContinuousClock.now >= deadline }.map { found.append($0) }
    }
    if found.isEmpty, !evidence.outputs.isEmpty { tryWeights() }
    if found.isEmpty { tryPairs(ofEverything) }
    guard stoppedEarly, let first = found.first else { return found }
    // Others may explain as much.
    found[0] = Cause(
      code: first.code, tensor: first.tensor,
      detail: first.detail + "; the search stopped early, after \(limit.inSeconds) s",
      deviation: first.deviation)
    return found
  }

  /// One mistake at a time.
  private mutating func try1(_ mistakes: [Mistake]) {
    for mistake in mistakes {
      if isLate { return stoppedEarly = true }
      check([mistake])
    }
  }

  /// Differing weights: changes without a number to find, then with one.
  private mutating func tryWeights() {
    let patches = WeightPatches(evidence.baseline)
    try1(patches.fixedChanges)
    // What is solved for needs twice the weights once more, with derivatives.
    guard found.isEmpty, evidence.baseline.weights.reduce(0, { $0 + $1.count }) < 1 << 24 else {
      return
    }
    for (index, element) in evidence.likelyElements(most: 48) {
      if isLate { return stoppedEarly = true }
      check(solving: patches.element(index, element), .added(0))
      if !found.isEmpty { return }
    }
    for mistake in patches.scales {
      if isLate { return stoppedEarly = true }
      if case .patch(let patch, let change) = mistake { check(solving: patch, change) }
    }
    if found.isEmpty { try1(patches.lineChanges) }
  }

  private mutating func check(solving patch: Patch, _ change: PatchChange) {
    tried += 1
    guard let mistake = evidence.solved(patch, change) else { return }
    check([mistake], fitted: 1)
  }

  /// Two mistakes at once, of the whole network.
  private mutating func tryPairs(_ mistakes: [Mistake]) {
    let mistakes = mistakes.filter(\.isCommon)
    for (number, first) in mistakes.enumerated() {
      for second in mistakes[(number + 1)...] where !first.excludes(second) {
        if isLate { return stoppedEarly = true }
        check([first, second])
      }
    }
  }

  private mutating func check(_ mistakes: [Mistake], fitted: Int = 0) {
    tried += 1
    var trial = evidence.baseline
    for mistake in mistakes { mistake.apply(to: &trial) }
    guard evidence.survivesCuts(trial) else { return }
    let outputs = evidence.judge(trial)
    guard outputs.share <= 1 else { return }
    let gradients = evidence.judgeGradients(mistakes)
    guard gradients.share <= 1, isConvincing(fitted: fitted) else { return }
    let words = mistakes.map { $0.words(evidence.baseline, key: key) }
    guard !found.contains(where: { $0.code == words[0].code && $0.tensor == words[0].tensor })
    else {
      return
    }
    var detail = "\(subject) are those of " + words[0].detail
    for other in words.dropFirst() { detail += ", and (\(other.code)) of \(other.detail)" }
    if !evidence.untried.isEmpty {
      detail += "; \(evidence.untried.joined(separator: ", ")) not tried"
    }
    found.append(
      Cause(
        code: words[0].code, tensor: words[0].tensor, detail: detail,
        deviation: max(outputs.deviation, evidence.outputs.isEmpty ? gradients.deviation : 0)))
  }

  /// Whether there is more in the numbers than so many hypotheses, or a number that was fitted, could explain
  /// by chance: 10⁴ times more.
  private func isConvincing(fitted: Int) -> Bool {
    let total = evidence.orders
    return total.largest >= 0.5
      && total.sum - Double(fitted) * total.largest >= 4 + log10(Double(max(1, tried)))
  }
}

extension FixtureEvidence {
  /// How far the numbers lie from those without any mistake.
  var orders: (sum: Double, largest: Double) {
    var total = (sum: 0.0, largest: 0.0)
    for expected in outputs {
      guard let (shape, computed) = numbers(expected, baseline, baselineResult) else { continue }
      let one = expected.evidence(against: shape, computed)
      total = (total.sum + one.sum, max(total.largest, one.largest))
    }
    if total.sum < 20, !gradients.isEmpty {
      let sum = gradientEvidence
      total = (total.sum + sum, max(total.largest, min(8, sum)))
    }
    return total
  }
}

extension Mistake {
  /// Whether it is among those that are tried in pairs.
  var isCommon: Bool {
    switch self {
    case .gates(let order, _, _):
      [[0, 3, 1, 2], [0, 1, 3, 2], [0, 2, 1, 3], [1, 0, 2], [2, 1, 0]].contains(order)
    case .activation(_, let function):
      [.relu, .hardSigmoid, .hardSigmoid6, .identity].contains(function)
    case .swappedBlocks(_, let roles): roles.count > 3
    default: true
    }
  }

  /// Whether two of them make no pair: two of one kind.
  func excludes(_ other: Mistake) -> Bool {
    switch (self, other) {
    case (.gates, .gates), (.scaledBiases, .scaledBiases), (.scaledBiases, .copiedBias),
      (.copiedBias, .copiedBias), (.rounded, .rounded), (.lengths, .lengths),
      (.initialState, .initialState), (.turnedInput, .turnedInput), (.transposed, .transposed),
      (.forgetBias, .forgetBias):
      true
    default: false
    }
  }
}

extension Duration {
  /// In tenths of a second, for people.
  var inSeconds: String {
    significant(
      Double(components.seconds) + Double(components.attoseconds / 100_000_000_000_000_000) / 10)
  }
}
