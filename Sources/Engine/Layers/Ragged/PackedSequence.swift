import Tensors

/// A ragged batch without its padding, as `torch.nn.utils.rnn.PackedSequence`.
///
/// A network runs on it, and as well on a padded batch with `lengths`.
public struct PackedSequence<S: Scalar>: Sendable, Equatable {
  /// The valid steps (rows, …), time step by time step, the rows of a step by falling length.
  public let data: NDArray<S>
  /// How many rows each time step has.
  public let batchSizes: [Int]
  /// The caller's batch row of each sorted row; equal lengths keep their order.
  public let sortedIndices: [Int]
  /// The sorted row of each of the caller's batch rows.
  public let unsortedIndices: [Int]

  /// Creates a packed sequence; throws `engine.packed` unless the parts fit each other.
  public init(data: NDArray<S>, batchSizes: [Int], sortedIndices: [Int]) throws {
    let batch = sortedIndices.count
    let falls = zip(batchSizes, batchSizes.dropFirst()).allSatisfy { $0 >= $1 }
    guard falls, batchSizes.first == batch || batchSizes.isEmpty && batch == 0,
      batchSizes.allSatisfy({ $0 > 0 && $0 <= batch }),
      sortedIndices.sorted() == Array(0..<batch), let rows = data.shape.first,
      rows == batchSizes.reduce(0, +), data.count == data.shape.reduce(1, *)
    else {
      throw RecurrentError(
        .enginePacked, at: "packed sequence",
        found: "data \(data.shape), \(batchSizes.count) batch sizes, \(batch) indices",
        expected: "one row of data for each unit of batch sizes that never rise")
    }
    self.init(trusted: data, batchSizes, sortedIndices)
  }

  init(trusted data: NDArray<S>, _ batchSizes: [Int], _ sortedIndices: [Int]) {
    self.data = data
    self.batchSizes = batchSizes
    self.sortedIndices = sortedIndices
    var places = sortedIndices
    for (row, original) in sortedIndices.enumerated() { places[original] = row }
    unsortedIndices = places
  }

  /// The length of each of the caller's batch rows.
  public var lengths: [Int] {
    unsortedIndices.map { row in batchSizes.prefix { $0 > row }.count }
  }
}

extension PackedSequence {
  /// Packs a padded batch (T, N, …), or (N, T, …) if `batchFirst`, as `pack_padded_sequence`.
  ///
  /// Throws `engine.lengths` for lengths of 0 or above T, and for unsorted ones if they must be sorted.
  public init(
    _ padded: NDArray<S>, lengths: [Int], batchFirst: Bool = false, enforceSorted: Bool = false
  ) throws {
    guard padded.shape.count >= 2, padded.count == padded.shape.reduce(1, *) else {
      throw RecurrentError(
        .engineInputRank, at: "padded batch", found: "shape \(padded.shape)",
        expected: "(T, N, …) or (N, T, …)")
    }
    let (steps, batch) = (padded.shape[batchFirst ? 1 : 0], padded.shape[batchFirst ? 0 : 1])
    let packing = try Packing(lengths: lengths, batch: batch, steps: steps)
    if enforceSorted, packing.order != Array(0..<batch) {
      throw RecurrentError(
        .engineLengths, at: "lengths", found: "lengths \(lengths)",
        asPyTorchSays:
          "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True")
    }
    let width = padded.shape[2...].reduce(1, *)
    var rows: [S] = []
    rows.reserveCapacity(packing.batchSizes.reduce(0, +) * width)
    for (step, count) in packing.batchSizes.enumerated() {
      for row in packing.order[..<count] {
        let start = (batchFirst ? row * steps + step : step * batch + row) * width
        rows += padded.elements[start..<start + width]
      }
    }
    let shape = [packing.batchSizes.reduce(0, +)] + padded.shape[2...]
    self.init(trusted: NDArray(trusted: shape, rows), packing.batchSizes, packing.order)
  }

  /// The padded batch (T, N, …), or (N, T, …) if `batchFirst`, and the lengths, as `pad_packed_sequence`.
  ///
  /// `totalLength` pads to more time steps than the longest row has; throws `engine.lengths` if it is less.
  public func padded(
    batchFirst: Bool = false, paddingValue: S = 0, totalLength: Int? = nil
  ) throws -> (padded: NDArray<S>, lengths: [Int]) {
    let longest = batchSizes.count
    let (steps, batch) = (totalLength ?? longest, sortedIndices.count)
    guard steps >= longest else {
      throw RecurrentError(
        .engineLengths, at: "totalLength", found: "total_length \(steps)",
        asPyTorchSays:
          "Expected total_length to be at least the length of the longest sequence in input, "
          + "but got total_length=\(steps) and max sequence length being \(longest)")
    }
    let features = data.shape[1...]
    let width = features.reduce(1, *)
    let shape = (batchFirst ? [batch, steps] : [steps, batch]) + features
    guard
      shape.reduce((1, false), { $0.1 ? $0 : $0.0.multipliedReportingOverflow(by: $1) }).1 == false
    else {
      throw RecurrentError(.engineShape, at: "totalLength", found: "shape \(shape)")
    }
    var elements = [S](repeating: paddingValue, count: steps * batch * width)
    var start = 0
    for (step, count) in batchSizes.enumerated() {
      for row in sortedIndices[..<count] {
        let place = (batchFirst ? row * steps + step : step * batch + row) * width
        for index in 0..<width { elements[place + index] = data.elements[start + index] }
        start += width
      }
    }
    return (NDArray(trusted: shape, elements), lengths)
  }

