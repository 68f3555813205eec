import Tensors
import Testing

@testable import RNNEngine

/// Values from torch 2.13 in double precision (torch.nn.functional on the formulas below).
@Suite("Losses and their gradients are PyTorch's")
struct LossTests {
  private let shape = [3, 2, 4]
  private var logits: NDArray<Double> { numbers { Double(($0 * 37) % 23 - 11) / 7 } }
  private var values: Targets<Double> { .values(numbers { Double(($0 * 17) % 11) / 10 }) }
  private let classes = Targets<Double>.classes([0, 3, 2, -100, 1, 1], shape: [3, 2])
  private var probabilities: Targets<Double> {
    var array = numbers { Double(($0 * 29) % 13 + 1) / 13 }
    for row in 0..<6 {
      let sum = array.elements[row * 4..<row * 4 + 4].reduce(0, +)
      for column in row * 4..<row * 4 + 4 { array.elements[column] /= sum }
    }
    return .values(array)
  }

  private func numbers(_ value: (Int) -> Double) -> NDArray<Double> {
    NDArray(trusted: [3, 2, 4], (0..<24).map(value))
  }

  /// Compares the value, Σ (i+1)·gradient[i], and one element of the gradient.
  private func check(
    _ loss: Loss, _ targets: Targets<Double>, _ value: Double, _ weighted: Double, _ single: Double
  ) throws {
    let (found, gradient) = try loss.evaluate(logits: logits, targets: targets)
    let sum = gradient.elements.enumerated().reduce(0) { $0 + Double($1.0 + 1) * $1.1 }
    #expect(abs(found - value) < 1e-13 * abs(value))
    #expect(abs(sum - weighted) < 1e-12 * max(1, abs(weighted)))
    #expect(abs(gradient.elements[10] - single) < 1e-14)
  }

  @Test func crossEntropyAgreesWithTorch() throws {
    try check(
      .crossEntropy(), classes, 2.2861165101145993, 0.12938532281888482, -0.19202895406786663)
    try check(
      .crossEntropy(reduction: .sum), classes, 11.430582550572996, 0.6469266140944221,
      -0.9601447703393331)
    try check(
      .crossEntropy(labelSmoothing: 0.1), classes, 2.2332593672574568, 0.11938532281888448,
      -0.17702895406786662)
    try check(
      .crossEntropy(reduction: .sum, labelSmoothing: 0.1), classes, 11.166296836287282,
      0.5969266140944214, -0.8851447703393331)
    try check(
      .crossEntropy(), probabilities, 1.6978063164716908, 0.06778798770288241,
      -0.02422165925408638)
    try check(
      .crossEntropy(reduction: .sum, labelSmoothing: 0.1), probabilities, 10.233112936924208,
      0.35050101702316994, -0.15181143700599975)
  }

  @Test func weightedLossesAgreeWithTorch() throws {
    let weights = [0.5, 2, 0.25, 1.5]
    try check(
      .crossEntropy(weights: weights), classes, 1.8237007959657103, 0.03857728692450596,
      -0.03840579081357332)
    try check(
      .crossEntropy(labelSmoothing: 0.1, weights: weights), classes, 1.790364905443166,
      0.02471731067165986, -0.03488767282798466)
    try check(
      .crossEntropy(reduction: .sum, labelSmoothing: 0.1, weights: weights), classes,
      11.189780659019789, 0.15448319169789126, -0.2180479551749041)
    try check(
      .crossEntropy(weights: weights), probabilities, 1.72980977085626, -0.20955748093414872,
      -0.0019960858666018175)
    try check(
      .crossEntropy(labelSmoothing: 0.1, weights: weights), probabilities, 1.7406905505106227,
      -0.20698110765042887, -0.002132374254700659)
    try check(
      .bceWithLogits(positiveWeights: weights), values, 0.8641760847574319, -0.3554719292616291,
      0.00043174728562958217)
    try check(
      .bceWithLogits(reduction: .sum, positiveWeights: weights), values, 20.740226034178367,
      -8.5313263022791, 0.010361934855109972)
  }

  @Test func elementwiseLossesAgreeWithTorch() throws {
    try check(
      .bceWithLogits(), values, 0.7935093816889043, -0.1547427282637437, -0.011809204342992671)
    try check(
      .bceWithLogits(reduction: .sum), values, 19.044225160533703, -3.713825478329852,
      -0.2834209042318241)
    try check(.mse(), values, 1.3397448979591837, -13.336904761904758, -0.1488095238095238)
    try check(
      .mse(reduction: .sum), values, 32.15387755102041, -320.0857142857143, -3.5714285714285716)
  }

  @Test func meanOverBatchDividesTheSumByN() throws {
    for (loss, sum) in [
      (Loss.crossEntropy(reduction: .meanOverBatch), 11.430582550572996)
    ] {
      #expect(abs(try loss.evaluate(logits: logits, targets: classes).value - sum / 2) < 1e-13)
      let batchFirst = try loss.evaluate(logits: logits, targets: classes, batchFirst: true).value
      #expect(abs(batchFirst - sum / 3) < 1e-13)
    }
    let mse = try Loss.mse(reduction: .meanOverBatch).evaluate(logits: logits, targets: values)
    #expect(abs(mse.value - 32.15387755102041 / 2) < 1e-13)
  }

