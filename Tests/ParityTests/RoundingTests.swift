import Conversion
import Foundation
import Recurrent
import TestSupport
import Testing

@testable import Parity

@Suite("Rounding explains what other orders of adding change, and nothing else")
struct RoundingTests {
  /// What differs from case to case.
  struct Sizes: CustomTestStringConvertible {
    var cell = Cell.lstm
    var hidden = 5
    var layers = 2
    var bidirectional = true
    var projection = 0
    var reset = GRUReset.after
    var scale = 0.4
    var testDescription: String { "\(cell) \(hidden) \(layers) \(bidirectional) \(projection)" }
  }

  private func network<S: Scalar>(_ sizes: Sizes, _ type: S.Type = S.self) throws -> RNN<S> {
    let configuration = RecurrentConfiguration(
      cell: sizes.cell, inputSize: 3, hiddenSize: sizes.hidden, layerCount: sizes.layers,
      bidirectional: sizes.bidirectional, projSize: sizes.projection, gruReset: sizes.reset)
    var generator = ProbeGenerator(seed: 7)
    var parameters = Parameters<S>()
    for (name, shape) in configuration.parameterShapes {
      let numbers = try generator.array(shape)
      parameters.append(
        name,
        try NDArray(shape: shape, elements: numbers.elements.map { S(Float($0 * sizes.scale)) }))
    }
    return try RNN(configuration, parameters: parameters)
  }

  /// A fixture of what `reference` computes, with the weights of `rnn`.
  private func fixture<S: Scalar>(
    of rnn: RNN<S>, steps: Int, tolerance: String = "",
    by reference: (RNN<S>, NDArray<S>) throws -> RecurrentOutput<S>
  ) throws -> Fixture {
    let configuration = rnn.configuration
    var generator = ProbeGenerator(seed: 11)
    let x = try generator.array([steps, 2, configuration.inputSize]).map { S(Float($0)) }
    let expected = try reference(rnn, x)
    let reset = configuration.cell == .gru ? ", \"gru_reset\": \"\(configuration.gruReset)\"" : ""
    let text = "{\"schema\": 1, \"cell\": \"\(configuration.cell.rawValue)\"\(reset)\(tolerance)}"
    var state = StateDict()
    try state.append(
      "config", Tensor(dtype: .u8, shape: [text.utf8.count], bytes: Array(text.utf8)))
    for (name, array) in rnn.parameters.entries {
      try state.append(Name("weights/\(name)"), array.tensor)
    }
    try state.append("inputs/x", x.tensor)
    try state.append("outputs/output", expected.output.tensor)
    try state.append("outputs/h_n", expected.hN.tensor)
    return try Fixture(state)
  }

  static let kinds: [Sizes] = [
    Sizes(), Sizes(cell: .gru, hidden: 4, reset: .after), Sizes(cell: .gru, reset: .before),
    Sizes(cell: .rnnTanh, hidden: 7, layers: 3, bidirectional: false),
    Sizes(cell: .rnnRelu, layers: 1), Sizes(hidden: 6, layers: 3, projection: 2),
  ]

  @Test(arguments: kinds) func anotherOrderOfTheUnitsIsTheSameFunction(_ sizes: Sizes) throws {
    let rnn = try network(sizes, Double.self)
    let configuration = rnn.configuration
    var generator = ProbeGenerator(seed: 3)
    let count = configuration.layerCount * configuration.directionCount
    let x = try generator.array([6, 2, configuration.inputSize])
    let h0 = try generator.array([count, 2, configuration.stateSize])
    let c0 =
      sizes.cell == .lstm ? try generator.array([count, 2, configuration.hiddenSize]) : nil
    let head = try Linear<Double>(
      weight: generator.array([4, configuration.outputSize]), bias: generator.array([4]))
    let model = try Model(rnn: rnn, head: head)
    let order = HiddenOrder<Double>(configuration, seed: 5)
    let other = try order.arranged(model)
    #expect(other.rnn.parameters["weight_hh_l0"] != rnn.parameters["weight_hh_l0"])
    let loss = Loss.mse()
    let targets = Targets.values(try generator.array([6, 2, 4]))
    let expected = try model.backward(
      x, state: .init(h: h0, c: c0), targets: targets, loss: loss)
    let found = try other.backward(
      x,
      state: .init(
        h: order.arranged(states: h0), c: c0.map { order.arranged(states: $0, areCells: true) }),
      targets: targets, loss: loss)
    let back = order.inverse
    func check(_ one: NDArray<Double>?, _ two: NDArray<Double>?) throws {
      guard let one, let two else {
        #expect(one == nil && two == nil)
        return
      }
      #expect(one.shape == two.shape)
      #expect(zip(one.elements, two.elements).allSatisfy { abs($0 - $1) < 1e-12 })
    }
    try check(back.arranged(output: found.forward.output), expected.forward.output)
    try check(back.arranged(states: found.forward.hN), expected.forward.hN)
    try check(
      found.forward.cN.map { back.arranged(states: $0, areCells: true) }, expected.forward.cN)
    try check(found.forward.logits, expected.forward.logits)
    try check(back.arranged(states: found.h0), expected.h0)
    try check(found.c0.map { back.arranged(states: $0, areCells: true) }, expected.c0)
    for (one, two) in zip(back.arranged(found.parameterGroups), expected.parameterGroups) {
      #expect(one.names == two.names)
      for name in two.names { try check(one[name], two[name]) }
    }
  }

