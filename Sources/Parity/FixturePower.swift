import Bytes
import Containers
import Frameworks
import Networks
import RNNEngine
import Tensors

/// How small a change of one weight a fixture would notice, tensor by tensor.
///
/// To first order: an expected number e with an allowed deviation a(e) notices a change δ of the weight w where
/// |∂e/∂w|·δ > a(e). So w is noticed from δ(w) = 1 / max over e of |∂e/∂w| / a(e) on. The derivatives are differences of two runs in
/// Double, whatever the type of the weights: those see changes that the fixture's own type rounds away. Then the weight is
/// really changed, in the fixture's type, up and down, from δ(w) on until verification fails both ways: this δ is
/// reported, and includes what the fixture's own deviations use of the tolerance, curvature and rounding.
package struct FixturePower: Sendable {
  /// The smallest noticed change of one weight.
  package struct Threshold: Sendable {
    /// The weight.
    package let place: ElementPlace
    /// The change; infinite where even a hundred times the largest weight goes unnoticed.
    package let change: Double
    /// The same, divided by the largest magnitude in the tensor.
    package let relative: Double
    /// The expected tensor that notices.
    package let noticedBy: String?
  }

  /// One tensor of weights.
  package struct Entry: Sendable {
    package let name: String
    /// The largest magnitude in it.
    package let scale: Double
    package let elementCount: Int
    /// The elements that were looked at.
    package let examinedCount: Int
    package let mostVisible: Threshold
    /// Half of the elements looked at are more visible than this one.
    package let typical: Threshold
    package let leastVisible: Threshold
    /// Whether a change of ``FixturePower/coarseFrom`` of the largest weight would not be noticed everywhere.
    package var isCoarse: Bool { leastVisible.relative > FixturePower.coarseFrom }
  }

  /// A change of this share of the largest weight should not go unnoticed.
  package static let coarseFrom = 0.01
  /// At most so many elements of a tensor are looked at, and fewer, but never less than four, of large networks.
  static let mostElements = 64

  /// The tensors of weights, in the order of the network.
  package let entries: [Entry]
  /// What would make the fixture notice more; empty where it notices enough.
  package let advice: [String]

  /// Measures a fixture that passes; throws `parity.difference` for one that does not.
  package init(_ fixture: Fixture, options: VerificationOptions = .init()) throws {
    let probe = try WeightProbe(fixture, options)
    let names = try fixture.network().recognition.tensors
    let architecture = try fixture.network().architecture
    entries = try names.compactMap { stored in
      guard let tensor = fixture.weights[stored.name], tensor.elementCount > 0 else { return nil }
      let values = try tensor.doubles()
      let scale = values.lazy.filter(\.isFinite).map(\.magnitude).max() ?? 0
      let offsets = Self.sample(values.count, probe.sampleCount(tensors: names.count))
      let seen = try offsets.map { offset in
        (offset, try probe.visibility(of: stored.name, offset, scale: scale))
      }.sorted { $0.1 > $1.1 }
      func threshold(_ seen: (offset: Int, visibility: Double)) throws -> Threshold {
        let (change, noticedBy) = try probe.threshold(
          of: stored.name, seen.offset, from: 1 / seen.visibility, scale: scale)
        return Threshold(
          place: ElementPlace(
            offset: seen.offset, shape: tensor.shape, stored: stored, in: architecture),
          change: change, relative: scale > 0 ? change / scale : .infinity, noticedBy: noticedBy)
      }
      return Entry(
        name: stored.name.string, scale: scale, elementCount: values.count,
        examinedCount: offsets.count, mostVisible: try threshold(seen[0]),
        typical: try threshold(seen[seen.count / 2]),
        leastVisible: try threshold(seen[seen.count - 1]))
    }
    advice = entries.contains(where: \.isCoarse) ? Self.advice(fixture) : []
  }

  /// Elements spread over the tensor so that no row, column or gate is preferred; the same every time.
  static func sample(_ count: Int, _ most: Int) -> [Int] {
    guard count > most else { return Array(0..<count) }
    let golden = 0.6180339887498949
    var seen: Set<Int> = []
    return (0..<most).compactMap { step in
      let place = ((Double(step) + 0.5) * golden).truncatingRemainder(dividingBy: 1)
      let index = min(count - 1, Int(place * Double(count)))
      return seen.insert(index).inserted ? index : nil
    }
  }

  private static func advice(_ fixture: Fixture) -> [String] {
    var lines: [String] = []
    if !fixture.weights.entries.allSatisfy({ $0.tensor.dtype == .f64 }) {
      lines.append("capture in double precision: its tolerance is 10,000 times narrower")
    }
    if fixture.gradients.count == 0 {
      lines.append("expect gradients: they depend on every weight in another way")
    }
    let shape = fixture.inputs["x"]?.shape ?? []
    let steps = shape.count > 1 && fixture.configuration.batchFirst ? shape[1] : shape.first ?? 0
    if steps < 20 { lines.append("take more steps (\(steps) now), and an initial state") }
    lines.append("take other inputs: larger ones, and every token id")
    return lines
  }
}

/// Runs a fixture with one weight changed.
private struct WeightProbe {
  let fixture: Fixture
  let options: VerificationOptions
  /// The same with weights in Double, which computes in Double.
  let wide: Fixture
  /// What each expected number may be off by, and what is computed in Double, tensor by tensor.
  let allowed: [String: [Double]]
  let computed: [String: [Double]]

