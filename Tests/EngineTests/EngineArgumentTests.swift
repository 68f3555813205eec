import Tensors
import TestSupport
import Testing

@testable import RNNEngine

/// Every argument that is refused and that no other test comes across.
@Suite("A bad argument is refused by name")
struct EngineArgumentTests {
  @Test func blocksNeedRowsAndSteps() throws {
    for (length, steps, rows) in [(5, 2, 0), (5, 0, 2), (5, 2, 6), (0, 1, 1)] {
      #expect(
        reason { _ = try SequentialBlocks(length: length, steps: steps, rows: rows) }
          == "engine.blocks")
    }
    let blocks = try SequentialBlocks(length: 7, steps: 2, rows: 2)
    #expect(
      reason { _ = try blocks.languageModelBlock(0, of: [1, 2, 3]) } == "engine.blocks")
  }

  @Test func initialWeightsNeedSizes() throws {
    var generator = TorchGenerator(seed: 3)
    #expect(
      reason {
        _ = try Parameters<Float>.torchDefault(
          shapes: [], hiddenSize: 0, generator: &generator)
      } == "engine.hidden-size")
    for index in [7, -8] {
      #expect(
        reason {
          _ = try Parameters<Float>.torchEmbedding(
            count: 7, size: 3, paddingIndex: index, generator: &generator)
        } == "engine.padding-index")
    }
    let table = try Parameters<Float>.torchEmbedding(
      count: 7, size: 3, paddingIndex: -2, generator: &generator)
    let weight = try #require(table["weight"])
    #expect((0..<7).filter { weight.elements[3 * $0..<3 * $0 + 3].allSatisfy { $0 == 0 } } == [5])
  }

  @Test func logitsNeedClassesAndAxes() throws {
    func evaluate(_ shape: [Int]) throws {
      let logits = try NDArray<Double>(
        shape: shape, elements: [Double](repeating: 1, count: shape.reduce(1, *)))
      _ = try Loss.crossEntropy().evaluate(
        logits: logits, targets: .classes([0, 1], shape: [2]))
    }
    #expect(reason { try evaluate([6]) } == "engine.logits-shape")
    #expect(reason { try evaluate([1, 2, 1, 3]) } == "engine.logits-shape")
    #expect(reason { try evaluate([2, 0]) } == "engine.logits-shape")
    try evaluate([2, 3])
  }

  @Test func spectraNeedFiniteMatrices() throws {
    for value in [Double.nan, .infinity, -.infinity] {
      let matrix = try NDArray(shape: [2, 2], elements: [1, 2, value, 4])
      #expect(reason { _ = try RecurrentSpectrum(matrix) } == "engine.not-finite")
      #expect(reason { _ = try RecurrentSpectrum.gates(matrix) } == "engine.not-finite")
    }
  }

  /// Squares of such elements are infinite, or nothing; their eigenvalues are as good as any.
  @Test(arguments: [1e300, 1e160, 1e-160, 1e-290]) func spectraOfExtremeMatrices(scale: Double)
    throws
  {
    let elements: [Double] = [
      3, -7, 2, 5, 1, 4, -2, 8, -6, 2, 5, -3, 7, -1, 9, 2,
    ]
    let plain = try RecurrentSpectrum(NDArray(shape: [4, 4], elements: elements))
    let extreme = try RecurrentSpectrum(
      NDArray(shape: [4, 4], elements: elements.map { $0 * scale }))
    for (one, other) in zip(plain.values, extreme.values) {
      #expect(abs(other.size / scale / one.size - 1) < 1e-12)
    }
    for (one, other) in zip(plain.singularValues, extreme.singularValues) {
      #expect(abs(other / scale / one - 1) < 1e-12)
    }
  }

  @Test func packedPartsMustFit() throws {
    func pack(_ rows: Int, _ sizes: [Int], _ order: [Int]) throws {
      _ = try PackedSequence(
        data: NDArray<Float>(shape: [rows, 2], elements: [Float](repeating: 1, count: rows * 2)),
        batchSizes: sizes, sortedIndices: order)
    }
    try pack(5, [3, 2], [2, 0, 1])
    for (rows, sizes, order) in [
      (4, [3, 2], [2, 0, 1]), (5, [2, 3], [0, 1]), (5, [3, 2], [0, 0, 1]), (5, [3, 2], [0, 1]),
      (3, [3, 0], [0, 1, 2]),
    ] {
      #expect(reason { try pack(rows, sizes, order) } == "engine.packed")
    }
  }

  @Test func sequencesMustAgree() throws {
    let long = try NDArray<Float>(shape: [3, 2], elements: [1, 2, 3, 4, 5, 6])
    let wide = try NDArray<Float>(shape: [1, 3], elements: [1, 2, 3])
    #expect(reason { _ = try NDArray<Float>(padding: []) } == "engine.sequences")
    #expect(
      reason { _ = try NDArray(padding: [NDArray<Float>(shape: [], elements: [1])]) }
        == "engine.sequences")
    #expect(reason { _ = try NDArray(padding: [long, wide]) } == "engine.sequences")
  }

  @Test func groupsOfParametersMustAgree() throws {
    var random = SplitMix64(state: 53)
    let rnn: RNN<Double> = try random.network(Kind.gru.configuration(inputSize: 3, hiddenSize: 4))
    var model = try Model(rnn: rnn)
    let before = model.parameterGroups
    #expect(before.count == 3)
    #expect(
      reason { try model.setParameterGroups(Array(before.dropLast())) }
        == "engine.parameter-groups")
    var groups = before
    var adam = Adam<Double>()
    #expect(
      reason { try adam.step(&groups, gradients: Array(before.dropLast())) }
        == "engine.parameter-groups")
    #expect(groups.map(\.names) == before.map(\.names))
  }

  @Test func distributionsHaveBounds() throws {
    var torch = TorchGenerator(seed: 5)
    var numpy = NumPyGenerator(seed: 5)
    #expect(
      reason { _ = try torch.normal(Float.self, shape: [2], standardDeviation: -1) }
        == "random.deviation")
    #expect(reason { _ = try numpy.normal(0, -1, shape: [2]) } == "random.deviation")
    for p in [-0.1, 1.1, .nan] {
      #expect(
        reason { _ = try torch.bernoulli(Float.self, shape: [2], probability: p) }
          == "random.probability")
      #expect(
        reason { _ = try torch.dropoutMask(Float.self, shape: [2], p: p) }
          == "random.probability")
    }
    #expect(
      reason { _ = try torch.uniform(Float.self, shape: [2], from: 1, to: 0) } == "random.range")
    #expect(
      reason {
        _ = try torch.uniform(
          Double.self, shape: [2], from: -Double.greatestFiniteMagnitude,
          to: .greatestFiniteMagnitude)
      } == "random.range")
    #expect(reason { _ = try torch.randint(3..<3, count: 2) } == "random.range")
    #expect(reason { _ = try torch.randomSplit([3, -1]) } == "random.range")
    for rate in [0, -1, Double.nan] {
      #expect(
        reason { _ = try torch.exponential(Float.self, shape: [2], rate: rate) } == "random.rate")
    }
    for weights in [[], [0, 0], [1, -1, 2], [1, .nan], [1, .infinity]] as [[Double]] {
      #expect(reason { _ = try torch.multinomial(weights) } == "random.weights")
    }
    #expect(reason { _ = try torch.multinomial([0, 1, 2.0], count: 3) } == "random.weights")
    #expect(reason { _ = try torch.multinomial([0, 1, 2.0], count: 0) } == "random.weights")
  }
}
