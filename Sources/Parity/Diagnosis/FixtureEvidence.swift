import RNNEngine
import Tensors

/// Numbers that a cause has to explain: those that a fixture expects, or those that a port computed.
struct ExpectedNumbers: Sendable {
  /// The name in the fixture, without `outputs/` or `grads/`.
  let name: String
  let shape: [Int]
  let numbers: [Double]
  /// How far each may lie from what a hypothesis computes.
  let allowed: Double
  let relative: Double

  /// The largest share of what rounding explains, and the largest deviation; infinite for another shape.
  func compare(_ shape: [Int], _ computed: [Double]) -> (share: Double, deviation: Double) {
    guard shape == self.shape || squeezed(shape) == squeezed(self.shape) else {
      return (.infinity, .infinity)
    }
    var (share, deviation) = (0.0, 0.0)
    for (e, c) in zip(numbers, computed) where e != c && !(e.isNaN && c.isNaN) {
      let distance = (e - c).magnitude
      guard distance.isFinite else { return (.infinity, .infinity) }
      share = max(share, distance / bound(e))
      deviation = max(deviation, distance)
    }
    return (share, deviation)
  }

  func bound(_ number: Double) -> Double { allowed + relative * number.magnitude }

  private func squeezed(_ shape: [Int]) -> [Int] {
    let sizes = shape.filter { $0 != 1 }
    return sizes.count <= 1 ? sizes : shape
  }

  /// How many times more than rounding the numbers lie from others, in orders of magnitude, added up: what a
  /// cause that explains them cannot do by chance.
  func evidence(against shape: [Int], _ computed: [Double]) -> (sum: Double, largest: Double) {
    guard shape == self.shape, computed.count == numbers.count else {
      return (numbers.count > 1 ? 12 * Double(numbers.count).squareRoot() : 6, 6)
    }
    var (sum, largest) = (0.0, 0.0)
    for (e, c) in zip(numbers, computed) {
      let distance = (e - c).magnitude
      guard !(e.isNaN && c.isNaN), e.isFinite else { continue }
      let orders = min(8, log10(distance / bound(e)))
      guard orders > 0 else { continue }
      sum += orders
      largest = max(largest, orders)
    }
    return (sum, largest)
  }
}

func log10(_ x: Double) -> Double { x.isFinite ? Double.log(x) / Double.log(10) : 8 }

/// Everything that a cause has to explain, and what it is held against.
struct FixtureEvidence {
  let run: FixtureRun<Double>
  let baseline: Trial<Double>
  /// Under `outputs/`, and `states/h`.
  let outputs: [ExpectedNumbers]
  let gradients: [ExpectedGradient]
  /// Names of what no hypothesis is held against: trained parameters, losses.
  let untried: [String]
  /// What the engine computes, without a mistake.
  let baselineResult: TrialResult<Double>
  /// The row of the batch on which hypotheses are tried first.
  let firstRow: Int

  /// The largest share of what rounding explains, over all outputs; stops at the first tensor beyond it.
  func judge(_ trial: Trial<Double>, isFull: Bool = false) -> (share: Double, deviation: Double) {
    guard let result = trial.run() else { return (.infinity, .infinity) }
    var (share, deviation) = (0.0, 0.0)
    for expected in outputs {
      guard let (shape, computed) = numbers(expected, trial, result) else {
        return (.infinity, .infinity)
      }
      let one = expected.compare(shape, computed)
      (share, deviation) = (max(share, one.share), max(deviation, one.deviation))
      if share > 1, !isFull { break }
    }
    return (share, deviation)
  }

  /// What a trial computes for one of the expected outputs.
  func numbers(
    _ expected: ExpectedNumbers, _ trial: Trial<Double>, _ result: TrialResult<Double>
  ) -> (shape: [Int], [Double])? {
    switch expected.name {
    case "probabilities":
      guard let (shape, logits) = trial.tensor("logits", of: result, axes: expected.shape.count),
        let array = try? NDArray(shape: shape, elements: logits)
      else { return nil }
      return (shape, run.probabilities(of: array).elements)
    case "loss":
      guard let loss = loss(trial, result) else { return nil }
      return (expected.shape, [loss])
    default: return trial.tensor(expected.name, of: result, axes: expected.shape.count)
    }
  }

  private func loss(_ trial: Trial<Double>, _ result: TrialResult<Double>) -> Double? {
    switch run.lossKind {
    case nil: return nil
    case .vectorJacobianProduct?:
      guard let upstream = try? upstream(trial, result) else { return nil }
      return upstream.reduce(0) { sum, one in
        sum + zip(one.gradient, one.values).reduce(0) { $0 + $1.0 * $1.1 }
      }
    case .loss(let loss)?:
      guard let logits = lossInput(trial, result) else { return nil }
      return try? run.model.evaluate(loss, logits, run.targets(), lengths: trial.lengths).value
    }
  }

  private func lossInput(_ trial: Trial<Double>, _ result: TrialResult<Double>) -> NDArray<Double>?
  {
    trial.tensor(trial.hasHead ? "logits" : "output", of: result, axes: trial.xShape.count)
      .flatMap { try? NDArray(shape: $0.shape, elements: $0.1) }
  }

  /// The derivative of the loss by each result, and the result's values.
  private func upstream(
    _ trial: Trial<Double>, _ result: TrialResult<Double>
  ) throws -> [(name: String, gradient: [Double], values: [Double])] {
    let upstream = try run.upstream()
    var list: [(name: String, gradient: [Double], values: [Double])] = []
    for (name, gradient) in [
      ("output", upstream.output), ("h_n", upstream.hN), ("c_n", upstream.cN),
    ] {
      guard let gradient else { continue }
      guard let (shape, values) = trial.tensor(name, of: result, axes: 3), shape == gradient.shape
      else { throw RecurrentError(.fixtureInput, found: "another shape") }
      list.append((name, gradient.elements, values))
    }
    return list
  }

  /// The derivative of the loss in the direction of a trial's tangents; `nil` where there is none.
  func derivative(_ trial: Trial<Dual>) -> Double? {
    guard let result = trial.run() else { return nil }
    let plain = trial.values
    let values = TrialResult<Double>(
      output: result.output.map(\.value), hN: result.hN.map(\.value), cN: result.cN.map(\.value),
      logits: result.logits.map(\.value), states: [])
    func product(_ name: String, _ gradient: [Double]) -> Double? {
      guard let (_, dual) = trial.tensor(name, of: result, axes: trial.xShape.count),
        dual.count == gradient.count
      else { return nil }
      return zip(gradient, dual).reduce(0) { $0 + $1.0 * $1.1.tangent }
    }
    switch run.lossKind {
    case nil: return nil
    case .vectorJacobianProduct?:
      guard let list = try? upstream(plain, values) else { return nil }
      var sum = 0.0
      for one in list {
        guard let part = product(one.name, one.gradient) else { return nil }
        sum += part
      }
      return sum
    case .loss(let loss)?:
      guard let logits = lossInput(plain, values),
        let (_, gradient) = try? run.model.evaluate(
          loss, logits, run.targets(), lengths: plain.lengths)
      else { return nil }
      return product(trial.hasHead ? "logits" : "output", gradient.elements)
    }
  }
}

extension Trial where R == Dual {
  /// The trial without its numbers, for its shapes and options.
  fileprivate var values: Trial<Double> {
    var result = Trial<Double>(
      configuration: configuration, weights: [], classCount: classCount, x: [], xShape: xShape,
      timeAxis: timeAxis, h0: nil, c0: nil, lengths: lengths)
    result.options = options
    return result
  }
}
