import Conversion
import Networks
import RNNEngine
import Tensors

/// What roundings of a fixture's precision can make of its network, found by computing it again.
///
/// The same function is computed in Double, and with its hidden units in other orders; what these computations differ by is
/// rounding and nothing else. An expected number may lie ``factor`` times as far from ours as they lie apart around its
/// step. The page "What rounding explains" has the derivation, its assumptions and its measurements.
struct RoundingBudget {
  /// How many times the spread of our own computations an expected number may lie away.
  static let factor = 6.0
  /// How many computations are made at most; one after the other, and only while one more can change the verdict.
  static let most = 8
  /// Beyond so many times the spread no further computation is made: rounding does not explain it.
  static let hopeless = 50.0
  /// Where computations differ by so much of the largest output, nothing behind can be compared.
  static let saturation = 0.1
  /// The number of steps before and behind whose spread counts too: one computation may pass another by chance.
  static let window = 2

  private let fixture: Fixture
  private let network: Network
  private let options: VerificationOptions
  /// The numbers of every check by its name, as each computation gave them, and always the top layer's outputs.
  private var computations: [[String: [Double]]]
  /// How far the computations of the outputs lie apart at every step.
  private var outputSpreads: [Double] = []
  private var usesRounding = false

  private static let outputs = "outputs/output"

  /// A budget for checks of which some use more than their tolerance; `nil` where there are none, or where the tolerance was
  /// stated.
  ///
  /// The checks are the engine's own, or `ofPort` those of another implementation.
  init?(
    of checks: [Check], ofPort: Bool = false, _ fixture: Fixture, _ network: Network,
    _ options: VerificationOptions
  ) throws {
    guard options.relative == nil, options.absolute == nil else { return nil }
    (self.fixture, self.network, self.options) = (fixture, network, options)
    computations = []
    guard checks.contains(where: isOpen) else { return nil }
    computations.append(
      Self.numbers(of: ofPort ? try fixture.computed(network, options).checks : checks))
  }

  private static func numbers(of checks: [Check]) -> [String: [Double]] {
    checks.reduce(into: [:]) { $0[$1.tensor] = $1.numbers?.computed }
  }

  /// Whether rounding may explain what a check found.
  private func isOpen(_ check: Check) -> Bool {
    guard !check.passes, check.problem == nil, check.numbers != nil else { return false }
    let configuration = fixture.configuration
    if check.tensor.hasPrefix("grads/") { return configuration.gradientTolerance == nil }
    if check.tensor == "losses", configuration.lossTolerance != nil { return false }
    return configuration.forwardTolerance == nil
  }

  /// The checks with what roundings explain.
  mutating func judge(_ checks: [Check]) throws -> [Check] {
    var result = checks
    var open = checks.indices.filter { isOpen(checks[$0]) }
    while !open.isEmpty, computations.count < Self.most, try computeAgain() {
      for index in open {
        guard let numbers = checks[index].numbers else { continue }
        result[index] = check(checks[index], numbers)
      }
      let used = open.map { result[$0].toleranceUsed }
      open.removeAll { result[$0].passes }
      // Two computations may agree by chance, and three are enough to see that something else is wrong.
      if computations.count > 2, let largest = used.max(), largest > Self.hopeless / Self.factor {
        break
      }
    }
    usesRounding = result.indices.contains { result[$0].passes && !checks[$0].passes }
    if usesRounding {
      let isAmplified = growth.map { $0.isAmplified } ?? false
      for index in result.indices where result[index].passes && !checks[index].passes {
        result[index].deviationClass = isAmplified ? .amplified : .rounding
      }
    }
    return result
  }

  private func check(_ check: Check, _ numbers: CheckNumbers) -> Check {
    Check(
      check.tensor, shape: numbers.shape, expected: numbers.expected,
      computedShape: numbers.shape, computed: numbers.computed, tolerance: numbers.tolerance,
      timeAxis: numbers.timeAxis, rounding: budget(of: check.tensor, numbers))
  }

  /// What roundings explain at every step of a tensor, or in the whole of one without steps.
  private func budget(of name: String, _ numbers: CheckNumbers) -> [Double] {
    let steps = numbers.timeAxis.map { numbers.shape[$0] } ?? 1
    // Where the states are no longer the same, gradients are those of other trajectories.
    if name.hasPrefix("grads/") || name.hasPrefix("trained/"), isSaturated {
      return [Double](repeating: .infinity, count: steps)
    }
    let spreads = spreads(of: name, shape: numbers.shape, timeAxis: numbers.timeAxis)
    return (0..<steps).map { step in
      let near = spreads[max(0, step - Self.window)...min(steps - 1, step + Self.window)]
      return Self.factor * unit * (near.max() ?? 0)
    }
  }

