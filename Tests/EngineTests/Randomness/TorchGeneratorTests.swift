import Tensors
import Testing

@testable import RNNEngine

@Suite("Random numbers have PyTorch's bits, and its states are restored")
struct TorchGeneratorTests {
  /// One generator through every kind of call, in the order of tools/goldens/engine_random.py.
  @Test func everyStreamHasTorchsBits() throws {
    var torch = TorchGenerator(seed: 20_240_607)
    #expect(
      sameBits(
        try torch.uniform(Float.self, shape: [333], from: -0.3, to: 0.7).elements,
        GoldenNumbers.random.floats("uniformSingle")))
    #expect(
      sameBits(
        try torch.uniform(Double.self, shape: [101], from: -2.5, to: 0.1).elements,
        GoldenNumbers.random.doubles("uniformDouble")))
    #expect(
      sameBits(
        try torch.normal(Float.self, shape: [7], mean: 0.25, standardDeviation: 1.5).elements,
        GoldenNumbers.random.floats("normalSmallSingle")))
    #expect(
      sameBits(
        try torch.randn(Double.self, shape: [15]).elements,
        GoldenNumbers.random.doubles("normalSmallDouble")))
    #expect(
      sameBits(
        try torch.normal(Double.self, shape: [3, 7], mean: -1, standardDeviation: 0.2).elements,
        GoldenNumbers.random.doubles("normalDouble")))
    #expect(
      sameBits(
        try torch.randn(Double.self, shape: [48]).elements,
        GoldenNumbers.random.doubles("normalDoubleBlocks")))
    #expect(
      try torch.randint(-5..<12, count: 50) == GoldenNumbers.random.integers("integersNarrow"))
    #expect(
      try torch.randint(0..<(1 << 28 - 1), count: 9)
        == GoldenNumbers.random.integers("integersBelow28"))
    #expect(
      try torch.randint(0..<(1 << 28), count: 9) == GoldenNumbers.random.integers("integersFrom28"))
    #expect(
      try torch.randint((-1 << 40)..<(1 << 61), count: 9)
        == GoldenNumbers.random.integers("integersWide"))
    #expect(try torch.randperm(100) == GoldenNumbers.random.integers("permutation"))
    #expect(try torch.randperm(1) == GoldenNumbers.random.integers("permutationOfOne"))
    #expect(
      sameBits(
        try torch.bernoulli(Float.self, shape: [200], probability: 0.3).elements,
        GoldenNumbers.random.floats("bernoulli"))
    )
    for (index, p) in [0.1, 0.35, 0.5, 0.8, 1, 0].enumerated() {
      let golden = GoldenNumbers.random.floats("dropout\(index)")
      #expect(sameBits(try torch.dropoutMask(Float.self, shape: [5, 13], p: p).elements, golden))
    }
    #expect(
      sameBits(
        try torch.exponential(Float.self, shape: [100], rate: 1.7).elements,
        GoldenNumbers.random.floats("exponentialSingle")))
    let exponential = distance(
      try torch.exponential(Double.self, shape: [100]).elements,
      GoldenNumbers.random.doubles("exponentialDouble"))
    #expect(exponential.ulp <= 1 && exponential.equalShare >= 0.9)
    let weights = GoldenNumbers.random.floats("weights")
    #expect(
      try (0..<30).flatMap { _ in try torch.multinomial(weights) }
        == GoldenNumbers.random.integers("multinomialOne"))
    #expect(
      try (0..<10).flatMap { _ in try torch.multinomial(weights, count: 5) }
        == GoldenNumbers.random.integers("multinomialWithout"))
    #expect(
      try torch.multinomial(weights, count: 100, replacement: true)
        == GoldenNumbers.random.integers("multinomialWith"))
    #expect(
      try torch.multinomial(
        GoldenNumbers.random.doubles("weightsDouble"), count: 100, replacement: true)
        == GoldenNumbers.random.integers("multinomialWithDouble"))

    // The state, as torch.get_rng_state() gives it.
    #expect(torch.stateBytes == GoldenNumbers.random.bytes("stateAfter"))
    var restored = try TorchGenerator(stateBytes: GoldenNumbers.random.bytes("stateAfter"))
    #expect(restored == torch)
    #expect(
      sameBits(
        try restored.randn(Double.self, shape: [3]).elements,
        GoldenNumbers.random.doubles("afterState")))
    #expect(restored.stateBytes == GoldenNumbers.random.bytes("stateWithSpare"))
    restored = try TorchGenerator(stateBytes: GoldenNumbers.random.bytes("stateWithSpare"))
    #expect(
      sameBits(
        try restored.randn(Double.self, shape: [5]).elements,
        GoldenNumbers.random.doubles("afterSpare")))
  }

  @Test func seedsWrap() throws {
    let seeds: [(TorchGenerator, [Float])] = [
      (TorchGenerator(seed: -3), GoldenNumbers.random.floats("negativeSeed")),
      (TorchGenerator(seed: UInt64(1) << 63 + 12345), GoldenNumbers.random.floats("largeSeed")),
      (TorchGenerator(seed: 0), GoldenNumbers.random.floats("zeroSeed")),
    ]
    for (generator, golden) in seeds {
      var generator = generator
      #expect(sameBits(try generator.uniform(shape: [10]).elements, golden))
    }
    var unseeded = TorchGenerator()
    #expect(
      sameBits(
        try unseeded.uniform(shape: [10]).elements, GoldenNumbers.random.doubles("defaultSeed")))
    #expect(TorchGenerator(seed: -1).initialSeed == .max)
  }

  @Test func freshStatesAreTorchsAndContinue() throws {
    var torch = TorchGenerator(seed: 7)
    #expect(torch.stateBytes == GoldenNumbers.random.bytes("stateFresh"))
    #expect(try TorchGenerator(stateBytes: GoldenNumbers.random.bytes("stateFresh")) == torch)
    // Across the renewal of all words, at every phase.
    for _ in 0..<1300 {
      _ = torch.next32()
      var copy = try TorchGenerator(stateBytes: torch.stateBytes)
      var original = torch
      #expect(copy.next32() == original.next32())
    }
  }

  @Test(arguments: [
    [], Array(GoldenNumbers.random.bytes("stateFresh").dropLast()),
    GoldenNumbers.random.bytes("stateFresh").map { _ in 255 },
    GoldenNumbers.random.bytes("stateFresh").enumerated().map {
      $0.offset == 24 + 4 ? 1 : $0.element
    },
    GoldenNumbers.random.bytes("stateFresh").enumerated().map { $0.offset == 8 ? 3 : $0.element },
  ])
  func damagedStatesAreErrors(_ bytes: [UInt8]) {
    let error = #expect(throws: RecurrentError.self) { try TorchGenerator(stateBytes: bytes) }
    #expect(error?.reason.code == "random.state")
  }

  @Test func ordersOfExamples() throws {
    var torch = TorchGenerator(seed: 31)
    #expect(
      try (0..<2).flatMap { _ in try torch.dataLoaderOrder(23) }
        == GoldenNumbers.random.integers("loaderOrder"))
    torch = TorchGenerator(seed: 32)
    #expect(
      try (0..<2).flatMap { _ in try torch.dataLoaderOrderAsGenerator(23) }
        == GoldenNumbers.random.integers("loaderOrderOwn"))
    torch = TorchGenerator(seed: 33)
    #expect(
      try torch.randomSplit([9, 5, 3]).flatMap { $0 } == GoldenNumbers.random.integers("split"))
  }

  @Test func largeSinglePrecisionNormals() throws {
    var torch = TorchGenerator(seed: 91)
    var numbers = try torch.randn(Float.self, shape: [1000]).elements
    numbers += try torch.normal(shape: [37], mean: 0.5, standardDeviation: 0.02).elements
    #expect(sameBits(numbers, GoldenNumbers.random.floats("normalSingle")))
    torch = TorchGenerator(seed: 92)
    let many = try torch.randn(Float.self, shape: [200_000]).elements
    #expect(
      many.reduce(0) { $0 + UInt64($1.bitPattern) } == GoldenNumbers.random.sum("normalSingleSum"))
  }

  @Test func senselessRequestsAreErrors() {
    var torch = TorchGenerator(seed: 1)
    let before = torch
    #expect(throws: RecurrentError.self) { try torch.uniform(Float.self, shape: [-1]) }
    #expect(throws: RecurrentError.self) { try torch.uniform(Float.self, shape: [.max, 2]) }
    #expect(throws: RecurrentError.self) {
      try torch.uniform(Float.self, shape: [2], from: 1, to: 0)
    }
    #expect(throws: RecurrentError.self) {
      try torch.uniform(Float.self, shape: [2], to: .infinity)
    }
    #expect(throws: RecurrentError.self) {
      try torch.normal(Float.self, shape: [2], standardDeviation: -1)
    }
    #expect(throws: RecurrentError.self) { try torch.randint(3..<3, count: 1) }
    #expect(throws: RecurrentError.self) { try torch.randperm(-1) }
    #expect(throws: RecurrentError.self) { try torch.randperm(.max) }
    #expect(throws: RecurrentError.self) { try torch.dropoutMask(Float.self, shape: [2], p: 1.1) }
    #expect(throws: RecurrentError.self) { try torch.exponential(Float.self, shape: [2], rate: 0) }
    #expect(throws: RecurrentError.self) { try torch.multinomial([Float](), count: 1) }
    #expect(throws: RecurrentError.self) { try torch.multinomial([1, -1] as [Float]) }
    #expect(throws: RecurrentError.self) { try torch.multinomial([1, .nan] as [Float]) }
    #expect(throws: RecurrentError.self) { try torch.multinomial([1, 0] as [Float], count: 2) }
    #expect(throws: RecurrentError.self) { try torch.randomSplit([3, -1]) }
    #expect(torch == before)
  }
}
