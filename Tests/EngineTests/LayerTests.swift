import Tensors
import Testing

@testable import RNNEngine

@Suite("Embeddings look up and add gradients as PyTorch's do")
struct EmbeddingTests {
  @Test func initialVectorsAreThoseOfTheirParameters() throws {
    var generator = TorchGenerator(seed: 5)
    let embedding = try Embedding<Double>(
      count: 6, size: 4, paddingIndex: 2, generator: &generator)
    generator = TorchGenerator(seed: 5)
    let expected = try Parameters<Double>.torchEmbedding(
      count: 6, size: 4, paddingIndex: 2, generator: &generator)
    #expect(embedding.weight == expected["weight"] && embedding.paddingIndex == 2)
    #expect(embedding.weight.elements[8..<12] == [0, 0, 0, 0])
  }

  @Test func looksUpAndAddsUp() throws {
    let weight = try NDArray<Double>(shape: [3, 2], elements: [1, 2, 3, 4, 5, 6])
    let embedding = try Embedding(weight: weight, paddingIndex: -2)
    #expect(embedding.paddingIndex == 1)
    let indices = [2, 1, 0, 2]
    #expect(
      try embedding(indices, shape: [2, 2])
        == NDArray(shape: [2, 2, 2], elements: [5, 6, 3, 4, 1, 2, 5, 6]))
    let gradient = try embedding.backward(
      indices, shape: [2, 2],
      gradOutput: NDArray(shape: [2, 2, 2], elements: [1, 2, 3, 4, 5, 6, 7, 8]))
    #expect(gradient.elements == [5, 6, 0, 0, 8, 10])
  }

  @Test func refusesWhatDoesNotFit() throws {
    let embedding = try Embedding(weight: NDArray<Float>(zeros: [3, 2]))
    for (indices, shape, reason) in [
      ([3], [1], "engine.index-range"), ([-1], [1], "engine.index-range"),
      ([0], [2], "engine.shape"), ([], [.max, 4, 0], "engine.shape"),
    ] {
      let error = #expect(throws: RecurrentError.self) { try embedding(indices, shape: shape) }
      #expect(error?.reason.code == reason)
    }
    for index in [3, -4] {
      let error = #expect(throws: RecurrentError.self) {
        try Embedding(weight: NDArray<Float>(zeros: [3, 2]), paddingIndex: index)
      }
      #expect(error?.reason.code == "engine.configuration")
    }
  }
}

@Suite("Cells step as layers do")
struct RecurrentCellTests {
  @Test(arguments: Kind.allCases.filter { $0 != .projected }, [false, true])
  func stepsAreTheSequence(_ kind: Kind, _ isBatched: Bool) throws {
    var random = SplitMix64(state: 51)
    let configuration = kind.configuration(inputSize: 3, hiddenSize: 4)
    let rnn: RNN<Float> = try random.network(configuration)
    var parameters = Parameters<Float>()
    for (name, array) in rnn.parameters.entries {
      parameters.append(String(name.dropLast(3)), array)
    }
    let cell = try RecurrentCell(
      configuration.cell, inputSize: 3, hiddenSize: 4, gruReset: configuration.gruReset,
      parameters: parameters)
    #expect(cell.parameters.names == ["weight_ih", "weight_hh", "bias_ih", "bias_hh"])
    let width = isBatched ? 6 : 3
    let x: NDArray<Float> = random.array(isBatched ? [5, 2, 3] : [5, 3])
    let whole = try rnn(x)
    var state: (h: NDArray<Float>, c: NDArray<Float>?)?
    for t in 0..<5 {
      let piece = NDArray(
        trusted: isBatched ? [2, 3] : [3], Array(x.elements[t * width..<(t + 1) * width]))
      let next = try cell.step(piece, h: state?.h, c: state?.c)
      #expect(next.h.shape == (isBatched ? [2, 4] : [4]))
      let (h, c, tape) = try cell.record(piece, h: state?.h, c: state?.c)
      #expect(h == next.h && c == next.c)
      let gradients = try cell.backward(tape, gradH: next.h, gradC: next.c)
      #expect(gradients.x.shape == piece.shape)
      #expect(gradients.parameters.names == cell.parameters.names)
      state = next
    }
    #expect(state?.h.elements == whole.hN.elements)
    #expect(state?.c?.elements == whole.cN?.elements)
  }
}

