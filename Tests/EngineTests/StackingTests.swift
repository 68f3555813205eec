import Tensors
import Testing

@testable import RNNEngine

@Suite("Residual connections and normalised layers have PyTorch's gradients")
struct StackingTests {
  private static let options = [
    Stacking(residual: true), Stacking(layerNorm: true), Stacking(residual: true, layerNorm: true),
  ]

  private func masks() -> DropoutMasks {
    var random = SplitMix64(state: 5)
    return DropoutMasks { count, keep in
      (0..<count).map { _ in Double(random.next() >> 11) * 0x1p-53 < keep }
    }
  }

  @Test(arguments: Kind.allCases, options)
  func gradientsAgreeWithDifferences(_ kind: Kind, _ stacking: Stacking) throws {
    for (isRagged, dropout) in [(false, 0.0), (true, 0.4)] {
      var configuration = kind.configuration(
        inputSize: 2, hiddenSize: 4, layerCount: 3, bidirectional: isRagged)
      (configuration.stacking, configuration.dropout) = (stacking, dropout)
      var random = SplitMix64(state: 71)
      let rnn: RNN<Double> = try random.network(configuration, center: kind == .relu ? 0.2 : 0)
      let rows = 3 * configuration.directionCount
      let x: NDArray<Double> = random.array([4, 3, 2])
      let h0: NDArray<Double> = random.array([rows, 3, configuration.stateSize])
      let hasCells = configuration.cell.hasCellState
      let c0: NDArray<Double>? = hasCells ? random.array([rows, 3, 4]) : nil
      let lengths = isRagged ? [2, 4, 1] : nil
      let (result, tape) = try rnn.record(x, h0: h0, c0: c0, lengths: lengths, dropout: masks())
      let gradOutput: NDArray<Double> = random.array(result.output.shape)
      let gradHN: NDArray<Double> = random.array(result.hN.shape)
      func objective(
        _ rnn: RNN<Double>, _ x: NDArray<Double>, _ h0: NDArray<Double>, _ c0: NDArray<Double>?
      ) throws -> Double {
        let (result, _) = try rnn.record(x, h0: h0, c0: c0, lengths: lengths, dropout: masks())
        return dot(result.output, gradOutput) + dot(result.hN, gradHN)
      }
      let gradients = try rnn.backward(tape, gradOutput: gradOutput, gradHN: gradHN)
      func check(
        _ found: NDArray<Double>?, _ array: NDArray<Double>, _ name: String,
        _ function: (NDArray<Double>) throws -> Double
      ) throws {
        let found = try #require(found)
        #expect(try directionalDeviation(found, at: array, &random, function) <= 1e-7, "\(name)")
      }
      for (name, array) in rnn.parameters.entries {
        try check(gradients.parameters[name], array, name) {
          var moved = rnn
          moved.parameters[name] = $0
          return try objective(moved, x, h0, c0)
        }
      }
      try check(gradients.x, x, "x") { try objective(rnn, $0, h0, c0) }
      try check(gradients.h0, h0, "h0") { try objective(rnn, x, $0, c0) }
      if let c0 { try check(gradients.c0, c0, "c0") { try objective(rnn, x, h0, $0) } }
    }
  }

