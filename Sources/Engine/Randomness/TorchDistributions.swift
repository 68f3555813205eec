import HostSystem
import Tensors

// How PyTorch's CPU kernels turn random words into numbers. Multiplications are fused with additions
// where PyTorch's compiler fuses them: without, half of the uniform numbers differ in the last bit.

extension TorchGenerator {
  /// Uniform numbers of `[from, to)`, as `Tensor.uniform_`: one word each in single precision, two in
  /// double; bit-equal.
  ///
  /// Throws `random.range` for bounds in the wrong order, `engine.shape` for a negative or too large shape.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  public mutating func uniform<S: Scalar>(
    _ type: S.Type = S.self, shape: [Int], from: Double = 0, to: Double = 1
  ) throws -> NDArray<S> {
    guard from <= to, to - from <= Double(S.greatestFiniteMagnitude) else {
      throw RecurrentError(
        .randomRange, found: "a range from \(from) to \(to)",
        expected: "a finite range from low to high")
    }
    let count = try checkedCount(shape)
    let (low, high) = (S(from), S(to))
    let width = high - low
    var elements: [S] = []
    elements.reserveCapacity(count)
    for _ in 0..<count {
      let value = low.addingProduct(unit(S.self), width)
      elements.append(value == high ? low : value)
    }
    return NDArray(trusted: shape, elements)
  }

  /// Normal numbers, as `torch.normal` and `Tensor.normal_`: by pairs below 16 elements, in blocks of 16
  /// from there on, which are different streams. Bit-equal to PyTorch on x86-64 with AVX2.
  ///
  /// Throws `random.deviation` for a negative deviation, `engine.shape` for a negative or too large shape.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  public mutating func normal<S: Scalar>(
    _ type: S.Type = S.self, shape: [Int], mean: Double = 0, standardDeviation: Double = 1
  ) throws -> NDArray<S> {
    guard standardDeviation >= 0 else {
      throw RecurrentError(
        .randomDeviation, found: "a standard deviation of \(standardDeviation)",
        expected: "at least 0")
    }
    let count = try checkedCount(shape)
    if count < 16 {
      let elements = (0..<count).map { _ in
        S(mean.addingProduct(nextNormal(), standardDeviation))
      }
      return NDArray(trusted: shape, elements)
    }
    var elements = (0..<count).map { _ in unit(S.self) }
    let (center, width) = (S(mean), S(standardDeviation))
    for start in stride(from: 0, through: count - 16, by: 16) {
      boxMuller16(&elements, start, center, width)
    }
    if count % 16 != 0 {
      for index in count - 16..<count { elements[index] = unit(S.self) }
      boxMuller16(&elements, count - 16, center, width)
    }
    return NDArray(trusted: shape, elements)
  }

  /// Standard normal numbers, as `torch.randn`.
  public mutating func randn<S: Scalar>(_ type: S.Type = S.self, shape: [Int]) throws -> NDArray<S>
  {
    try normal(type, shape: shape)
  }

  /// Integers within bounds, as `torch.randint(low, high, …)`; bit-equal.
  ///
  /// PyTorch takes one word, or two for a range of 2²⁸ and more (2.13).
  ///
  /// Throws `random.range` for empty bounds or a negative count.
  public mutating func randint(_ bounds: Range<Int>, count: Int) throws -> [Int] {
    let (low, high) = (bounds.lowerBound, bounds.upperBound)
    guard low < high, count >= 0 else {
      throw RecurrentError(
        .randomRange, found: "\(count) integers of \(bounds)",
        expected: "a count of at least 0 and bounds that differ")
    }
    let range = UInt64(bitPattern: Int64(high)) &- UInt64(bitPattern: Int64(low))
    return (0..<count).map { _ in
      let word = range >= 1 << 28 ? next64() : UInt64(next32())
      return low &+ Int(truncatingIfNeeded: word % range)
    }
  }

  /// The numbers `0..<count` in random order, as `torch.randperm`; bit-equal.
  ///
  /// Throws `random.range` for a negative count.
  public mutating func randperm(_ count: Int) throws -> [Int] {
    guard count >= 0, count < Int(UInt32.max) / 20 else {
      throw RecurrentError(
        .randomRange, found: "a permutation of \(count)",
        expected: "a number of at least 0 and below \(UInt32.max / 20)")
    }
    var order = Array(0..<count)
    for index in 0..<max(0, count - 1) {
      order.swapAt(index, index + Int(UInt64(next32()) % UInt64(count - index)))
    }
    return order
  }

  /// Ones with the given probability, else zeros, as `Tensor.bernoulli_(p)`; bit-equal.
  ///
  /// Throws `random.probability` unless it is of 0…1, `engine.shape` for a negative or too large shape.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  public mutating func bernoulli<S: Scalar>(
    _ type: S.Type = S.self, shape: [Int], probability: Double
  ) throws -> NDArray<S> {
    try checkProbability(probability)
    let count = try checkedCount(shape)
    return NDArray(
      trusted: shape, (0..<count).map { _ in nextDouble() < probability ? 1 : 0 })
  }

  /// A mask to multiply with: 0 with probability `p`, else `1 / (1 − p)`, as `torch.dropout`; bit-equal.
  ///
  /// With `p` 0 or 1, as in PyTorch, no random number is drawn.
  ///
  /// Throws `random.probability` unless `p` is of 0…1, `engine.shape` for a negative or too large shape.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  public mutating func dropoutMask<S: Scalar>(
    _ type: S.Type = S.self, shape: [Int], p: Double
  ) throws -> NDArray<S> {
    try checkProbability(p)
    let count = try checkedCount(shape)
    if p == 0 || p == 1 {
      return NDArray(trusted: shape, [S](repeating: 1 - S(p), count: count))
    }
    let scale = 1 / S(1 - p)
    return NDArray(trusted: shape, (0..<count).map { _ in nextDouble() < 1 - p ? scale : 0 })
  }

  /// Exponential numbers, as `Tensor.exponential_`: bit-equal in single precision, within one unit in
  /// the last place in double.
  ///
  /// Throws `random.rate` for a rate of 0 or below, `engine.shape` for a negative or too large shape.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  public mutating func exponential<S: Scalar>(
    _ type: S.Type = S.self, shape: [Int], rate: Double = 1
  ) throws -> NDArray<S> {
    guard rate > 0 else {
      throw RecurrentError(
        .randomRate, found: "a rate of \(rate)", expected: "more than 0")
    }
    let count = try checkedCount(shape)
    return NDArray(
      trusted: shape, (0..<count).map { _ in S(-1 / rate * Double.log1p(-nextDouble())) })
  }

  // A number of [0, 1) with as many random bits as S has.
  private mutating func unit<S: Scalar>(_ type: S.Type) -> S {
    S.significandBitCount == 23 ? S(next32() & 0xFF_FFFF) * S(0x1p-24) : S(nextDouble())
  }

  private mutating func nextNormal() -> Double {
    if let spare = spareNormal {
      spareNormal = nil
      return spare
    }
    let angle = 2 * Double.pi * nextDouble()
    let radius = (-2 * Double.log1p(-nextDouble())).squareRoot()
    spareNormal = radius * sin(angle)
    return radius * cos(angle)
  }

  // Eight pairs: the uniform numbers j and j + 8 become the normal numbers j and j + 8.
  private func boxMuller16<S: Scalar>(
    _ elements: inout [S], _ start: Int, _ mean: S, _ deviation: S
  ) {
    for first in start..<start + 8 {
      let second = first + 8
      let (x, y) = boxMuller(1 - elements[first], elements[second])
      elements[first] = mean.addingProduct(x, deviation)
      elements[second] = mean.addingProduct(y, deviation)
    }
  }

  private func boxMuller<S: Scalar>(_ u1: S, _ u2: S) -> (S, S) {
    if S.significandBitCount == 23 {
      let (first, second) = VectorNormals.pair(Float(u1), Float(u2))
      return (S(first), S(second))
    }
    let radius = (-2 * S.log(u1)).squareRoot()
    let angle = 2 * Double.pi * Double(u2)
    return (radius * S(cos(angle)), radius * S(sin(angle)))
  }
}

/// The number of elements; throws `engine.shape` for a negative extent or an overflow.
func checkedCount(_ shape: [Int]) throws -> Int {
  var count = 1
  for extent in shape {
    let (next, overflow) = count.multipliedReportingOverflow(by: extent)
    guard extent >= 0, !overflow else {
      throw RecurrentError(.engineShape, found: "shape \(shape)")
    }
    count = next
  }
  return count
}

private func checkProbability(_ p: Double) throws {
  guard p >= 0, p <= 1 else {
    throw RecurrentError(
      .randomProbability, found: "a probability of \(p)", expected: "between 0 and 1")
  }
}
