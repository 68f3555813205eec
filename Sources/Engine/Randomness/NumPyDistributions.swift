import Tensors

/// What NumPy's two generators have in common, under the names of `default_rng`.
///
/// The distributions are built from the same four draws; the bits of each draw are the generator's own.
public protocol NumPyRandom: Sendable {
  /// 32 random bits.
  mutating func next32() -> UInt32
  /// A number of `[0, 1)`, as `random()`.
  mutating func random() -> Double
  /// A standard normal number, as `standard_normal()`.
  mutating func standardNormal() -> Double
  /// A whole number of 0...highest, as `integers` and `randint` draw it.
  mutating func integer(through highest: UInt64) -> UInt64
  /// A place of 0...highest, as `shuffle` draws it.
  mutating func place(through highest: Int) -> Int
}

extension NumPyRandom {
  /// Uniform numbers of `[0, 1)`, as `random(shape)`; throws `engine.shape` for a negative or too large shape.
  public mutating func random(shape: [Int]) throws -> NDArray<Double> {
    NDArray(trusted: shape, try (0..<checkedCount(shape)).map { _ in random() })
  }

  /// Uniform numbers of `[low, high)`, as `uniform(low, high, shape)`; throws `engine.shape` for a negative or too
  /// large shape.
  public mutating func uniform(_ low: Double = 0, _ high: Double = 1, shape: [Int]) throws
    -> NDArray<Double>
  {
    NDArray(
      trusted: shape, try (0..<checkedCount(shape)).map { _ in low + (high - low) * random() })
  }

  /// Normal numbers, as `normal(mean, deviation, shape)`.
  ///
  /// Throws `random.deviation` for a negative deviation, `engine.shape` for a negative or too large shape.
  public mutating func normal(_ mean: Double = 0, _ deviation: Double = 1, shape: [Int]) throws
    -> NDArray<Double>
  {
    guard deviation >= 0 else {
      throw RecurrentError(
        .randomDeviation, found: "a standard deviation of \(deviation)",
        expected: "at least 0")
    }
    return NDArray(
      trusted: shape, try (0..<checkedCount(shape)).map { _ in mean + deviation * standardNormal() }
    )
  }

  /// Integers within bounds, as `integers(low, high, count)`.
  ///
  /// Throws `random.range` for empty bounds or a negative count.
  public mutating func integers(_ bounds: Range<Int>, count: Int) throws -> [Int] {
    let (low, high) = (bounds.lowerBound, bounds.upperBound)
    guard low < high, count >= 0 else {
      throw RecurrentError(
        .randomRange, found: "\(count) integers of \(bounds)",
        expected: "a count of at least 0 and bounds that differ")
    }
    let highest = UInt64(bitPattern: Int64(high)) &- UInt64(bitPattern: Int64(low)) - 1
    return (0..<count).map { _ in low &+ Int(truncatingIfNeeded: integer(through: highest)) }
  }

  /// Shuffles in place, as `shuffle`.
  public mutating func shuffle<T>(_ items: inout [T]) {
    for index in items.indices.dropFirst().reversed() {
      items.swapAt(index, place(through: index))
    }
  }

  /// The numbers `0..<count` in random order, as `permutation(count)`.
  public mutating func permutation(_ count: Int) -> [Int] {
    var order = Array(0..<max(0, count))
    shuffle(&order)
    return order
  }
}
