import Testing

@testable import RNNEngine

struct GradientCase: Sendable, CustomTestStringConvertible {
  let kind: Kind
  let layers: Int
  let bias, batchFirst, bidirectional, isBatched, hasInitialState: Bool

  /// Half of the batched cases are ragged.
  var lengths: [Int]? { isBatched && bias != hasInitialState ? [2, 4, 1] : nil }

  var configuration: RecurrentConfiguration {
    kind.configuration(
      inputSize: 5, hiddenSize: 3, layerCount: layers, bias: bias, batchFirst: batchFirst,
      bidirectional: bidirectional)
  }

  var testDescription: String {
    "\(configuration), batched \(isBatched), states \(hasInitialState), lengths \(lengths ?? [])"
  }

  static let all: [GradientCase] = Kind.allCases.flatMap { kind in
    (1...3).flatMap { layers in
      (0..<32).map { bits in
        func bit(_ index: Int) -> Bool { (bits >> index) & 1 == 1 }
        return GradientCase(
          kind: kind, layers: layers, bias: bit(0), batchFirst: bit(1), bidirectional: bit(2),
          isBatched: bit(3), hasInitialState: bit(4))
      }
    }
  }
}

@Suite("Gradients agree with finite differences")
struct GradientTests {
  @Test func everyCombinationIsCovered() {
    #expect(GradientCase.all.count == 6 * 3 * 32)
    #expect(GradientCase.all.filter { $0.lengths != nil }.count == 6 * 3 * 8)
  }

  @Test(arguments: GradientCase.all)
  func backwardAgreesWithFiniteDifferences(_ example: GradientCase) throws {
    let configuration = example.configuration
    let (steps, batch, lengths) = (4, 3, example.lengths)
    var random = SplitMix64(state: 17)
    // A layer of which every unit rests would put the next one exactly on the kink of relu.
    let center = example.kind == .relu ? 0.2 : 0
    let rnn: RNN<Double> = try random.network(configuration, center: center)
    let shape =
      !example.isBatched
      ? [steps, 5] : configuration.batchFirst ? [batch, steps, 5] : [steps, batch, 5]
    let x: NDArray<Double> = random.array(shape)
    let rows = configuration.layerCount * configuration.directionCount
    func stateShape(_ width: Int) -> [Int] {
      example.isBatched ? [rows, batch, width] : [rows, width]
    }
    let zeroH = NDArray<Double>(zeros: stateShape(configuration.stateSize))
    let zeroC = NDArray<Double>(zeros: stateShape(configuration.hiddenSize))
    let hasCells = configuration.cell.hasCellState
    let h0: NDArray<Double>? = example.hasInitialState ? random.array(zeroH.shape) : nil
    let c0: NDArray<Double>? =
      example.hasInitialState && hasCells ? random.array(zeroC.shape) : nil

    let (result, tape) = try rnn.record(x, h0: h0, c0: c0, lengths: lengths)
    #expect(result == (try rnn(x, h0: h0, c0: c0, lengths: lengths)))
    let gradOutput: NDArray<Double> = random.array(result.output.shape)
    let gradHN: NDArray<Double> = random.array(result.hN.shape)
    let gradCN: NDArray<Double>? = hasCells ? random.array(zeroC.shape) : nil
    func objective(
      _ rnn: RNN<Double>, _ x: NDArray<Double>, _ h0: NDArray<Double>?, _ c0: NDArray<Double>?
    ) throws -> Double {
      let result = try rnn(x, h0: h0, c0: c0, lengths: lengths)
      let sum = dot(result.output, gradOutput) + dot(result.hN, gradHN)
      guard let cN = result.cN, let gradCN else { return sum }
      return sum + dot(cN, gradCN)
    }
    // Every element for one layer; for more, along random directions.
    func check(
      _ found: NDArray<Double>?, at array: NDArray<Double>, _ name: String,
      _ function: (NDArray<Double>) throws -> Double
    ) throws {
      let found = try #require(found)
      if example.layers == 1 {
        let expected = try differences(array, function)
        #expect(deviation(found, from: expected) < 1e-7, "\(name)")
        return
      }
      #expect(try directionalDeviation(found, at: array, &random, function) <= 1e-7, "\(name)")
    }

    let gradients = try rnn.backward(
      tape, gradOutput: gradOutput, gradHN: gradHN, gradCN: gradCN)
    #expect(gradients.parameters.names == configuration.parameterShapes.map(\.name))
    for (name, array) in rnn.parameters.entries {
      try check(gradients.parameters[name], at: array, name) {
        var moved = rnn
        moved.parameters[name] = $0
        return try objective(moved, x, h0, c0)
      }
    }
    try check(gradients.x, at: x, "x") { try objective(rnn, $0, h0, c0) }
    try check(gradients.h0, at: h0 ?? zeroH, "h0") { try objective(rnn, x, $0, c0) }
    if hasCells {
      try check(gradients.c0, at: c0 ?? zeroC, "c0") { try objective(rnn, x, h0, $0) }
    } else {
      #expect(gradients.c0 == nil)
    }
  }

