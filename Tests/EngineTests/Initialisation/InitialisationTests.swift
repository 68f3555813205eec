import Tensors
import Testing

@testable import RNNEngine

@Suite("Initial weights have PyTorch's bits")
struct InitialisationTests {
  private func flat<S>(_ parameters: Parameters<S>) -> [S] {
    parameters.entries.flatMap(\.array.elements)
  }

  private let layers = RecurrentConfiguration(
    cell: .rnnTanh, inputSize: 3, hiddenSize: 5, layerCount: 2, bidirectional: true)

  @Test func recurrentLayersHaveTorchsBits() throws {
    var generator = TorchGenerator(seed: 11)
    let single = try RNN<Float>(layers, generator: &generator)
    #expect(sameBits(flat(single.parameters), GoldenNumbers.random.floats("initRNN")))
    generator = TorchGenerator(seed: 11)
    let double = try RNN<Double>(layers, generator: &generator)
    #expect(sameBits(flat(double.parameters), GoldenNumbers.random.doubles("initRNNDouble")))
  }

  @Test func gatedLayersHaveTorchsBits() throws {
    var shapes: [(name: String, shape: [Int])] = []
    for (layer, input) in [3, 4].enumerated() {
      for suffix in ["", "_reverse"] {
        shapes += [
          ("weight_ih_l\(layer)\(suffix)", [24, input]), ("weight_hh_l\(layer)\(suffix)", [24, 2]),
          ("bias_ih_l\(layer)\(suffix)", [24]), ("bias_hh_l\(layer)\(suffix)", [24]),
          ("weight_hr_l\(layer)\(suffix)", [2, 6]),
        ]
      }
    }
    var generator = TorchGenerator(seed: 12)
    let lstm = try Parameters<Float>.torchDefault(
      shapes: shapes, hiddenSize: 6, generator: &generator)
    #expect(sameBits(flat(lstm), GoldenNumbers.random.floats("initLSTM")))
    #expect(lstm.names == shapes.map(\.name))
    generator = TorchGenerator(seed: 13)
    let gru = try Parameters<Float>.torchDefault(
      shapes: [("weight_ih_l0", [15, 4]), ("weight_hh_l0", [15, 5])], hiddenSize: 5,
      generator: &generator)
    #expect(sameBits(flat(gru), GoldenNumbers.random.floats("initGRU")))
  }

