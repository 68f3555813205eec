import Tensors

/// How the next token of a text is chosen from logits: the most likely one, or a draw.
///
/// A draw divides the logits by the temperature, keeps the `topK` most likely tokens, of these the fewest
/// whose probabilities reach `topP` together, and draws among what is left.
public struct TokenChoice: Sendable, Equatable {
  /// Whether the most likely token is taken and nothing is drawn; of equal ones the first.
  public let greedy: Bool
  /// What the logits are divided by: below 1 bolder, above 1 more varied.
  public let temperature: Double
  /// How many of the most likely tokens a draw chooses from; `nil` for all.
  public let topK: Int?
  /// The probability that the tokens of a draw must reach together; `nil` for all.
  public let topP: Double?

  /// The most likely token, always.
  public static let greedy = TokenChoice()

  private init() { (greedy, temperature, topK, topP) = (true, 1, nil, nil) }

  /// A draw; throws `engine.sampling` unless temperature > 0, `topK` ≥ 1 and 0 < `topP` ≤ 1.
  public init(temperature: Double = 1, topK: Int? = nil, topP: Double? = nil) throws {
    for (name, isValid, found, expected) in [
      (
        "temperature", temperature > 0 && temperature.isFinite, "\(temperature)",
        "a number above 0; 0 would be the greedy choice"
      ),
      ("topK", (topK ?? 1) >= 1, "\(topK ?? 1)", "at least 1"),
      (
        "topP", (topP ?? 1) > 0 && (topP ?? 1) <= 1, "\(topP ?? 1)",
        "a number above 0 and at most 1"
      ),
    ] where !isValid {
      throw RecurrentError(
        .engineSamplingArgument, at: name, found: found, expected: expected)
    }
    (greedy, self.temperature, self.topK, self.topP) = (false, temperature, topK, topP)
  }

  /// The index of the chosen logit; equal generators choose equally.
  ///
  /// Throws `engine.sampling` if there is no logit or one is not a number.
  public func callAsFunction<S: Scalar>(
    _ logits: [S], using generator: inout TorchGenerator
  ) throws -> Int {
    if let bad = logits.firstIndex(where: { $0.isNaN || $0 == .infinity })
      ?? (logits.isEmpty ? 0 : nil)
    {
      throw RecurrentError(
        .engineSampling, at: "logit \(bad)",
        found: logits.isEmpty ? "no logits" : "\(logits[bad])", expected: "a number")
    }
    var best = 0
    for index in logits.indices where logits[index] > logits[best] { best = index }
    if greedy { return best }
    let peak = Double(logits[best])
    var weights = logits.map { Double.exp((Double($0) - peak) / temperature) }
    if topK != nil || topP != nil { restrict(&weights) }
    let total = weights.reduce(0, +)
    // All logits −∞: there is nothing to prefer.
    guard total > 0 else { return best }
    var rest = generator.nextDouble() * total
    for index in weights.indices {
      rest -= weights[index]
      if rest < 0 { return index }
    }
    return best
  }

  private func restrict(_ weights: inout [Double]) {
    let order = weights.indices.sorted { (weights[$1], $0) < (weights[$0], $1) }
    var kept = min(topK ?? order.count, order.count)
    if let topP {
      let goal = topP * order.prefix(kept).reduce(0) { $0 + weights[$1] }
      var sum = 0.0
      if let last = order.prefix(kept).firstIndex(where: { index in
        sum += weights[index]
        return sum >= goal
      }) {
        kept = last + 1
      }
    }
    for index in order[kept...] { weights[index] = 0 }
  }
}