  @Test(arguments: Reduction.allCases, Loss.Steps.allCases)
  func gradientsAgreeWithFiniteDifferences(_ reduction: Reduction, _ steps: Loss.Steps) throws {
    for batchFirst in [false, true] {
      let (rows, cut) = batchFirst ? ([3], [3, 4]) : ([2], [2, 4])
      var random = SplitMix64(state: 21)
      let target: NDArray<Double> = random.array(steps == .all ? shape : cut)
      let indices: Targets<Double> =
        steps == .all
        ? classes : .classes(Array([2, -100, 3].prefix(rows[0])), shape: rows)
      let cases: [(Loss, Targets<Double>)] = [
        (.crossEntropy(reduction: reduction, labelSmoothing: 0.2, steps: steps), indices),
        (.crossEntropy(reduction: reduction, steps: steps), .values(target)),
        (.bceWithLogits(reduction: reduction, steps: steps), .values(target)),
        (.mse(reduction: reduction, steps: steps), .values(target)),
        (
          .crossEntropy(
            reduction: reduction, labelSmoothing: 0.2, steps: steps, weights: [0.5, 2, 0.25, 1.5]),
          indices
        ),
        (
          .bceWithLogits(
            reduction: reduction, steps: steps, positiveWeights: [0.5, 2, 0.25, 1.5]),
          .values(target)
        ),
      ]
      for (loss, targets) in cases {
        let found = try loss.evaluate(logits: logits, targets: targets, batchFirst: batchFirst)
        let expected = try differences(logits) {
          try loss.evaluate(logits: $0, targets: targets, batchFirst: batchFirst).value
        }
        #expect(deviation(found.gradLogits, from: expected) < 1e-8, "\(loss)")
        // With `last`, exactly the other steps' gradients vanish.
        let live = found.gradLogits.elements.indices.filter { found.gradLogits.elements[$0] != 0 }
        if steps == .last {
          let isLast = { (index: Int) in batchFirst ? index / 4 % 2 == 1 : index / 8 == 2 }
          #expect(live.allSatisfy(isLast) && !live.isEmpty)
        }
      }
    }
  }

  @Test func everythingIgnored() throws {
    let ignored = Targets<Double>.classes([-100, -100], shape: [2])
    let logits = try NDArray(shape: [2, 3], elements: [1.0, 2, -1, 0.5, 0.25, 3])
    let mean = try Loss.crossEntropy(labelSmoothing: 0.1).evaluate(logits: logits, targets: ignored)
    #expect(mean.value.isNaN)
    #expect(mean.gradLogits == NDArray(zeros: [2, 3]))
    let sum = try Loss.crossEntropy(reduction: .sum).evaluate(logits: logits, targets: ignored)
    #expect(sum.value == 0)
  }

  @Test func binaryCrossEntropyIsStable() throws {
    let logits = try NDArray<Float>(shape: [2, 1], elements: [100, -100])
    let wrong = try NDArray<Float>(shape: [2, 1], elements: [0, 1])
    let (sum, gradient) = try Loss.bceWithLogits(reduction: .sum).evaluate(
      logits: logits, targets: .values(wrong))
    #expect(sum == 200)
    #expect(gradient.elements == [1, -1])
  }

  @Test func crossEntropyIsStable() throws {
    let logits = try NDArray<Float>(shape: [1, 3], elements: [1e4, -1e4, -.infinity])
    let loss = Loss.crossEntropy()
    #expect(try loss.evaluate(logits: logits, targets: .classes([0], shape: [1])).value == 0)
    #expect(try loss.evaluate(logits: logits, targets: .classes([1], shape: [1])).value == 2e4)
  }

  @Test func badTargetsAreErrors() throws {
    var squaredWithWeights = Loss.mse()
    squaredWithWeights.weights = [1, 2, 3, 4]
    let loss = Loss.crossEntropy()
    let cases: [(Loss, Targets<Double>, String)] = [
      (loss, .classes([0, 3, 2, 4, 1, 1], shape: [3, 2]), "engine.target-range"),
      (loss, .classes([0, 3, 2, -1, 1, 1], shape: [3, 2]), "engine.target-range"),
      (loss, .classes([0, 3, 2, 0, 1, 1], shape: [2, 3]), "engine.target-shape"),
      (loss, .classes([0, 3, 2], shape: [3, 2]), "engine.target-shape"),
      (.crossEntropy(steps: .last), classes, "engine.target-shape"),
      (.mse(), classes, "engine.target-kind"),
      (.mse(), .values(NDArray(zeros: [2, 3, 4])), "engine.target-shape"),
      (.crossEntropy(labelSmoothing: 2), classes, "engine.label-smoothing"),
      (.crossEntropy(weights: [1, 2, 3]), classes, "engine.class-weights"),
      (.bceWithLogits(positiveWeights: [1]), values, "engine.class-weights"),
      (squaredWithWeights, values, "engine.class-weights"),
    ]
    for (loss, targets, expected) in cases {
      let error = #expect(throws: RecurrentError.self) {
        try loss.evaluate(logits: logits, targets: targets)
      }
      #expect(error?.reason.code == expected)
    }
  }
}