  @Test func omittedUpstreamGradientsAreZero() throws {
    var random = SplitMix64(state: 5)
    let rnn: RNN<Double> = try random.network(
      RecurrentConfiguration(inputSize: 2, hiddenSize: 3, layerCount: 2, bidirectional: true))
    let (result, tape) = try rnn.record(random.array([4, 5, 2]))
    let gradOutput: NDArray<Double> = random.array(result.output.shape)
    let gradHN: NDArray<Double> = random.array(result.hN.shape)
    let zeroOutput = NDArray<Double>(zeros: result.output.shape)
    let zeroHN = NDArray<Double>(zeros: result.hN.shape)
    #expect(
      try rnn.backward(tape, gradOutput: gradOutput).x
        == rnn.backward(tape, gradOutput: gradOutput, gradHN: zeroHN).x)
    #expect(
      try rnn.backward(tape, gradHN: gradHN).h0
        == rnn.backward(tape, gradOutput: zeroOutput, gradHN: gradHN).h0)
    #expect(try rnn.backward(tape).x.elements.allSatisfy { $0 == 0 })
  }

  @Test func twoBiasesGetTheSameGradient() throws {
    var random = SplitMix64(state: 6)
    let rnn: RNN<Float> = try random.network(RecurrentConfiguration(inputSize: 2, hiddenSize: 3))
    let (result, tape) = try rnn.record(random.array([4, 5, 2]))
    let gradients = try rnn.backward(tape, gradOutput: result.output).parameters
    #expect(gradients["bias_ih_l0"] == gradients["bias_hh_l0"])
    #expect(gradients["bias_ih_l0"]?.elements.contains(0) == false)
  }

  @Test func tapeRemembersItsWeights() throws {
    var random = SplitMix64(state: 7)
    var rnn: RNN<Double> = try random.network(RecurrentConfiguration(inputSize: 2, hiddenSize: 3))
    let (result, tape) = try rnn.record(random.array([4, 5, 2]))
    let before = try rnn.backward(tape, gradOutput: result.output)
    rnn.parameters["weight_hh_l0"] = random.array([3, 3])
    let after = try rnn.backward(tape, gradOutput: result.output)
    #expect(before.x == after.x)
  }

  @Test func reluHasNoGradientAtZero() throws {
    let configuration = RecurrentConfiguration(
      cell: .rnnRelu, inputSize: 1, hiddenSize: 1, bias: false)
    var parameters = Parameters<Double>()
    parameters.append("weight_ih_l0", try NDArray(shape: [1, 1], elements: [2]))
    parameters.append("weight_hh_l0", try NDArray(shape: [1, 1], elements: [3]))
    let rnn = try RNN(configuration, parameters: parameters)
    let (result, tape) = try rnn.record(NDArray(shape: [3, 1], elements: [0, 1, -4]))
    #expect(result.output.elements == [0, 2, 0])
    let ones = try NDArray<Double>(shape: [3, 1], elements: [1, 1, 1])
    let gradients = try rnn.backward(tape, gradOutput: ones)
    #expect(gradients.x.elements == [0, 2, 0])
    #expect(gradients.parameters["weight_ih_l0"]?.elements == [1])
  }
}