  /// Packs sequences (Tᵢ, …) of any order, as `pack_sequence`.
  ///
  /// Throws `engine.lengths` for an empty sequence, and for unsorted ones if they must be sorted.
  public init(_ sequences: [NDArray<S>], enforceSorted: Bool = false) throws {
    try self.init(
      NDArray(padding: sequences), lengths: sequences.map { $0.shape[0] },
      enforceSorted: enforceSorted)
  }

  /// The sequences (Tᵢ, …) in the caller's order, as `unpack_sequence`.
  public func sequences() throws -> [NDArray<S>] {
    let (padded, lengths) = try self.padded()
    return try padded.unpadded(lengths: lengths)
  }
}

extension NDArray where Element: Scalar {
  /// Stacks sequences (Tᵢ, …) into one padded batch (T, N, …), or (N, T, …) if `batchFirst`, as `pad_sequence`.
  ///
  /// The padding stands after the sequences, where everything else of the engine expects it, or before them if
  /// `onTheLeft` (`padding_side="left"`). Throws `engine.sequences` for no sequence, and for sequences whose
  /// other axes differ.
  public init(
    padding sequences: [NDArray], batchFirst: Bool = false, paddingValue: Element = 0,
    onTheLeft: Bool = false
  ) throws {
    guard let first = sequences.first, !first.shape.isEmpty else {
      throw RecurrentError(
        .engineSequences, at: "sequences", found: "no sequences of at least one axis",
        expected: "at least one sequence (T, …)")
    }
    let features = first.shape[1...]
    for (index, sequence) in sequences.enumerated() {
      guard sequence.shape.dropFirst() == features, sequence.count == sequence.shape.reduce(1, *)
      else {
        throw RecurrentError(
          .engineSequences, at: "sequence \(index)", found: "shape \(sequence.shape)",
          expected: "(T, \(features.map(String.init).joined(separator: ", ")))")
      }
    }
    let (steps, batch) = (sequences.map { $0.shape[0] }.max() ?? 0, sequences.count)
    let width = features.reduce(1, *)
    var elements = [Element](repeating: paddingValue, count: steps * batch * width)
    for (row, sequence) in sequences.enumerated() {
      let start = onTheLeft ? steps - sequence.shape[0] : 0
      for step in 0..<sequence.shape[0] {
        let target = start + step
        let place = (batchFirst ? row * steps + target : target * batch + row) * width
        for index in 0..<width { elements[place + index] = sequence.elements[step * width + index] }
      }
    }
    self.init(trusted: (batchFirst ? [batch, steps] : [steps, batch]) + features, elements)
  }

  /// The rows (Tᵢ, …) of a padded batch (T, N, …), or (N, T, …) if `batchFirst`, without their padding, as
  /// `unpad_sequence`.
  ///
  /// Throws `engine.lengths` for lengths of 0 or above T.
  public func unpadded(lengths: [Int], batchFirst: Bool = false) throws -> [NDArray] {
    let packed = try PackedSequence(self, lengths: lengths, batchFirst: batchFirst)
    let features = packed.data.shape[1...]
    let width = features.reduce(1, *)
    return packed.unsortedIndices.enumerated().map { row, sorted in
      var elements: [Element] = []
      var first = 0
      for count in packed.batchSizes.prefix(lengths[row]) {
        elements += packed.data.elements[(first + sorted) * width..<(first + sorted + 1) * width]
        first += count
      }
      return NDArray(trusted: [lengths[row]] + features, elements)
    }
  }
}

extension RNN {
  /// Runs the network on a packed sequence; the states stay in the caller's order, as in PyTorch.
  ///
  /// Throws as for a padded batch with `lengths`.
  public func callAsFunction(
    _ packed: PackedSequence<S>, h0: NDArray<S>? = nil, c0: NDArray<S>? = nil
  ) throws -> (output: PackedSequence<S>, hN: NDArray<S>, cN: NDArray<S>?) {
    let (padded, lengths) = try packed.padded(batchFirst: configuration.batchFirst)
    let result = try self(padded, h0: h0, c0: c0, lengths: lengths)
    let output = try PackedSequence(
      result.output, lengths: lengths, batchFirst: configuration.batchFirst)
    return (output, result.hN, result.cN)
  }
}
