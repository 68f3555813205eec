/// NumPy's legacy generator, `np.random.seed(seed)` or `RandomState(seed)`; bit-equal.
///
/// The generator is a value: a copy continues on its own, and keeping one is saving its state.
public struct NumPyRandomState: NumPyRandom, Equatable {
  private var engine: MersenneTwister
  private var spareNormal: Double?

  /// Creates a generator as `RandomState(seed)`.
  public init(seed: UInt32) { engine = MersenneTwister(seed: seed) }

  /// 32 random bits.
  public mutating func next32() -> UInt32 { engine.next32() }

  /// A number of `[0, 1)` with 53 random bits, as `random_sample()` and `random()`.
  public mutating func random() -> Double {
    let (high, low) = (engine.next32() >> 5, engine.next32() >> 6)
    return (Double(high) * 0x1p26 + Double(low)) / 0x1p53
  }

  /// A standard normal number, as `randn()` and `standard_normal()`: Marsaglia's polar method, the
  /// second of the pair first.
  public mutating func standardNormal() -> Double {
    if let spare = spareNormal {
      spareNormal = nil
      return spare
    }
    var (x, y, square) = (0.0, 0.0, 0.0)
    repeat {
      x = 2 * random() - 1
      y = 2 * random() - 1
      square = x * x + y * y
    } while square >= 1 || square == 0
    let factor = (-2 * Double.log(square) / square).squareRoot()
    spareNormal = factor * x
    return factor * y
  }

  /// A whole number of 0...highest: masked draws until one fits.
  public mutating func integer(through highest: UInt64) -> UInt64 {
    if highest == 0 { return 0 }
    let mask = UInt64.max >> UInt64(highest.leadingZeroBitCount)
    while true {
      var word = UInt64(engine.next32())
      if highest > 0xFFFF_FFFF { word = word << 32 | UInt64(engine.next32()) }
      if word & mask <= highest { return word & mask }
    }
  }

  /// A place of 0...highest, drawn as any integer.
  public mutating func place(through highest: Int) -> Int { Int(integer(through: UInt64(highest))) }
}

/// The names of the legacy functions.
extension NumPyRandomState {
  /// Uniform numbers of `[0, 1)`, as `random_sample(shape)` and `rand(…)`.
  public mutating func randomSample(shape: [Int]) throws -> NDArray<Double> {
    try random(shape: shape)
  }

  /// Standard normal numbers, as `randn(…)`.
  public mutating func randn(shape: [Int]) throws -> NDArray<Double> { try normal(shape: shape) }

  /// Integers within bounds, as `randint(low, high, count)`.
  ///
  /// Throws `random.range` for empty bounds or a negative count.
  public mutating func randint(_ bounds: Range<Int>, count: Int) throws -> [Int] {
    try integers(bounds, count: count)
  }
}
