import Tensors
import Testing

@testable import RNNEngine

@Suite("Random numbers have NumPy's bits")
struct NumPyTests {
  struct Streams: Sendable {
    var seed: UInt64
    var normal: [Double], integers: [Int], random: [Double], wide: [Int]
    var permutation: [Int], shuffled: [Int], uniform: [Double]

    init(seed: UInt64) {
      let numbers = GoldenNumbers.random
      self.seed = seed
      (normal, random) = (
        numbers.doubles("numpyNormal\(seed)"), numbers.doubles("numpyRandom\(seed)")
      )
      (integers, wide) = (
        numbers.integers("numpyIntegers\(seed)"), numbers.integers("numpyIntegersWide\(seed)")
      )
      (permutation, shuffled) = (
        numbers.integers("numpyPermutation\(seed)"), numbers.integers("numpyShuffle\(seed)")
      )
      uniform = numbers.doubles("numpyUniform\(seed)")
    }
  }

  @Test(arguments: [0, 42, 1 << 40 + 7].map(Streams.init))
  func everyStreamHasNumPysBits(_ expected: Streams) throws {
    var rng = NumPyGenerator(seed: expected.seed)
    #expect(sameBits(try rng.normal(1.5, 0.1, shape: [60]).elements, expected.normal))
    #expect(try rng.integers(0..<5, count: 7) == expected.integers)
    #expect(sameBits(try rng.random(shape: [11]).elements, expected.random))
    var wide = try rng.integers(-3..<(1 << 32 - 3), count: 3)
    wide += try rng.integers(0..<(1 << 32 - 1), count: 3)
    wide += try rng.integers((-1 << 62)..<(1 << 62 + 5), count: 3)
    #expect(wide == expected.wide)
    #expect(rng.permutation(20) == expected.permutation)
    var items = Array(0..<9)
    rng.shuffle(&items)
    #expect(items == expected.shuffled)
    #expect(sameBits(try rng.uniform(-2, 3, shape: [5]).elements, expected.uniform))
  }

  /// Many enough to meet the wedges and the tail of the ziggurat.
  @Test func aFifthOfAMillionNormals() throws {
    var rng = NumPyGenerator(seed: 3)
    let numbers = try rng.normal(shape: [200_000]).elements
    #expect(numbers.reduce(0) { $0 &+ $1.bitPattern } == GoldenNumbers.random.sum("numpyNormalSum"))
    #expect([numbers.min(), numbers.max()] == GoldenNumbers.random.doubles("numpyNormalExtremes"))
  }

  @Test func longSeeds() throws {
    var rng = NumPyGenerator(entropy: [1, 2, 3, 4, 5, 6])
    #expect(
      sameBits(try rng.random(shape: [4]).elements, GoldenNumbers.random.doubles("numpyEntropy")))
  }

  @Test func legacyStreamsHaveNumPysBits() throws {
    var legacy = NumPyRandomState(seed: 1234)
    #expect(
      sameBits(
        try legacy.randomSample(shape: [11]).elements, GoldenNumbers.random.doubles("legacySample"))
    )
    #expect(
      sameBits(try legacy.randn(shape: [31]).elements, GoldenNumbers.random.doubles("legacyRandn")))
    #expect(
      sameBits(
        try legacy.normal(2, 0.5, shape: [10]).elements,
        GoldenNumbers.random.doubles("legacyNormal")))
    #expect(
      sameBits(
        try legacy.uniform(-1, 3, shape: [10]).elements,
        GoldenNumbers.random.doubles("legacyUniform")))
    #expect(try legacy.randint(0..<10, count: 20) == GoldenNumbers.random.integers("legacyRandint"))
    #expect(
      try legacy.randint((-1 << 40)..<(1 << 50), count: 5)
        == GoldenNumbers.random.integers("legacyRandintWide"))
    #expect(legacy.permutation(20) == GoldenNumbers.random.integers("legacyPermutation"))
    var items = Array(0..<9)
    legacy.shuffle(&items)
    #expect(items == GoldenNumbers.random.integers("legacyShuffle"))
  }

  @Test func senselessRequestsAreErrors() {
    var rng = NumPyGenerator(seed: 1)
    var legacy = NumPyRandomState(seed: 1)
    #expect(throws: RecurrentError.self) { try rng.normal(shape: [-1]) }
    #expect(throws: RecurrentError.self) { try rng.normal(0, -1, shape: [1]) }
    #expect(throws: RecurrentError.self) { try rng.integers(0..<0, count: 1) }
    #expect(throws: RecurrentError.self) { try legacy.randn(shape: [.max, .max]) }
    #expect(throws: RecurrentError.self) { try legacy.normal(0, -1, shape: [1]) }
    #expect(throws: RecurrentError.self) { try legacy.randint(5..<5, count: 1) }
  }
}
