import Tensors

/// How far two numbers may lie apart and still count as equal.
package struct Tolerance: Sendable, Equatable {
  /// Relative to the expected value.
  package var relative: Double
  /// Absolute.
  package var absolute: Double
  /// Relative to the largest magnitude of the expected tensor.
  package var relativeToMaximum: Double

  /// Creates a tolerance: absolute + relative · |e| + relativeToMaximum · max |e|.
  package init(relative: Double = 0, absolute: Double = 0, relativeToMaximum: Double = 0) {
    self.relative = relative
    self.absolute = absolute
    self.relativeToMaximum = relativeToMaximum
  }

  /// The tolerance used by one pair of numbers: 0 for equal ones, above 1 for too far apart.
  ///
  /// `maximum` is the largest magnitude of the expected tensor.
  /// `rounding` is what roundings explain there, where it was worked out.
  package func share(
    expected: Double, computed: Double, maximum: Double, rounding: Double = 0
  ) -> Double {
    if expected == computed || expected.isNaN && computed.isNaN { return 0 }
    let deviation = (computed - expected).magnitude
    // An infinite expected value makes an infinite bound, which must not excuse a finite result.
    guard expected.isFinite, !deviation.isNaN else { return .infinity }
    let share = deviation / max(allowed(expected: expected, maximum: maximum), rounding)
    return share.isNaN ? .infinity : share
  }

  /// How far a number may lie from the expected one.
  package func allowed(expected: Double, maximum: Double) -> Double {
    absolute + relative * expected.magnitude + relativeToMaximum * maximum
  }

  /// The defaults for outputs, losses and trained parameters; <doc:MakingFixtures> has them as a table.
  package static func forward(_ dtype: DType) -> Tolerance {
    switch dtype {
    case .f64: Tolerance(relative: 1e-10, absolute: 1e-12)
    case .f16: Tolerance(relative: 1e-3, absolute: 1e-5)
    case .bf16: Tolerance(relative: 1.6e-2, absolute: 1e-5)
    default: Tolerance(relative: 1.3e-6, absolute: 2e-6)
    }
  }

  /// The defaults for gradients.
  package static func gradient(_ dtype: DType) -> Tolerance {
    switch dtype {
    case .f64: Tolerance(relativeToMaximum: 1e-11)
    case .f16: Tolerance(relativeToMaximum: 1e-3)
    case .bf16: Tolerance(relativeToMaximum: 1.6e-2)
    default: Tolerance(relativeToMaximum: 1e-5)
    }
  }
}

/// What a deviation is; only a difference fails.
package enum DeviationClass: String, Sendable {
  /// Bit for bit the expected numbers, or NaNs in the same places.
  case exact
  /// No more than roundings make of any network.
  case rounding
  /// No more than roundings make of this network, which makes small deviations grow.
  case amplified = "amplified rounding"
  /// More than roundings explain.
  case difference
}

/// One expected tensor against what was computed.
public struct Check: Sendable {
  /// The expected tensor's name in the fixture (`outputs/h_n`).
  public let tensor: String
  /// What is wrong with the tensor as a whole (a wrong shape, a missing partner), if anything.
  public let problem: String?
  /// The largest |computed − expected|; infinite where NaNs or infinities disagree.
  public let worstDeviation: Double
  /// The largest share of the tolerance that an element used; above 1 the check fails.
  public let toleranceUsed: Double
  /// Where the largest share was used.
  public let index: [Int]
  /// The expected value there.
  public let expected: Double
  /// The computed value there.
  public let computed: Double
  /// The first time step with an element out of tolerance, where the tensor has a time axis; of `losses`
  /// and `trajectory/…` the first update.
  public let firstStep: Int?
  /// The largest |computed − expected| at every time step; empty where the tensor has no time axis.
  public let deviationByStep: [Double]

  /// How far the computed value may lie from the expected one there.
  package let allowed: Double
  /// What the deviation is.
  package var deviationClass: DeviationClass
  /// Every number of the tensor, where it was asked for.
  package var numbers: CheckNumbers?

  /// The same check in less memory.
  var withoutNumbers: Check {
    var copy = self
    copy.numbers = nil
    return copy
  }

  /// Whether ``firstStep`` counts updates.
  public var countsUpdates: Bool { tensor == "losses" || tensor.hasPrefix("trajectory/") }

  /// Whether every element is within tolerance.
  public var passes: Bool { problem == nil && toleranceUsed <= 1 }

  /// What differs in a sentence: the problem, or the worst element with its index and both values.
  public var summary: String {
    if let problem { return problem }
    guard !passes else {
      return
        "worst deviation \(significant(worstDeviation)), \(significant(toleranceUsed)) times the"
        + " tolerance"
    }
    let step = firstStep.map {
      ", first differing \(countsUpdates ? "update" : "time step") \($0)"
    }
    return "at \(index) expected \(expected), computed \(computed),"
      + " deviation \(significant(worstDeviation)),"
      + " \(significant(toleranceUsed)) times the tolerance" + (step ?? "")
  }