  init(_ fixture: Fixture, _ options: VerificationOptions) throws {
    var options = options
    self.fixture = fixture
    self.options = options
    options.keepsNumbers = true
    let checks = try fixture.examine(options: options).checks
    if let check = checks.first(where: { !$0.passes }) {
      throw RecurrentError(
        .parityDifference, at: "tensor \"\(check.tensor)\"", found: check.summary,
        expected: "a fixture that passes, because only such a one can notice a change")
    }
    var wide = fixture
    wide.weights = try fixture.weights.mapTensors { try $0.converted(to: .f64).0 }
    self.wide = wide
    var allowed: [String: [Double]] = [:]
    for check in checks {
      guard let numbers = check.numbers else { continue }
      allowed[check.tensor] = numbers.expected.map {
        numbers.tolerance.allowed(expected: $0, maximum: numbers.maximum)
      }
    }
    self.allowed = allowed
    computed = try Self.numbers(wide)
  }

  private static func numbers(_ fixture: Fixture) throws -> [String: [Double]] {
    var result: [String: [Double]] = [:]
    // As computed: nothing is judged here, so nothing is computed again.
    for check in try fixture.computed(fixture.network(), .init()).checks {
      if let numbers = check.numbers { result[check.tensor] = numbers.computed }
    }
    return result
  }

  /// How many elements of every tensor are looked at: fewer, the more a run costs.
  func sampleCount(tensors: Int) -> Int {
    let parameters = fixture.weights.entries.reduce(0.0) { $0 + Double($1.tensor.elementCount) }
    let x = fixture.inputs["x"]
    let width = x.map { $0.dtype.isFloatingPoint ? $0.shape.last ?? 1 : 1 } ?? 1
    let vectors = Double((x?.elementCount ?? 1) / max(1, width))
    let updates = Double(max(1, fixture.configuration.optimizer?.steps ?? 1))
    let work = parameters * vectors * updates * 6 * Double(max(1, tensors))
    return max(4, min(FixturePower.mostElements, Int(min(1e6, 4e10 / max(1, work)))))
  }

  /// The largest |∂e/∂w| / a(e) over all expected numbers e.
  func visibility(of name: Name, _ offset: Int, scale: Double) throws -> Double {
    let step = 1e-6 * (scale > 0 ? scale : 1)
    let changed = try Self.numbers(change(wide, name, offset, by: step) ?? wide)
    var largest = 0.0
    for (tensor, numbers) in changed {
      guard let before = computed[tensor], let allowed = allowed[tensor],
        numbers.count == before.count
      else { continue }
      for (index, number) in numbers.enumerated() {
        let slope = (number - before[index]).magnitude / step
        guard slope > 0, slope.isFinite else { continue }
        largest = max(largest, slope / allowed[index])
      }
    }
    return largest
  }

  /// The smallest change that is really noticed, up and down, to about a tenth, and what notices it.
  func threshold(
    of name: Name, _ offset: Int, from estimate: Double, scale: Double
  ) throws -> (change: Double, noticedBy: String?) {
    let unit = scale > 0 ? scale : 1
    var high = estimate.isFinite && estimate > 0 ? min(estimate, 100 * unit) : 1e-3 * unit
    var low: Double
    if try noticed(name, offset, high) != nil {
      low = high / 2
      while try noticed(name, offset, low) != nil, low > 1e-20 * unit {
        (high, low) = (low, low / 2)
      }
    } else {
      low = high
      repeat {
        guard high < 100 * unit else { return (.infinity, nil) }
        (low, high) = (high, high * 2)
      } while try noticed(name, offset, high) == nil
    }
    for _ in 0..<3 {
      let middle = (low * high).squareRoot()
      if try noticed(name, offset, middle) != nil { high = middle } else { low = middle }
    }
    return (high, try noticed(name, offset, high))
  }

  /// The expected tensor that is furthest out of tolerance with the weight changed, if it is whichever way it is changed.
  private func noticed(_ name: Name, _ offset: Int, _ change: Double) throws -> String? {
    var worst: Check?
    for sign in [1.0, -1.0] {
      guard let changed = try self.change(fixture, name, offset, by: sign * change) else {
        return nil
      }
      let failing = try changed.examine(options: options).checks.filter { !$0.passes }
      guard let check = failing.max(by: { $0.toleranceUsed < $1.toleranceUsed }) else {
        return nil
      }
      worst = check
    }
    return worst?.tensor
  }

  /// The fixture with one weight changed; `nil` where the change vanishes in the type of the weights.
  private func change(
    _ fixture: Fixture, _ name: Name, _ offset: Int, by change: Double
  ) throws -> Fixture? {
    var result = fixture
    var isChanged = false
    var weights = StateDict()
    weights.metadata = fixture.weights.metadata
    for entry in fixture.weights.entries {
      guard entry.name == name else {
        try weights.append(entry.name, entry.tensor)
        continue
      }
      let before = try entry.tensor.doubles()
      var values = before
      values[offset] += change
      let tensor = try Tensor.make(values, shape: entry.tensor.shape)
        .converted(to: entry.tensor.dtype).0
      isChanged = try tensor.doubles()[offset] != before[offset]
      try weights.append(name, tensor)
    }
    result.weights = weights
    return isChanged ? result : nil
  }
}

extension FixturePower {
  /// Measures a fixture file; errors say the file.
  package static func measured(_ path: String, options: VerificationOptions = .init()) throws -> (
    name: String?, power: FixturePower
  ) {
    let file = try WeightFile(path: path)
    do {
      let fixture = try Fixture(file.state)
      return (fixture.configuration.name, try FixturePower(fixture, options: options))
    } catch let error as RecurrentError {
      throw error.inFile(path)
    }
  }
}
