import Tensors

/// NumPy's legacy generator, `np.random.seed(seed)` or `RandomState(seed)`; bit-equal.
///
/// The generator is a value: a copy continues on its own, and keeping one is saving its state.
public struct NumPyRandomState: Sendable, Equatable {
  private var engine: MersenneTwister
  private var spareNormal: Double?

  /// Creates a generator as `RandomState(seed)`.
  public init(seed: UInt32) { engine = MersenneTwister(seed: seed) }

  /// 32 random bits.
  public mutating func next32() -> UInt32 { engine.next32() }

  /// A number of `[0, 1)` with 53 random bits, as `random_sample()`.
  public mutating func randomSample() -> Double {
    let (high, low) = (engine.next32() >> 5, engine.next32() >> 6)
    return (Double(high) * 0x1p26 + Double(low)) / 0x1p53
  }

  /// A standard normal number, as `randn()`: Marsaglia's polar method, the second of the pair first.
  public mutating func randn() -> Double {
    if let spare = spareNormal {
      spareNormal = nil
      return spare
    }
    var (x, y, square) = (0.0, 0.0, 0.0)
    repeat {
      x = 2 * randomSample() - 1
      y = 2 * randomSample() - 1
      square = x * x + y * y
    } while square >= 1 || square == 0
    let factor = (-2 * Double.log(square) / square).squareRoot()
    spareNormal = factor * x
    return factor * y
  }

  // An integer of 0...highest: masked draws until one fits.
  private mutating func bounded(_ highest: UInt64) -> UInt64 {
    if highest == 0 { return 0 }
    let mask = UInt64.max >> UInt64(highest.leadingZeroBitCount)
    while true {
      var word = UInt64(engine.next32())
      if highest > 0xFFFF_FFFF { word = word << 32 | UInt64(engine.next32()) }
      if word & mask <= highest { return word & mask }
    }
  }
}

extension NumPyRandomState {
  /// Uniform numbers of `[0, 1)`, as `random_sample(shape)` and `rand(…)`.
  public mutating func randomSample(shape: [Int]) throws -> NDArray<Double> {
    NDArray(trusted: shape, try (0..<checkedCount(shape)).map { _ in randomSample() })
  }

  /// Uniform numbers of `[low, high)`, as `uniform(low, high, shape)`.
  public mutating func uniform(_ low: Double = 0, _ high: Double = 1, shape: [Int]) throws
    -> NDArray<Double>
  {
    NDArray(
      trusted: shape, try (0..<checkedCount(shape)).map { _ in low + (high - low) * randomSample() }
    )
  }

  /// Standard normal numbers, as `randn(…)`.
  public mutating func randn(shape: [Int]) throws -> NDArray<Double> {
    NDArray(trusted: shape, try (0..<checkedCount(shape)).map { _ in randn() })
  }

  /// Normal numbers, as `normal(mean, deviation, shape)`.
  public mutating func normal(_ mean: Double = 0, _ deviation: Double = 1, shape: [Int]) throws
    -> NDArray<Double>
  {
    guard deviation >= 0 else {
      throw RecurrentError(
        .usage, "random.deviation", found: "a standard deviation of \(deviation)",
        expected: "at least 0")
    }
    return NDArray(
      trusted: shape, try (0..<checkedCount(shape)).map { _ in mean + deviation * randn() })
  }

  /// Integers within bounds, as `randint(low, high, count)`.
  public mutating func randint(_ bounds: Range<Int>, count: Int) throws -> [Int] {
    let (low, high) = (bounds.lowerBound, bounds.upperBound)
    guard low < high, count >= 0 else {
      throw RecurrentError(
        .usage, "random.range", found: "\(count) integers of \(bounds)",
        expected: "a count of at least 0 and bounds that differ")
    }
    let highest = UInt64(bitPattern: Int64(high)) &- UInt64(bitPattern: Int64(low)) - 1
    return (0..<count).map { _ in low &+ Int(truncatingIfNeeded: bounded(highest)) }
  }

  /// Shuffles in place, as `shuffle`.
  public mutating func shuffle<T>(_ items: inout [T]) {
    for index in items.indices.dropFirst().reversed() {
      items.swapAt(index, Int(bounded(UInt64(index))))
    }
  }

  /// The numbers `0..<count` in random order, as `permutation(count)`.
  public mutating func permutation(_ count: Int) -> [Int] {
    var order = Array(0..<max(0, count))
    shuffle(&order)
    return order
  }
}