  /// What another implementation computes: the same network, with its units in an order of its own.
  private func otherwise<S>(_ rnn: RNN<S>, _ x: NDArray<S>) throws -> RecurrentOutput<S> {
    let order = HiddenOrder<S>(rnn.configuration, seed: 99)
    return try order.inverse.arranged(order.arranged(Model(rnn: rnn)).rnn(x))
  }

  static let chaotic: [Sizes] = [
    Sizes(cell: .rnnTanh, hidden: 96, layers: 1, bidirectional: false, scale: 0.3),
    Sizes(cell: .gru, hidden: 128, layers: 1, bidirectional: false, scale: 0.5),
    Sizes(cell: .lstm, hidden: 128, layers: 1, bidirectional: false, scale: 0.7),
  ]

  @Test(arguments: chaotic) func aChaoticNetworkPassesAndSaysHowItGrows(_ sizes: Sizes) throws {
    let fixture = try fixture(of: network(sizes, Float.self), steps: 60, by: otherwise)
    let (checks, remarks) = try fixture.examine(options: .init())
    #expect(checks.allSatisfy { $0.passes })
    #expect(checks.contains { $0.deviationClass == .amplified })
    #expect(remarks.contains { $0.contains("rounding is amplified") && $0.contains("per step") })
    // Without the budget it would not pass.
    let strict = VerificationOptions(relative: 1.3e-6, absolute: 2e-6)
    #expect(try !fixture.examine(options: strict).checks.allSatisfy { $0.passes })
  }

  @Test func chaosInDoublePassesToo() throws {
    var sizes = Self.chaotic[0]
    sizes.scale = 0.6
    let fixture = try fixture(of: network(sizes, Double.self), steps: 80, by: otherwise)
    let checks = try fixture.examine(options: .init()).checks
    #expect(checks.allSatisfy { $0.passes })
    #expect(checks.contains { $0.deviationClass == .amplified })
  }

  @Test(arguments: chaotic) func oneWeightThatDiffersIsADifference(_ sizes: Sizes) throws {
    let fixture = try fixture(of: network(sizes, Float.self), steps: 60) { rnn, x in
      var parameters = rnn.parameters
      parameters["weight_hh_l0"]?.elements[17] += 1e-3
      return try otherwise(RNN(rnn.configuration, parameters: parameters), x)
    }
    let checks = try fixture.examine(options: .init()).checks
    let output = try #require(checks.first { $0.tensor == "outputs/output" })
    #expect(output.deviationClass == .difference && !output.passes)
    #expect((output.firstStep ?? 99) < 20)
  }

  @Test func aStatedToleranceWins() throws {
    let stated = ", \"tolerance\": {\"forward\": {\"rtol\": 1.3e-6, \"atol\": 2e-6}}"
    let fixture = try fixture(
      of: network(Self.chaotic[0], Float.self), steps: 60, tolerance: stated, by: otherwise)
    #expect(try !fixture.examine(options: .init()).checks.allSatisfy { $0.passes })
  }

  @Test func aPortIsJudgedByTheSameBudget() throws {
    let rnn = try network(Self.chaotic[0], Float.self)
    let fixture = try fixture(of: rnn, steps: 60) { try $0($1) }
    let x: NDArray<Float> = try fixture.array("inputs/x")
    let right = try otherwise(rnn, x)
    var wrong = right
    wrong.output.elements[5] += 1e-3
    for (result, passes) in [(right, true), (wrong, false)] {
      let checks = try fixture.judged(
        fixture.checks(
          of: ["outputs/output": result.output], tensors: ["outputs/output"], options: .init()),
        .init())
      #expect(checks.allSatisfy { $0.passes } == passes)
    }
  }

  @Test func equalNumbersAreExactAndNearOnesRounding() throws {
    let rnn = try network(Sizes(), Float.self)
    let exact = try fixture(of: rnn, steps: 6) { try $0($1) }
    let near = try fixture(of: rnn, steps: 6, by: otherwise)
    #expect(try exact.examine(options: .init()).checks.allSatisfy { $0.deviationClass == .exact })
    #expect(
      try near.examine(options: .init()).checks.allSatisfy { $0.deviationClass == .rounding })
  }
}