  /// A check that fails as a whole.
  init(_ tensor: String, problem: String) {
    self.init(
      tensor: tensor, problem: problem, worstDeviation: .infinity, toleranceUsed: .infinity,
      index: [], expected: .nan, computed: .nan, allowed: .nan, deviationClass: .difference,
      firstStep: nil, deviationByStep: [])
  }

  private init(
    tensor: String, problem: String?, worstDeviation: Double, toleranceUsed: Double,
    index: [Int], expected: Double, computed: Double, allowed: Double,
    deviationClass: DeviationClass, firstStep: Int?, deviationByStep: [Double]
  ) {
    self.tensor = tensor
    self.problem = problem
    self.worstDeviation = worstDeviation
    self.toleranceUsed = toleranceUsed
    self.index = index
    self.expected = expected
    self.computed = computed
    self.allowed = allowed
    self.deviationClass = deviationClass
    self.firstStep = firstStep
    self.deviationByStep = deviationByStep
  }

  /// Compares element by element; a NaN passes only against a NaN in the same place.
  ///
  /// `rounding` is what roundings explain, at every step of the time axis or in the whole tensor.
  init(
    _ tensor: String, shape: [Int], expected: [Double], computedShape: [Int],
    computed: [Double], tolerance: Tolerance, timeAxis: Int? = nil, rounding: [Double] = []
  ) {
    guard shape == computedShape else {
      self.init(tensor, problem: "shape \(shape), but the network computes \(computedShape)")
      return
    }
    let finite = expected.lazy.filter { $0.isFinite }.map { $0.magnitude }
    let maximum = finite.max() ?? 0
    // How many elements one step of the time axis spans, and how many steps there are.
    let inner = timeAxis.map { shape[($0 + 1)...].reduce(1, *) } ?? 1
    var worst = 0.0
    var used = 0.0
    var position = 0
    var firstStep: Int?
    var byStep = [Double](repeating: 0, count: timeAxis.map { shape[$0] } ?? 0)
    for (offset, (e, c)) in zip(expected, computed).enumerated() {
      let step = timeAxis.map { offset / inner % shape[$0] }
      let share = tolerance.share(
        expected: e, computed: c, maximum: maximum,
        rounding: rounding.isEmpty ? 0 : rounding[step ?? 0])
      if e == c || e.isNaN && c.isNaN { continue }
      let deviation = (c - e).isNaN ? .infinity : (c - e).magnitude
      worst = max(worst, deviation)
      if let step { byStep[step] = max(byStep[step], deviation) }
      if share > used { (used, position) = (share, offset) }
      if share > 1, let step { firstStep = min(firstStep ?? step, step) }
    }
    var index: [Int] = []
    var rest = position
    for size in shape.reversed() where size > 0 {
      index.insert(rest % size, at: 0)
      rest /= size
    }
    self.init(
      tensor: tensor, problem: nil, worstDeviation: worst, toleranceUsed: used, index: index,
      expected: expected.isEmpty ? 0 : expected[position],
      computed: computed.isEmpty ? 0 : computed[position],
      allowed: expected.isEmpty
        ? 0
        : max(
          tolerance.allowed(expected: expected[position], maximum: maximum),
          rounding.isEmpty ? 0 : rounding[timeAxis.map { position / inner % shape[$0] } ?? 0]),
      deviationClass: used > 1 ? .difference : worst == 0 ? .exact : .rounding,
      firstStep: firstStep, deviationByStep: byStep)
    numbers = CheckNumbers(
      shape: shape, expected: expected, computed: computed, tolerance: tolerance,
      maximum: maximum, timeAxis: timeAxis, rounding: rounding)
  }
}

/// `0.353`, `12.4`, `1150`, `4.09e10`: the three digits of a number that people read.
package func significant(_ value: Double) -> String {
  guard value.isFinite, value != 0 else { return "\(value)" }
  var exponent = 0
  var mantissa = value.magnitude
  while mantissa < 1 { (mantissa, exponent) = (mantissa * 10, exponent - 1) }
  while mantissa >= 10 { (mantissa, exponent) = (mantissa / 10, exponent + 1) }
  var digits = Int((mantissa * 100).rounded())
  if digits == 1000 { (digits, exponent) = (100, exponent + 1) }
  // A little more than 1 is more than 1.
  if digits == 100, exponent == 0, value.magnitude > 1 { return "\(value)" }
  let (whole, part) = (digits / 100, digits % 100)
  let sign = value < 0 ? "-" : ""
  func trimmed(_ text: String) -> String {
    var text = text
    while text.last == "0" { text.removeLast() }
    return text.last == "." ? String(text.dropLast()) : text
  }
  guard (-3...4).contains(exponent) else {
    return sign + trimmed("\(whole).\(part < 10 ? "0" : "")\(part)") + "e\(exponent)"
  }
  if exponent >= 2 {
    return sign + "\(digits)" + String(repeating: "0", count: exponent - 2)
  }
  let text = exponent < 0 ? String(repeating: "0", count: -exponent) + "\(digits)" : "\(digits)"
  let point = text.index(text.startIndex, offsetBy: max(1, exponent + 1))
  return sign + trimmed(text[..<point] + "." + text[point...])
}
