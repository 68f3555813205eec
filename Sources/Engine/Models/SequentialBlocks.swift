import Tensors

/// The order in which a long sequence is fed to a stateful model (documents D2 and D3).
///
/// Row r starts at r · ⌊length / rows⌋, every block goes on where the one before ended, and the end wraps
/// around. D2's example: length 1000, 10 steps, 2 rows; the rows start at 0 and 500, block 49 reads 490 to
/// 499 and 990 to 999, and block 50 reads 500 to 509 and 0 to 9.
public struct SequentialBlocks: Sendable, Equatable {
  /// The number of elements of the sequence.
  public let length: Int
  /// T, the steps of a block.
  public let steps: Int
  /// N, the rows of the batch.
  public let rows: Int

  /// Describes an order; throws `engine.blocks` unless 1 ≤ rows ≤ length and steps ≥ 1.
  public init(length: Int, steps: Int, rows: Int) throws {
    guard rows >= 1, rows <= length, steps >= 1 else {
      throw RecurrentError(
        .engineBlocks,
        found: "\(rows) rows and \(steps) steps of a sequence of \(length)",
        expected: "at least one step, and one element for every row")
    }
    self.length = length
    self.steps = steps
    self.rows = rows
  }

  /// The positions that a block reads, (T, N).
  public func positions(ofBlock block: Int) -> NDArray<Int> {
    let stride = length / rows
    // Reduced first, so that no number of blocks overflows.
    let start = (block % length) * (steps % length) % length
    let positions = (0..<steps).flatMap { step in
      (0..<rows).map { row in (row * stride + start + step % length) % length }
    }
    return NDArray(trusted: [steps, rows], positions)
  }

  /// A block of token ids with the tokens that follow them: the inputs and targets of a language model.
  ///
  /// Both are (T, N); the target of the last token is the first. Throws `engine.blocks` unless there
  /// are `length` tokens.
  public func languageModelBlock(_ block: Int, of tokens: [Int]) throws
    -> (inputs: NDArray<Int>, targets: NDArray<Int>)
  {
    guard tokens.count == length else {
      throw RecurrentError(
        .engineBlocks, found: "\(tokens.count) tokens", expected: "\(length)")
    }
    let positions = positions(ofBlock: block)
    return (
      positions.map { tokens[$0] }, positions.map { tokens[($0 + 1) % length] }
    )
  }
}
