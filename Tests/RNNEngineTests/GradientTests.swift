import Testing

@testable import RNNEngine

struct GradientCase: Sendable, CustomTestStringConvertible {
  let configuration: RecurrentConfiguration
  let isBatched, hasInitialState: Bool

  var testDescription: String {
    "\(configuration), batched \(isBatched), h0 \(hasInitialState)"
  }

  static let all: [GradientCase] = {
    var cases: [GradientCase] = []
    let flags = [false, true]
    for cell in Cell.allCases {
      for layers in 1...3 {
        for bits in 0..<32 {
          func bit(_ index: Int) -> Bool { flags[(bits >> index) & 1] }
          cases.append(
            GradientCase(
              configuration: RecurrentConfiguration(
                cell: cell, inputSize: 5, hiddenSize: 3, layerCount: layers, bias: bit(0),
                batchFirst: bit(1), bidirectional: bit(2)),
              isBatched: bit(3), hasInitialState: bit(4)))
        }
      }
    }
    return cases
  }()
}

struct GradientTests {
  @Test func everyCombinationIsCovered() {
    #expect(GradientCase.all.count == Cell.allCases.count * 3 * 32)
  }

  @Test(arguments: GradientCase.all)
  func backwardAgreesWithFiniteDifferences(_ example: GradientCase) throws {
    let configuration = example.configuration
    let (steps, batch) = (4, 2)
    var random = SplitMix64(state: 17)
    // A layer of which every unit rests would put the next one exactly on the kink of relu.
    let center = configuration.cell == .rnnRelu ? 0.2 : 0
    let rnn: RNN<Double> = try random.network(configuration, center: center)
    let shape =
      !example.isBatched
      ? [steps, 5] : configuration.batchFirst ? [batch, steps, 5] : [steps, batch, 5]
    let x: NDArray<Double> = random.array(shape)
    let layers = configuration.layerCount * configuration.directionCount
    let stateShape = example.isBatched ? [layers, batch, 3] : [layers, 3]
    let h0: NDArray<Double>? = example.hasInitialState ? random.array(stateShape) : nil
    let zeros = NDArray<Double>(zeros: stateShape)

    let (result, tape) = try rnn.record(x, h0: h0)
    #expect(result == (try rnn(x, h0: h0)))
    let gradOutput: NDArray<Double> = random.array(result.output.shape)
    let gradHN: NDArray<Double> = random.array(result.hN.shape)
    func objective(
      _ rnn: RNN<Double>, _ x: NDArray<Double>, _ h0: NDArray<Double>?
    ) throws -> Double {
      let result = try rnn(x, h0: h0)
      return dot(result.output, gradOutput) + dot(result.hN, gradHN)
    }

    let gradients = try rnn.backward(tape, gradOutput: gradOutput, gradHN: gradHN)
    #expect(gradients.parameters.names == configuration.parameterShapes.map(\.name))
    for (name, array) in rnn.parameters.entries {
      let expected = try differences(array) {
        var moved = rnn
        moved.parameters[name] = $0
        return try objective(moved, x, h0)
      }
      let found = try #require(gradients.parameters[name])
      #expect(deviation(found, from: expected) < 1e-7, "\(name)")
    }
    let expectedX = try differences(x) { try objective(rnn, $0, h0) }
    #expect(deviation(gradients.x, from: expectedX) < 1e-7)
    let expectedState = try differences(h0 ?? zeros) { try objective(rnn, x, $0) }
    #expect(deviation(gradients.h0, from: expectedState) < 1e-7)
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
