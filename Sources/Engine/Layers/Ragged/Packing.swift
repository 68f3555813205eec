import Tensors

/// The order and the batch sizes of a ragged batch.
struct Packing: Sendable, Equatable {
  /// The batch rows by falling length; equal lengths keep their order.
  let order: [Int]
  /// How many rows are alive at each step.
  let batchSizes: [Int]

  /// Throws `engine.lengths` unless there is a length of 1 to `steps` for each row of the batch.
  init(lengths: [Int], batch: Int, steps: Int) throws {
    guard lengths.count == batch else {
      throw RecurrentError(
        .engineLengths, at: "lengths", found: "\(lengths.count) lengths",
        asPyTorchSays:
          "Expected `len(lengths)` to be equal to batch_size, but got \(lengths.count) "
          + "(batch_size=\(batch))")
    }
    for (row, length) in lengths.enumerated() where length < 1 || length > steps {
      let place = "lengths, row \(row)"
      guard length >= 1 else {
        throw RecurrentError(
          .engineLengths, at: place, found: "length \(length)",
          asPyTorchSays: "Length of all samples has to be greater than 0")
      }
      throw RecurrentError(
        .engineLengths, at: place, found: "length \(length)",
        expected: "at most \(steps), the time steps")
    }
    // The standard sort is stable in fact but not by contract, and this order decides dropout masks.
    order = lengths.indices.sorted {
      lengths[$0] != lengths[$1] ? lengths[$0] > lengths[$1] : $0 < $1
    }
    let sorted = order.map { lengths[$0] }
    var alive = batch
    batchSizes = (0..<(sorted.first ?? 0)).map { step in
      while alive > 0, sorted[alive - 1] <= step { alive -= 1 }
      return alive
    }
  }
}
