import Tensors
import Testing

@testable import RNNEngine

/// Twenty-five steps from the same gradients as PyTorch's optimisers.
@Suite("Optimisers take PyTorch's steps bit for bit")
struct OptimizerTests {
  private static let shapes = [("weight", [37, 5]), ("bias", [23])]

  private static func draw<S: Scalar>(
    _ rng: inout NumPyGenerator, _ type: S.Type, deviation: Double
  ) throws -> Parameters<S> {
    var result = Parameters<S>()
    for (name, shape) in shapes {
      let numbers = try rng.normal(0, deviation, shape: shape)
      result.append(name, try NDArray(shape: shape, elements: numbers.elements.map { S($0) }))
    }
    return result
  }

  /// The parameters after 25 steps; half-way the optimiser is replaced by one with its saved state.
  private static func run<O: Optimizer>(_ optimizer: O) throws -> [O.S] {
    var rng = NumPyGenerator(seed: 77)
    var parameters = try draw(&rng, O.S.self, deviation: 1)
    var current = optimizer
    for step in 0..<25 {
      try current.step(&parameters, gradients: try draw(&rng, O.S.self, deviation: 0.3))
      if step == 12 {
        // As a file would give it, in another order.
        var state = Parameters<O.S>()
        for (name, array) in current.state.entries.reversed() { state.append(name, array) }
        current = optimizer
        try current.restore(state)
      }
    }
    return parameters.entries.flatMap(\.array.elements)
  }

  private static func optimizers<S: Scalar>(_ type: S.Type) -> [String: any Optimizer<S>] {
    [
      "sgd": SGD<S>(learningRate: 0.1),
      "sgdMomentum": SGD<S>(learningRate: 0.05, momentum: 0.9),
      "sgdDampened": SGD<S>(
        learningRate: 0.05, momentum: 0.8, dampening: 0.3, weightDecay: 0.02),
      "sgdNesterov": SGD<S>(learningRate: 0.05, momentum: 0.9, weightDecay: 0.01, nesterov: true),
      "adam": Adam<S>(),
      "adamDecay": Adam<S>(
        learningRate: 3e-3, betas: (0.85, 0.99), epsilon: 1e-7, weightDecay: 0.05),
      "adamMaximum": Adam<S>(learningRate: 3e-3, amsgrad: true),
      "adamW": Adam<S>.adamW(learningRate: 2e-3),
      "rmsprop": RMSprop<S>(weightDecay: 0.01),
      "rmspropCentered": RMSprop<S>(
        learningRate: 3e-3, alpha: 0.9, momentum: 0.8, centered: true),
      "adagrad": Adagrad<S>(
        learningRate: 0.03, learningRateDecay: 0.01, weightDecay: 0.02, initialAccumulator: 0.1),
    ]
  }

  /// Every bit of PyTorch's arithmetic with exact square roots; and as near as its own roots allow, which
  /// are MKL's and depend on the processor.
  private func check<S: Scalar>(
    within gate: S, _ numbers: (_ name: String, _ suffix: String) -> [S]
  ) throws {
    for (name, optimizer) in Self.optimizers(S.self) {
      let found: [S] = try Self.run(optimizer)
      let result = distance(found, numbers(name, ""))
      #expect(result.ulp == 0, "\(name): \(100 * result.equalShare) % equal")
      // No optimiser of this kind takes a root.
      if name.hasPrefix("sgd") { continue }
      let measured = numbers(name, "Measured")
      let worst = zip(found, measured).map { abs($0 - $1) }.reduce(0, max)
      let share = distance(found, measured).equalShare
      #expect(found.count == measured.count && worst <= gate, "\(name): \(worst) apart")
      #expect(share >= 0.75, "\(name): \(100 * share) % equal to what was measured")
    }
  }

  @Test func singlePrecision() throws {
    try check(within: 1e-6 as Float) { GoldenNumbers.random.floats("\($0)Single\($1)") }
  }

  @Test func doublePrecision() throws {
    try check(within: 1e-14) { GoldenNumbers.random.doubles("\($0)Double\($1)") }
  }

  @Test func statesHaveTorchsNames() throws {
    var rng = NumPyGenerator(seed: 1)
    var groups = try [Self.draw(&rng, Double.self, deviation: 1), Parameters()]
    let gradients = groups
    var adam = Adam<Double>(amsgrad: true)
    try adam.step(&groups, gradients: gradients)
    #expect(
      adam.state.names == [
        "step", "0.weight.exp_avg", "0.weight.exp_avg_sq", "0.weight.max_exp_avg_sq",
        "0.bias.exp_avg", "0.bias.exp_avg_sq", "0.bias.max_exp_avg_sq",
      ])
    #expect(adam.state["step"]?.elements == [1])
    #expect(adam.state["0.weight.exp_avg"]?.shape == [37, 5])
  }

  @Test func wrongStatesAndOptionsChangeNothing() throws {
    var rng = NumPyGenerator(seed: 1)
    var parameters = try Self.draw(&rng, Float.self, deviation: 1)
    let gradients = parameters
    let before = parameters.entries.flatMap(\.array.elements)
    func refused<O: Optimizer>(_ optimizer: O, _ reason: String) where O.S == Float {
      var optimizer = optimizer
      let error = #expect(throws: RecurrentError.self) {
        try optimizer.step(&parameters, gradients: gradients)
      }
      #expect(error?.reason.code == reason)
      #expect(sameBits(parameters.entries.flatMap(\.array.elements), before))
    }
    refused(SGD(learningRate: -1), "engine.optimizer-option")
    refused(SGD(learningRate: .nan), "engine.optimizer-option")
    refused(SGD(momentum: 0.9, dampening: 0.1, nesterov: true), "engine.optimizer-option")
    refused(Adam(betas: (1, 0.9)), "engine.optimizer-option")
    refused(RMSprop(epsilon: -1), "engine.optimizer-option")
    refused(Adagrad(weightDecay: -1), "engine.optimizer-option")

    var adam = Adam<Float>()
    try adam.step(&parameters, gradients: gradients)
    var state = adam.state
    #expect(throws: RecurrentError.self) { try adam.restore(Parameters()) }
    state["step"] = try NDArray(shape: [1], elements: [1.5])
    #expect(throws: RecurrentError.self) { try adam.restore(state) }
    state["step"] = try NDArray(shape: [1], elements: [3])
    state["0.bias.exp_avg"] = NDArray(zeros: [22])
    try adam.restore(state)
    let after = parameters.entries.flatMap(\.array.elements)
    let error = #expect(throws: RecurrentError.self) {
      try adam.step(&parameters, gradients: gradients)
    }
    #expect(error?.reason.code == "engine.optimizer-state")
    #expect(sameBits(parameters.entries.flatMap(\.array.elements), after))
    #expect(throws: RecurrentError.self) { try adam.step(&parameters, gradients: Parameters()) }
  }
}
