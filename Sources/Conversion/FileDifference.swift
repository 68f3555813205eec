import Containers
import Frameworks
import Networks
import Tensors

/// What distinguishes the tensors of two files, name by name; found in pieces, whatever their size.
package struct FileDifference: Sendable {
  /// What became of one tensor.
  package enum Outcome: Sendable {
    /// Only the first file has it.
    case onlyInFirst
    /// Only the second file has it.
    case onlyInSecond
    /// The shapes differ, so no elements were compared.
    case shape([Int], [Int])
    /// Every byte is equal.
    case equal
    /// Elements differ, or their types do.
    case different(Deviation)
  }

  /// How far the elements of two tensors of one shape are apart.
  package struct Deviation: Sendable {
    /// The element types.
    package internal(set) var types: (DType, DType)
    /// The elements with other values; +0 and −0 are the same value, NaNs of any payload are too.
    package internal(set) var count = 0
    /// The largest |a − b|; infinite where only one of the two is finite.
    package internal(set) var absolute = 0.0
    /// The largest |a − b| / max(|a|, |b|).
    package internal(set) var relative = 0.0
    /// The element with the largest |a − b|; `nil` when all values agree.
    package internal(set) var index: Int?
    /// Both values there.
    package internal(set) var values = (0.0, 0.0)
  }

  /// The tensors in the order of the first file, then those that only the second has.
  package private(set) var tensors: [(name: Name, outcome: Outcome)] = []
  /// Metadata that differ, one line each; they do not make files differ.
  package let metadata: [String]

  /// Whether both files hold the same tensors, bit for bit; their order does not matter.
  package var areEqual: Bool {
    tensors.allSatisfy { if case .equal = $0.outcome { true } else { false } }
  }

  /// Compares two state dicts.
  package init(_ first: StateDict, _ second: StateDict) throws {
    var metadata: [String] = []
    for pair in first.metadata.pairs where second.metadata[pair.key] != pair.value {
      metadata.append("\(pair.key): \(pair.value) | \(second.metadata[pair.key] ?? "none")")
    }
    for pair in second.metadata.pairs where first.metadata[pair.key] == nil {
      metadata.append("\(pair.key): none | \(pair.value)")
    }
    self.metadata = metadata
    for entry in first.entries {
      let other = second[entry.name]
      tensors.append(
        (entry.name, try other.map { try Self.compare(entry.tensor, $0) } ?? .onlyInFirst))
    }
    for entry in second.entries where first[entry.name] == nil {
      tensors.append((entry.name, .onlyInSecond))
    }
  }

  private static func compare(_ first: Tensor, _ second: Tensor) throws -> Outcome {
    guard first.shape == second.shape else { return .shape(first.shape, second.shape) }
    if try first.isIdentical(to: second) { return .equal }
    return .different(try deviation(first, second))
  }

  /// How far two tensors of one shape are apart.
  package static func deviation(_ first: Tensor, _ second: Tensor) throws -> Deviation {
    var deviation = Deviation(types: (first.dtype, second.dtype))
    // Both are read side by side, a piece at a time.
    let step = 1 << 16
    for start in stride(from: 0, to: first.elementCount, by: step) {
      let end = min(first.elementCount, start + step)
      let (left, right) = try (first.numbers(start..<end), second.numbers(start..<end))
      for (offset, (a, b)) in zip(left, right).enumerated() {
        deviation.note(a, b, at: start + offset)
      }
    }
    return deviation
  }
}

extension FileDifference.Deviation {
  fileprivate mutating func note(_ a: Double, _ b: Double, at position: Int) {
    if a == b || (a.isNaN && b.isNaN) { return }
    count += 1
    var (distance, ratio) = (Double.infinity, Double.infinity)
    if a.isFinite, b.isFinite {
      distance = abs(a - b)
      // Halved, because the distance may be larger than any number.
      ratio = abs(a / 2 - b / 2) / max(abs(a), abs(b)) * 2
    }
    relative = max(relative, ratio)
    if index == nil || distance > absolute {
      (absolute, index, values) = (distance, position, (a, b))
    }
  }
}

extension Tensor {
  /// Some elements as binary64.
  fileprivate func numbers(_ range: Range<Int>) throws -> [Double] {
    var numbers: [Double] = []
    numbers.reserveCapacity(range.count)
    let window = try WindowSource(
      source, offset: range.lowerBound * dtype.byteCount, count: range.count * dtype.byteCount)
    try Tensor(dtype: dtype, shape: [range.count], source: window).forEachNumber { _, value in
      numbers.append(value)
    }
    return numbers
  }
}
