import Tensors

/// Where a network in training gets its dropout masks from.
///
/// A mask says of each element whether it is kept. It is drawn for the output of every layer but the
/// last, in the order of PyTorch's memory: (T, N, D·S) row-major, even if `batchFirst`, and for a ragged
/// batch only the valid steps, rows sorted by falling length (equal lengths in the caller's order).
public struct DropoutMasks {
  private let draw: (_ count: Int, _ keepProbability: Double) throws -> [Bool]

  /// Draws masks from a generator: so many elements, each kept with that probability.
  ///
  /// What the closure throws, the network throws; it throws `engine.dropout-mask` for a mask of another size.
  public init(_ draw: @escaping (_ count: Int, _ keepProbability: Double) throws -> [Bool]) {
    self.draw = draw
  }

  /// PyTorch's masks, bit for bit: drawn from a copy of `generator`, which goes on from mask to mask.
  ///
  /// Where something else draws between the masks, capture a generator in `init(_:)` instead.
  public init(_ generator: TorchGenerator) {
    var generator = generator
    self.init { count, keep in (0..<count).map { _ in generator.nextDouble() < keep } }
  }

  /// The factors of a mask, 0 or 1/(1 − p); nothing is drawn if p is 1, as in PyTorch.
  func scales<S: Scalar>(count: Int, probability: Double) throws -> [S] {
    if probability == 1 || count == 0 { return [S](repeating: 0, count: count) }
    let mask = try draw(count, 1 - probability)
    guard mask.count == count else {
      throw RecurrentError(
        .engineDropoutMask, at: "dropout", found: "a mask of \(mask.count) elements",
        expected: "\(count)")
    }
    let scale = 1 / S(1 - probability)
    return mask.map { $0 ? scale : 0 }
  }
}
