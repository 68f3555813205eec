import Tensors

// Choosing: which class, which order.

extension TorchGenerator {
  /// Class indices drawn with the given weights, as `torch.multinomial(weights, count, replacement)`.
  ///
  /// Without replacement the indices differ, and no more can be drawn than there are positive weights.
  /// Throws `random.weights` for a negative or non-finite weight, for a sum of 0 and for too many draws.
  public mutating func multinomial<S: Scalar>(
    _ weights: [S], count: Int = 1, replacement: Bool = false
  ) throws -> [Int] {
    let total = weights.reduce(0, +)
    guard total > 0, total.isFinite, weights.allSatisfy({ $0 >= 0 }) else {
      throw RecurrentError(
        .randomWeights, found: "weights of sum \(total)",
        expected: "finite weights of at least 0 with a positive sum")
    }
    let available = weights.count { $0 > 0 }
    guard count > 0, replacement || count <= available else {
      throw RecurrentError(
        .randomWeightsArgument, found: "\(count) draws without replacement",
        expected: "a number from 1 to \(available), the number of positive weights")
    }
    return replacement && count > 1
      ? withReplacement(weights, count) : try withoutReplacement(weights, count)
  }

  // The race of exponential clocks: the class whose weight over an exponential number is largest.
  private mutating func withoutReplacement<S: Scalar>(_ weights: [S], _ count: Int) throws -> [Int]
  {
    let clocks = try exponential(S.self, shape: [weights.count]).elements
    let speeds = zip(weights, clocks).map { $0 / $1 }
    if count == 1 {
      var best = 0
      for index in speeds.indices where speeds[index] > speeds[best] { best = index }
      return [best]
    }
    let order = speeds.indices.sorted { (speeds[$0], $1) > (speeds[$1], $0) }
    return Array(order.prefix(count))
  }

  private mutating func withReplacement<S: Scalar>(_ weights: [S], _ count: Int) -> [Int] {
    var sum: S = 0
    var cumulative = weights.map { weight -> S in
      sum += weight
      return sum
    }
    for index in cumulative.indices { cumulative[index] /= sum }
    cumulative[cumulative.count - 1] = 1
    return (0..<count).map { _ in
      let draw = nextDouble()
      var (low, high) = (0, cumulative.count)
      while low < high {
        let middle = (low + high) / 2
        if Double(cumulative[middle]) < draw { low = middle + 1 } else { high = middle }
      }
      return low
    }
  }

  /// The order in which one epoch of `DataLoader(dataset, shuffle=True)` visits `count` examples.
  ///
  /// Each epoch draws the workers' base seed, then the sampler's seed, from PyTorch's global generator.
  ///
  /// Throws `random.range` for a negative count.
  public mutating func dataLoaderOrder(_ count: Int) throws -> [Int] {
    _ = nextSeed()
    var sampler = TorchGenerator(seed: nextSeed())
    return try sampler.randperm(count)
  }

  /// The order of one epoch of `DataLoader(dataset, shuffle=True, generator=g)`, this generator being `g`.
  ///
  /// Each epoch draws the workers' base seed from `g`, then the permutation itself, and at its end one
  /// more permutation, of which the sampler takes none.
  ///
  /// Throws `random.range` for a negative count.
  public mutating func dataLoaderOrderAsGenerator(_ count: Int) throws -> [Int] {
    _ = nextSeed()
    let order = try randperm(count)
    _ = try randperm(count)
    return order
  }

  /// The indices of each part, as `torch.utils.data.random_split(dataset, lengths)`.
  ///
  /// Throws `random.range` for a negative length.
  public mutating func randomSplit(_ lengths: [Int]) throws -> [[Int]] {
    guard lengths.allSatisfy({ $0 >= 0 }) else {
      throw RecurrentError(
        .randomRange, found: "parts of \(lengths)", expected: "lengths of at least 0")
    }
    var order = try randperm(lengths.reduce(0, +))[...]
    return lengths.map { length in
      defer { order = order.dropFirst(length) }
      return Array(order.prefix(length))
    }
  }
}
