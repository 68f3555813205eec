import Networks
import RNNEngine
import Tensors

extension FixtureEvidence {
  /// The numbers under names of a fixture (`outputs/h_n`), with their shapes.
  typealias Named = [(name: String, shape: [Int], numbers: [Double])]

  /// What a cause has to explain; `nil` where the network is beyond the reference (dropout in training).
  init?(
    _ fixture: Fixture, _ numbers: Named, dtype: DType, options: VerificationOptions
  ) throws {
    let run = try FixtureRun<Double>(fixture, fixture.network(), options)
    guard (2...3).contains(run.x.shape.count), run.x.count > 0 else { return nil }
    let baseline = try Trial(run)
    guard baseline.isConsistent else { return nil }
    let factor =
      4 * (1 + Double(baseline.steps * baseline.configuration.hiddenSize).squareRoot() / 64)
    let stated = fixture.configuration.tolerances(of: dtype, options)
    let forward = Self.wider(stated.forward, .forward(dtype))
    let gradient = Self.wider(stated.gradient, .gradient(dtype))
    let drift = dtype == .f64 ? [:] : Self.drift(fixture, run, options)
    var outputs: [ExpectedNumbers] = []
    var gradients: [ExpectedGradient] = []
    var untried: [String] = []
    for one in numbers where one.shape.reduce(1, *) == one.numbers.count {
      let largest = one.numbers.reduce(0) { $1.isFinite ? max($0, $1.magnitude) : $0 }
      let parts = one.name.split(separator: "/", maxSplits: 1).map(String.init)
      switch parts[0] {
      case "outputs", "states":
        let name = parts[0] == "states" ? one.name : parts[1]
        guard name != "states/c" else { continue }
        outputs.append(
          ExpectedNumbers(
            name: name, shape: one.shape, numbers: one.numbers,
            allowed: factor * (forward.absolute + forward.relative * largest)
              + 8 * (drift[name] ?? drift["output"] ?? 0), relative: factor * forward.relative))
      case "grads":
        guard let target = Self.target(parts[1], run, baseline) else {
          untried.append(one.name)
          continue
        }
        gradients.append(
          ExpectedGradient(
            name: parts[1], numbers: one.numbers, target: target,
            allowed: factor
              * (gradient.absolute
                + (gradient.relativeToMaximum + gradient.relative) * max(largest, 1e-300))))
      default: untried.append(one.name)
      }
    }
    guard fixture.configuration.dropoutSeed == nil,
      let result = try Self.result(run, baseline, outputs)
    else { return nil }
    self.init(
      run: run, baseline: baseline, outputs: outputs, gradients: gradients, untried: untried,
      baselineResult: result, firstRow: Self.firstRow(baseline, outputs, result))
    guard agreesWithEngine() else { return nil }
  }

  private static func wider(_ a: Tolerance, _ b: Tolerance) -> Tolerance {
    Tolerance(
      relative: max(a.relative, b.relative), absolute: max(a.absolute, b.absolute),
      relativeToMaximum: max(a.relativeToMaximum, b.relativeToMaximum))
  }

  /// How far single precision lies from double on this network.
  private static func drift(
    _ fixture: Fixture, _ run: FixtureRun<Double>, _ options: VerificationOptions
  ) -> [String: Double] {
    guard let narrow = try? FixtureRun<Float>(fixture, run.network, options).forward(),
      let wide = try? run.forward()
    else { return [:] }
    func distance(_ a: NDArray<Float>?, _ b: NDArray<Double>?) -> Double {
      let worst = zip(a?.elements ?? [], b?.elements ?? []).reduce(0) {
        max($0, (Double($1.0) - $1.1).magnitude)
      }
      return worst.isFinite ? worst : 0
    }
    return [
      "output": distance(narrow.recurrent.output, wide.recurrent.output),
      "h_n": distance(narrow.recurrent.hN, wide.recurrent.hN),
      "c_n": distance(narrow.recurrent.cN, wide.recurrent.cN),
      "logits": distance(narrow.logits, wide.logits),
    ]
  }

  private static func target(
    _ key: String, _ run: FixtureRun<Double>, _ trial: Trial<Double>
  ) -> ExpectedGradient.Target? {
    switch key {
    case "x": return run.tokens == nil ? .x : nil
    case "h_0": return .h0
    case "c_0": return .c0
    default:
      guard let stored = run.network.recognition.tensors.first(where: { $0.name.string == key })
      else { return nil }
      let places = run.places(stored, trial)
      return places.contains { $0.index >= 0 } ? .weights(places) : nil
    }
  }
}