  @Test func headsAndEmbeddings() throws {
    var generator = TorchGenerator(seed: 14)
    let linear = try Linear<Float>(inputSize: 7, outputSize: 3, generator: &generator)
    #expect(sameBits(flat(linear.parameters), GoldenNumbers.random.floats("initLinear")))
    generator = TorchGenerator(seed: 15)
    let rnn = try RNN<Float>(
      RecurrentConfiguration(cell: .rnnTanh, inputSize: 4, hiddenSize: 6), generator: &generator)
    let head = try Linear<Float>(inputSize: 6, outputSize: 3, generator: &generator)
    #expect(
      sameBits(
        flat(rnn.parameters) + flat(head.parameters), GoldenNumbers.random.floats("initModel")))
    generator = TorchGenerator(seed: 16)
    let small = try Parameters<Float>.torchEmbedding(
      count: 3, size: 5, paddingIndex: 1, generator: &generator)
    #expect(sameBits(flat(small), GoldenNumbers.random.floats("initEmbedding")))
    generator = TorchGenerator(seed: 17)
    let large = try Parameters<Float>.torchEmbedding(
      count: 13, size: 5, paddingIndex: -9, generator: &generator)
    #expect(sameBits(flat(large), GoldenNumbers.random.floats("initEmbeddingLarge")))
    #expect(flat(large)[20..<25].allSatisfy { $0 == 0 })
  }

  private struct Initialised<S: Scalar> {
    var xavierUniform: [S], xavierNormal: [S], kaimingUniform: [S], kaimingSlope: [S]
    var kaimingNormal: [S], square: [S], wide: [S], tall: [S]

    init(_ generator: inout TorchGenerator) throws {
      xavierUniform = try NDArray.xavierUniform(shape: [6, 5], gain: 1.3, generator: &generator)
        .elements
      xavierNormal = try NDArray.xavierNormal(shape: [3, 5], gain: 0.7, generator: &generator)
        .elements
      kaimingUniform = try NDArray.kaimingUniform(
        shape: [6, 5], gain: .relu, generator: &generator
      ).elements
      kaimingSlope = try NDArray.kaimingUniform(
        shape: [6, 5], gain: .leakyReLU(slope: 5.0.squareRoot()), fan: .output,
        generator: &generator
      ).elements
      kaimingNormal = try NDArray.kaimingNormal(shape: [5, 3], gain: .tanh, generator: &generator)
        .elements
      square = try NDArray.orthogonal(shape: [6, 6], generator: &generator).elements
      wide = try NDArray.orthogonal(shape: [3, 7], gain: 1.5, generator: &generator).elements
      tall = try NDArray.orthogonal(shape: [8, 4], generator: &generator).elements
    }
  }

  @Test func initialisersOfTorchNNInit() throws {
    var generator = TorchGenerator(seed: 18)
    let single = try Initialised<Float>(&generator)
    #expect(sameBits(single.xavierUniform, GoldenNumbers.random.floats("xavierUniformSingle")))
    #expect(sameBits(single.xavierNormal, GoldenNumbers.random.floats("xavierNormalSingle")))
    #expect(sameBits(single.kaimingUniform, GoldenNumbers.random.floats("kaimingUniformSingle")))
    #expect(sameBits(single.kaimingSlope, GoldenNumbers.random.floats("kaimingUniformSlopeSingle")))
    #expect(sameBits(single.kaimingNormal, GoldenNumbers.random.floats("kaimingNormalSingle")))
    #expect(worst(single.square, GoldenNumbers.random.floats("orthogonalSquareSingle")) <= 2e-6)
    #expect(worst(single.wide, GoldenNumbers.random.floats("orthogonalWideSingle")) <= 2e-6)
    #expect(worst(single.tall, GoldenNumbers.random.floats("orthogonalTallSingle")) <= 2e-6)
    let double = try Initialised<Double>(&generator)
    #expect(sameBits(double.xavierUniform, GoldenNumbers.random.doubles("xavierUniformDouble")))
    #expect(sameBits(double.xavierNormal, GoldenNumbers.random.doubles("xavierNormalDouble")))
    #expect(sameBits(double.kaimingUniform, GoldenNumbers.random.doubles("kaimingUniformDouble")))
    #expect(
      sameBits(double.kaimingSlope, GoldenNumbers.random.doubles("kaimingUniformSlopeDouble")))
    #expect(sameBits(double.kaimingNormal, GoldenNumbers.random.doubles("kaimingNormalDouble")))
    #expect(worst(double.square, GoldenNumbers.random.doubles("orthogonalSquareDouble")) <= 1e-14)
    #expect(worst(double.wide, GoldenNumbers.random.doubles("orthogonalWideDouble")) <= 1e-14)
    #expect(worst(double.tall, GoldenNumbers.random.doubles("orthogonalTallDouble")) <= 1e-14)
  }

  private func worst<S: Scalar>(_ a: [S], _ b: [S]) -> S {
    a.count == b.count ? zip(a, b).map { abs($0 - $1) }.reduce(0, max) : .infinity
  }

  @Test func forgetGatesStartOpen() throws {
    var lstm = Parameters<Float>()
    lstm.append(
      "weight_ih_l0", try NDArray(shape: [8, 1], elements: [Float](repeating: 3, count: 8)))
    lstm.append("bias_ih_l0", try NDArray(shape: [8], elements: (0..<8).map { Float($0) + 5 }))
    lstm.append(
      "bias_hh_l0_reverse", try NDArray(shape: [8], elements: (0..<8).map { Float($0) + 9 }))
    try lstm.setUnitForgetBias(hiddenSize: 2)
    #expect(lstm["bias_ih_l0"]?.elements == [5, 6, 1, 1, 9, 10, 11, 12])
    #expect(lstm["bias_hh_l0_reverse"]?.elements == [9, 10, 0, 0, 13, 14, 15, 16])
    #expect(lstm["weight_ih_l0"]?.elements == [Float](repeating: 3, count: 8))
    #expect(throws: RecurrentError.self) { try lstm.setUnitForgetBias(hiddenSize: 3) }
  }

  @Test func senselessRequestsAreErrors() {
    var generator = TorchGenerator(seed: 1)
    #expect(throws: RecurrentError.self) {
      try NDArray<Float>.xavierUniform(shape: [3], generator: &generator)
    }
    #expect(throws: RecurrentError.self) {
      try NDArray<Float>.orthogonal(shape: [-3, 2], generator: &generator)
    }
    #expect(throws: RecurrentError.self) {
      try Parameters<Float>.torchDefault(shapes: [], hiddenSize: 0, generator: &generator)
    }
    #expect(throws: RecurrentError.self) {
      try Parameters<Float>.torchEmbedding(
        count: 3, size: 2, paddingIndex: 3, generator: &generator)
    }
  }
}
