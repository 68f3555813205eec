import Tensors

/// PyTorch's CPU generator: equal seeds give the numbers that Python gives.
///
/// The generator is a value: a copy continues on its own, and keeping one is saving its state.
public struct TorchGenerator: Sendable, Equatable {
  /// The seed that a `torch.Generator()` has before `manual_seed`.
  public static let defaultSeed: UInt64 = 67_280_421_310_721

  /// The seed, as `torch.initial_seed()`.
  public private(set) var initialSeed: UInt64
  var engine: MersenneTwister
  // The second number of a pair that Box and Muller's method made, for the next call.
  var spareNormal: Double?

  /// Creates a generator as `torch.manual_seed(seed)`; only the low 32 bits matter for the numbers.
  public init(seed: UInt64 = TorchGenerator.defaultSeed) {
    initialSeed = seed
    engine = MersenneTwister(seed: UInt32(truncatingIfNeeded: seed))
  }

  /// Creates a generator as `torch.manual_seed(seed)`; a negative seed wraps to `2⁶⁴ + seed`.
  public init(seed: Int) { self.init(seed: UInt64(bitPattern: Int64(seed))) }

  /// 32 random bits.
  public mutating func next32() -> UInt32 { engine.next32() }

  /// 64 random bits: two words, the high one first.
  public mutating func next64() -> UInt64 {
    let high = UInt64(engine.next32())
    return high << 32 | UInt64(engine.next32())
  }

  /// A number of `[0, 1)` with 53 random bits.
  public mutating func nextDouble() -> Double {
    Double(next64() & (1 << 53 - 1)) * 0x1p-53
  }

  /// A seed for another generator, as `torch.empty((), dtype=torch.int64).random_()`.
  public mutating func nextSeed() -> UInt64 { next64() & (1 << 63 - 1) }
}

// `torch.get_rng_state()`, 5056 bytes, little-endian: 0 seed (8), 8 words left (4), 12 seeded (4),
// 16 next word (8), 24 624 words (8 each), 5016 unused (8), 5024 spare normal (8), 5032 unused (8),
// 5040 spare valid (4), 5044 padding (4), 5048 spare single normal and its flag (8).
extension TorchGenerator {
  private static let stateSize = 5056

  /// The state as `torch.get_rng_state()` gives it, 5056 bytes.
  public var stateBytes: [UInt8] {
    var bytes = [UInt8](repeating: 0, count: Self.stateSize)
    func put(_ value: UInt64, at place: Int, count: Int = 8) {
      for index in 0..<count {
        bytes[place + index] = UInt8(truncatingIfNeeded: value >> (8 * UInt64(index)))
      }
    }
    // Right after seeding PyTorch writes that one word is left and the next is word 0.
    let fresh = engine.used == MersenneTwister.size && !drawn
    put(initialSeed, at: 0)
    put(fresh ? 1 : UInt64(MersenneTwister.size - engine.used + 1), at: 8, count: 4)
    put(1, at: 12, count: 4)
    put(fresh ? 0 : UInt64(engine.used), at: 16)
    for (index, word) in engine.words.enumerated() { put(UInt64(word), at: 24 + 8 * index) }
    if let spareNormal {
      put(spareNormal.bitPattern, at: 5024)
      put(1, at: 5040, count: 4)
    }
    return bytes
  }

  // Whether any word was drawn: a used-up state differs from a freshly seeded one.
  private var drawn: Bool {
    engine != MersenneTwister(seed: UInt32(truncatingIfNeeded: initialSeed))
  }

  /// Continues from a state of `torch.get_rng_state()`; throws `random.state` if it is not one.
  public init(stateBytes bytes: [UInt8]) throws {
    func get(_ place: Int, count: Int = 8) -> UInt64 {
      (0..<count).reduce(0) { $0 | UInt64(bytes[place + $1]) << (8 * UInt64($1)) }
    }
    guard bytes.count == Self.stateSize else {
      throw RecurrentError(
        .randomState, found: "a state of \(bytes.count) bytes",
        expected: "\(Self.stateSize), as torch.get_rng_state() writes")
    }
    let (left, next) = (get(8, count: 4), get(16))
    let size = UInt64(MersenneTwister.size)
    guard get(12, count: 4) == 1, left >= 1, left <= size,
      left + next == size + 1 || (left == 1 && next == 0)
    else {
      throw RecurrentError(
        .randomState, found: "\(left) words left and \(next) used",
        expected: "\(size + 1) together")
    }
    self.init(seed: get(0))
    for index in engine.words.indices {
      guard let word = UInt32(exactly: get(24 + 8 * index)) else {
        throw RecurrentError(
          .randomState, at: "word \(index)", found: "more than 32 bits")
      }
      engine.words[index] = word
    }
    engine.used = left == 1 ? MersenneTwister.size : Int(next)
    spareNormal = get(5040, count: 4) == 0 ? nil : Double(bitPattern: get(5024))
  }
}
