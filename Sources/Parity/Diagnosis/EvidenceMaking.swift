import Networks
import RNNEngine
import Tensors

extension Evidence {
  /// The numbers under names of a fixture (`outputs/h_n`), with their shapes.
  typealias Named = [(name: String, shape: [Int], numbers: [Double])]

  /// What a cause has to explain; `nil` where the network is beyond the reference (dropout in training).
  init?(
    _ fixture: Fixture, _ numbers: Named, dtype: DType, options: VerificationOptions
  ) throws {
    let run = try FixtureRun<Double>(fixture, fixture.network(), options)
    let baseline = try Trial(run)
    let factor =
      4 * (1 + Double(baseline.steps * baseline.configuration.hiddenSize).squareRoot() / 64)
    let stated = fixture.configuration.tolerances(of: dtype, options)
    let forward = Self.wider(stated.forward, .forward(dtype))
    let gradient = Self.wider(stated.gradient, .gradient(dtype))
    let drift = dtype == .f64 ? [:] : Self.drift(fixture, run, options)
    var outputs: [ExpectedNumbers] = []
    var gradients: [ExpectedGradient] = []
    var untried: [String] = []
    for one in numbers {
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
    self.init(
      run: run, baseline: baseline, outputs: outputs, gradients: gradients, untried: untried,
      cut: Self.cut(baseline, outputs))
    guard try agreesWithEngine() else { return nil }
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

  /// Whether the reference computes what the engine does.
  private func agreesWithEngine() throws -> Bool {
    guard run.fixture.configuration.dropoutSeed == nil, let result = baseline.run(),
      let (_, output) = baseline.tensor("output", of: result, axes: 3)
    else { return false }
    let engine = try run.forward().recurrent.output.elements
    return zip(engine, output).allSatisfy {
      ($0 - $1).magnitude <= 1e-9 * max(1, $0.magnitude) || $0.isNaN || $1.isNaN || $0 == $1
    }
  }

  /// The first steps of the row that shows the deviation, or whole rows where the network looks ahead.
  private static func cut(
    _ trial: Trial<Double>, _ outputs: [ExpectedNumbers]
  ) -> (trial: Trial<Double>, outputs: [ExpectedNumbers])? {
    guard let result = trial.run() else { return nil }
    var rows = [trial.lengths.map { lengths in lengths.indices.min { lengths[$0] < lengths[$1] } ?? 0 } ?? 0]
    let isSequence: (ExpectedNumbers) -> Bool = {
      ["output", "logits"].contains($0.name) && $0.shape.count == trial.xShape.count
    }
    let bySteps = trial.directions == 1 && outputs.contains(where: isSequence)
    let steps = bySteps ? min(3, trial.steps) : trial.steps
    guard bySteps || trial.batch > 1 else { return nil }
    let kept = outputs.filter {
      bySteps ? isSequence($0) : ["output", "logits", "h_n", "c_n"].contains($0.name)
    }
    for expected in outputs {
      guard let (shape, _) = trial.tensor(expected.name, of: result, axes: expected.shape.count) else { continue }
      if shape != expected.shape { return nil }
    }
    if bySteps, let first = kept.first, let (_, computed) = trial.tensor(first.name, of: result, axes: 3) {
      // The row that deviates most in these steps.
      var worst = (row: 0, share: -1.0)
      for row in 0..<trial.batch {
        let offsets = offsets(first.shape, trial, steps, [row])
        let share = offsets.reduce(0.0) {
          max($0, (first.numbers[$1] - computed[$1]).magnitude)
        }
        if share > worst.share { worst = (row, share) }
      }
      rows = [worst.row]
    }
    let cut = kept.map { expected -> ExpectedNumbers in
      let isState = expected.name == "h_n" || expected.name == "c_n"
      var shape = expected.shape
      let offsets: [Int]
      if isState {
        shape[1] = 1
        let width = expected.shape[2]
        offsets = (0..<expected.shape[0]).flatMap { block in
          let start = (block * trial.batch + rows[0]) * width
          return Array(start..<start + width)
        }
      } else if expected.shape.count < trial.xShape.count {
        shape[0] = 1
        let width = expected.shape[1]
        offsets = Array(rows[0] * width..<(rows[0] + 1) * width)
      } else {
        offsets = Self.offsets(expected.shape, trial, steps, rows)
        shape[trial.timeAxis] = steps
        if trial.isBatched { shape[1 - trial.timeAxis] = 1 }
      }
      return ExpectedNumbers(
        name: expected.name, shape: shape, numbers: offsets.map { expected.numbers[$0] },
        allowed: expected.allowed, relative: expected.relative)
    }
    return (trial.cut(steps: steps, rows: rows), cut)
  }

  private static func offsets(
    _ shape: [Int], _ trial: Trial<Double>, _ steps: Int, _ rows: [Int]
  ) -> [Int] {
    let width = shape.last ?? 1
    return rows.flatMap { row in
      (0..<steps).flatMap { step -> [Int] in
        let place = trial.timeAxis == 1 ? row * trial.steps + step : step * trial.batch + row
        return Array(place * width..<(place + 1) * width)
      }
    }
  }
}