extension RecurrentCellTests {
  @Test func initialWeightsAreThoseOfALayer() throws {
    for bias in [true, false] {
      var generator = TorchGenerator(seed: 5)
      let cell = try RecurrentCell<Float>(
        .gru, inputSize: 3, hiddenSize: 4, bias: bias, generator: &generator)
      generator = TorchGenerator(seed: 5)
      let rnn = try RNN<Float>(
        RecurrentConfiguration(cell: .gru, inputSize: 3, hiddenSize: 4, bias: bias),
        generator: &generator)
      #expect(cell.parameters.names.count == (bias ? 4 : 2))
      for (name, array) in cell.parameters.entries {
        #expect(rnn.parameters[name + "_l0"] == array, "\(name)")
      }
    }
  }
}

@Suite("Checkpoints in time give the gradients of the whole")
struct CheckpointTests {
  @Test func modelsRecomputeToTheSameBits() throws {
    var random = SplitMix64(state: 63)
    var configuration = Kind.lstm.configuration(inputSize: 3, hiddenSize: 5, layerCount: 2)
    configuration.dropout = 0.5
    let model = try Model(
      rnn: random.network(configuration) as RNN<Float>, head: Linear(weight: random.array([4, 5])))
    let x: NDArray<Float> = random.array([9, 2, 3])
    let targets = Targets<Float>.classes((0..<18).map { $0 % 4 }, shape: [9, 2])
    let plain = try model.backward(x, targets: targets, loss: .crossEntropy())
    let again = try model.backward(
      x, recomputing: true, targets: targets, loss: .crossEntropy())
    #expect(again.loss == plain.loss && again.forward == plain.forward && again.x == plain.x)
    for (found, expected) in zip(again.parameterGroups, plain.parameterGroups) {
      for (name, array) in expected.entries { #expect(found[name] == array, "\(name)") }
    }
    let error = #expect(throws: RecurrentError.self) {
      try model.backward(
        x, dropout: DropoutMasks(TorchGenerator(seed: 1)), recomputing: true, targets: targets,
        loss: .crossEntropy())
    }
    #expect(error?.reason.code == "engine.checkpoint")
  }

  @Test(arguments: Kind.allCases, [nil, 1, 4, 100])
  func gradientsHaveTheSameBits(_ kind: Kind, _ every: Int?) throws {
    var random = SplitMix64(state: 61)
    let configuration = kind.configuration(inputSize: 3, hiddenSize: 5, layerCount: 2)
    let rnn: RNN<Float> = try random.network(configuration, scale: 0.4)
    let x: NDArray<Float> = random.array([30, 4, 3])
    let h0: NDArray<Float> = random.array([2, 4, configuration.stateSize])
    for lengths in [nil, [7, 30, 16, 22]] {
      let (expected, tape) = try rnn.record(x, h0: h0, lengths: lengths)
      let (found, checkpoints) = try rnn.recordWithCheckpoints(
        x, h0: h0, lengths: lengths, every: every)
      #expect(found == expected)
      let plain = try rnn.backward(
        tape, gradOutput: expected.output, gradHN: expected.hN, gradCN: expected.cN)
      let pieces = try rnn.backward(
        checkpoints, gradOutput: expected.output, gradHN: expected.hN, gradCN: expected.cN)
      #expect(pieces.x == plain.x)
      #expect(pieces.h0 == plain.h0)
      #expect(pieces.c0 == plain.c0)
      for (name, array) in plain.parameters.entries {
        #expect(pieces.parameters[name] == array, "\(name)")
      }
    }
  }

  @Test func oneDirectionOnly() throws {
    var random = SplitMix64(state: 62)
    let rnn: RNN<Float> = try random.network(
      RecurrentConfiguration(inputSize: 3, hiddenSize: 5, bidirectional: true))
    let error = #expect(throws: RecurrentError.self) {
      try rnn.recordWithCheckpoints(NDArray(zeros: [4, 2, 3]))
    }
    #expect(error?.reason.code == "engine.checkpoint")
  }
}