  /// How far the computations of a tensor lie apart at every step, or in the whole of one without steps.
  private func spreads(of name: String, shape: [Int], timeAxis: Int?) -> [Double] {
    let arrays = computations.compactMap { $0[name] }
    let steps = timeAxis.map { shape[$0] } ?? 1
    let inner = timeAxis.map { shape[($0 + 1)...].reduce(1, *) } ?? max(1, arrays.first?.count ?? 0)
    var result = [Double](repeating: 0, count: steps)
    for offset in (arrays.first ?? []).indices {
      let step = offset / inner % steps
      result[step] = max(result[step], spread(of: arrays, at: offset))
    }
    return result
  }

  /// How far computations lie from the exact one, which is the second where there is one in Double, or else from each other;
  /// infinite where some are finite and others are not.
  private func spread(of arrays: [[Double]], at offset: Int) -> Double {
    let first = arrays[0][offset]
    var (least, most) = (first, first)
    for array in arrays {
      let value = array[offset]
      guard value.isFinite, first.isFinite else {
        // The same infinity, or NaN, everywhere is agreement.
        let isOne = arrays.allSatisfy { $0[offset] == first || $0[offset].isNaN && first.isNaN }
        return isOne ? 0 : .infinity
      }
      (least, most) = (min(least, value), max(most, value))
    }
    guard network.weights.dtype != .f64, arrays.count > 1 else { return most - least }
    return max(most - arrays[1][offset], arrays[1][offset] - least)
  }

  /// How much coarser the fixture's numbers are rounded than the engine's own.
  private var unit: Double {
    switch network.weights.dtype {
    case .f16: 0x1p13
    case .bf16: 0x1p16
    default: 1
    }
  }

  // MARK: Computing again

  /// Makes the next computation; false where there is no other.
  private mutating func computeAgain() throws -> Bool {
    network.weights.dtype == .f64
      ? try computeAgain(in: Double.self) : try computeAgain(in: Float.self)
  }

  private mutating func computeAgain<S: Scalar>(in type: S.Type) throws -> Bool {
    let run = try FixtureRun<S>(fixture, network, options)
    if computations[0][Self.outputs] == nil {
      computations[0][Self.outputs] = try Self.outputs(of: run)
    }
    if S.self != Double.self, computations.count == 1 {
      try add(FixtureRun<Double>(fixture, network, options))
      return true
    }
    // Dropout's masks belong to units, whose order must then stay.
    guard fixture.configuration.dropoutSeed == nil, network.architecture.hiddenSize > 1 else {
      return false
    }
    var other = run
    other.order = HiddenOrder(
      run.model.rnn.configuration, seed: UInt64(computations.count))
    try add(other)
    return true
  }

  private mutating func add<S>(_ run: FixtureRun<S>) throws {
    var numbers = Self.numbers(of: try run.examine().checks)
    if numbers[Self.outputs] == nil { numbers[Self.outputs] = try Self.outputs(of: run) }
    computations.append(numbers)
    outputSpreads = spreads(of: Self.outputs, shape: run.outputShape, timeAxis: run.timeAxis)
  }

  /// The top layer's outputs, where the fixture expects none.
  private static func outputs<S>(of run: FixtureRun<S>) throws -> [Double] {
    try run.forward().recurrent.output.elements.map { Double($0) }
  }

  // MARK: Growth

  /// The growth of rounding over the sequence; `nil` of one step, or without any rounding.
  private var growth: (perStep: Double, isAmplified: Bool)? {
    guard let largest = outputSpreads.max(), largest > 0, largest.isFinite,
      let first = outputSpreads.first(where: { $0 > 0 })
    else { return nil }
    let perStep = growthPerStep(of: outputSpreads)
    return (perStep, perStep > 1.01 && largest > 10 * first)
  }

  private var isSaturated: Bool {
    let largest = computations[0][Self.outputs]?.reduce(0) { max($0, $1.magnitude) } ?? 0
    return (outputSpreads.max() ?? 0) >= Self.saturation * largest && largest > 0
  }

  /// One line where roundings explain what the tolerance does not.
  var remarks: [String] {
    guard usesRounding, let growth else { return [] }
    let type = network.weights.dtype.rawValue
    guard growth.isAmplified else {
      return ["computed in other orders, this network's outputs in \(type) differ as much"]
    }
    var line =
      "rounding is amplified: computed in other orders, this network's outputs in \(type) "
      + drift((outputSpreads, growth.perStep), per: "step")
    if isSaturated { line += "; there its gradients say nothing" }
    return [
      line
        + (fixture.states.count > 0 ? "" : "; with states/h in the fixture every step is compared")
    ]
  }
}