  @Test func aStackIsWhatItsDocumentationSays() throws {
    var configuration = Kind.gru.configuration(inputSize: 4, hiddenSize: 4, layerCount: 3)
    configuration.stacking = Stacking(residual: true, layerNorm: true)
    var random = SplitMix64(state: 72)
    let stack: RNN<Double> = try random.network(configuration)
    var current: NDArray<Double> = random.array([5, 2, 4])
    let found = try stack(current)
    for layer in 0..<3 {
      let single = try RNN(
        Kind.gru.configuration(inputSize: 4, hiddenSize: 4),
        parameters: stack.parameters.entries.reduce(into: Parameters()) { result, entry in
          guard entry.name.hasSuffix("_l\(layer)"), !entry.name.hasPrefix("norm") else { return }
          result.append(entry.name.dropLast(1) + "0", entry.array)
        })
      let result = try single(current)
      #expect(result.hN.elements == Array(found.hN.elements[layer * 8..<(layer + 1) * 8]))
      var sum = result.output
      // Not in the first layer, although its sizes agree.
      if layer > 0 {
        for index in sum.elements.indices { sum.elements[index] += current.elements[index] }
      }
      if layer < 2 {
        let norm = try LayerNorm(
          weight: #require(stack.parameters["norm_weight_l\(layer)"]),
          bias: #require(stack.parameters["norm_bias_l\(layer)"]))
        sum = try norm(sum)
      }
      current = sum
    }
    #expect(sameBits(found.output.elements, current.elements))
  }

  @Test func initialWeightsAreThoseOfPyTorchsModules() throws {
    var configuration = Kind.lstm.configuration(
      inputSize: 3, hiddenSize: 4, layerCount: 3, bidirectional: true)
    var generator = TorchGenerator(seed: 7)
    let plain = try RNN<Float>(configuration, generator: &generator)
    configuration.stacking = Stacking(layerNorm: true)
    generator = TorchGenerator(seed: 7)
    let normalised = try RNN<Float>(configuration, generator: &generator)
    #expect(
      normalised.parameters.names.filter { $0.hasPrefix("norm") }
        == ["norm_weight_l0", "norm_bias_l0", "norm_weight_l1", "norm_bias_l1"])
    for (name, array) in normalised.parameters.entries {
      let expected =
        plain.parameters[name]?.elements
        ?? [Float](repeating: name.hasPrefix("norm_weight") ? 1 : 0, count: 8)
      #expect(array.elements == expected, "\(name)")
    }
    var parameters = normalised.parameters
    parameters["norm_weight_l1"] = nil
    let error = #expect(throws: RecurrentError.self) {
      try RNN(configuration, parameters: parameters)
    }
    #expect(error?.reason.code == "engine.missing-parameter" && error?.place == "norm_weight_l1")
  }

  @Test func trainingReachesTheNormalisation() throws {
    var configuration = Kind.tanh.configuration(inputSize: 3, hiddenSize: 4, layerCount: 2)
    configuration.stacking = Stacking(residual: true, layerNorm: true)
    var generator = TorchGenerator(seed: 3)
    var model = try Model(rnn: RNN<Double>(configuration, generator: &generator))
    var random = SplitMix64(state: 73)
    let x: NDArray<Double> = random.array([5, 2, 3])
    let y: NDArray<Double> = random.array([5, 2, 4])
    var losses: [Double] = []
    var adam = Adam<Double>(learningRate: 0.05)
    for _ in 0..<30 {
      let gradients = try model.backward(x, targets: .values(y), loss: .mse())
      losses.append(gradients.loss)
      try adam.step(&model, gradients: gradients)
    }
    #expect(losses[29] < losses[0] / 2)
    #expect(model.rnn.parameters["norm_weight_l0"]?.elements != [1, 1, 1, 1])
  }
}

@Suite("Layer normalisation is PyTorch's")
struct LayerNormTests {
  /// `torch.nn.functional.layer_norm`, in double precision.
  @Test func agreesWithPyTorch() throws {
    let norm = try LayerNorm<Double>(
      weight: NDArray(shape: [3], elements: [0.5, -2, 1.25]),
      bias: NDArray(shape: [3], elements: [1, 0, -1]))
    let x = try NDArray<Double>(shape: [2, 3], elements: [1, 2, 4, -3, 0.5, 0.25])
    let gradients = try norm.backward(
      x, gradOutput: NDArray(shape: [2, 3], elements: [1, -1, 0.5, 2, 0.25, -3]))
    let golden = try #require(try CellGolden.file("stacks").norm)
    for (found, name) in [
      (try norm(x), "output"), (gradients.x, "x"), (gradients.weight, "weight"),
      (gradients.bias, "bias"),
    ] {
      let expected = try NDArray(trusted: found.shape, #require(golden[name]))
      #expect(deviation(found, from: expected) < 1e-14)
    }
  }

  @Test func refusesWhatDoesNotFit() throws {
    for (weight, bias) in [([3], [2]), ([0], [0]), ([1, 3], [1, 3])] {
      let error = #expect(throws: RecurrentError.self) {
        try LayerNorm<Float>(weight: NDArray(zeros: weight), bias: NDArray(zeros: bias))
      }
      #expect(error?.reason.code == "engine.parameter-shape")
    }
    let norm = try LayerNorm<Float>(weight: NDArray(zeros: [3]), bias: NDArray(zeros: [3]))
    for shapes in [([2, 4], [2, 4]), ([2, 3], [3, 2]), ([], [])] {
      let error = #expect(throws: RecurrentError.self) {
        try norm.backward(NDArray(zeros: shapes.0), gradOutput: NDArray(zeros: shapes.1))
      }
      #expect(error?.reason.code == "engine.input-size")
    }
  }
}
