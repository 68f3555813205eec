// torch.nn.utils.weight_norm stores a weight as a length and a direction, w = g · v / ‖v‖:
//
//   weight_g, weight_v                                                  the old function
//   parametrizations.weight.original0, parametrizations.weight.original1    parametrizations.weight_norm
//
// v has the shape of the weight. The norm runs over every axis but one, where g is as long as v and
// otherwise 1; or, with dim=None, over all axes, and g is a scalar.

import Bytes
import Containers
import HostSystem
import Tensors

extension StateDict {
  /// The same tensors with every normalised weight folded into the weight that it stands for, and a
  /// line in `skipped` for each.
  ///
  /// The products are computed in binary64 when they are read, and rounded once. Pairs of tensors
  /// that only look like a normalised weight stay as they are.
  package func foldingWeightNorm() throws -> StateDict {
    var pairs: [Name: (base: Name, length: Tensor)] = [:]
    var lengths: Set<Name> = []
    for name in names {
      guard let (base, other) = Self.normalized(name), self[base] == nil,
        let length = self[other], let direction = self[name],
        FoldedSource.axis(length, direction) != nil
      else { continue }
      pairs[name] = (base, length)
      lengths.insert(other)
    }
    if pairs.isEmpty { return self }
    var result = StateDict()
    result.metadata = metadata
    result.structure = structure
    result.keepsOrder = keepsOrder
    result.skipped = skipped
    result.ties = ties.filter {
      let both = [$0.key, $0.value]
      return both.allSatisfy { pairs[$0] == nil && !lengths.contains($0) }
    }
    for entry in entries where !lengths.contains(entry.name) {
      guard let (base, length) = pairs[entry.name] else {
        try result.append(entry.name, entry.tensor)
        continue
      }
      let folded = try FoldedSource(length: length, direction: entry.tensor)
      try result.append(
        base, Tensor(dtype: entry.tensor.dtype, shape: entry.tensor.shape, source: folded))
      result.skipped.append("weight normalisation of \(base), folded into the weight: g v / |v|")
    }
    return result
  }

  /// The weight that a direction belongs to, and the name of the length.
  private static func normalized(_ name: Name) -> (base: Name, length: Name)? {
    let text = name.string
    if text.hasSuffix("_v") {
      let base = String(text.dropLast(2))
      return (Name(base), Name(base + "_g"))
    }
    let parts = text.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    guard parts.count >= 3, parts[parts.count - 3] == "parametrizations",
      parts[parts.count - 1] == "original1"
    else { return nil }
    let module = parts.dropLast(3)
    return (
      Name((module + [parts[parts.count - 2]]).joined(separator: ".")),
      Name((parts.dropLast() + ["original0"]).joined(separator: "."))
    )
  }
}

/// The product of lengths and normalised directions, computed when it is read.
private final class FoldedSource: ByteSource, @unchecked Sendable {
  let count: Int
  private let direction: Tensor
  private let length: Tensor
  private let inner: Int
  private let groups: Int
  private let lock = Lock()
  private var scales: [Double]?
  // What is kept in memory: one number per row.
  private static let maximumGroups = 1 << 22

  /// The axis that the norm leaves out, or -1 when it runs over all; `nil` if the tensors do not fit.
  static func axis(_ length: Tensor, _ direction: Tensor) -> Int? {
    guard direction.dtype.isFloatingPoint, length.dtype == direction.dtype,
      !direction.shape.isEmpty, length.elementCount <= maximumGroups, direction.elementCount > 0
    else { return nil }
    if length.elementCount == 1, length.shape.isEmpty { return -1 }
    guard length.shape.count == direction.shape.count else { return nil }
    let axes = length.shape.indices.filter { length.shape[$0] != 1 }
    guard let axis = axes.first else { return direction.shape.contains(1) ? -1 : nil }
    return axes.count == 1 && length.shape[axis] == direction.shape[axis] ? axis : nil
  }

  init(length: Tensor, direction: Tensor) throws {
    let axis = Self.axis(length, direction) ?? -1
    self.length = length
    self.direction = direction
    groups = axis < 0 ? 1 : direction.shape[axis]
    inner =
      axis < 0 ? direction.elementCount : direction.shape[(axis + 1)...].reduce(1, *)
    count = direction.byteCount
  }

  func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
    guard !buffer.isEmpty else { return }
    let scales = try lock.withLock { try self.scales ?? computedScales() }
    let width = direction.dtype.byteCount
    let first = offset / width
    let end = (offset + buffer.count + width - 1) / width
    let values = try Self.doubles(
      direction.source.read(first * width..<end * width), direction.dtype)
    var bytes: [UInt8] = []
    bytes.reserveCapacity(values.count * width)
    for (index, value) in values.enumerated() {
      let product = value * scales[(first + index) / inner % groups]
      let pattern: UInt64 =
        switch direction.dtype {
        case .f64: product.bitPattern
        case .f32: UInt64(Float(product).bitPattern)
        case .f16: UInt64(halfBits(product))
        default: UInt64(bfloat16Bits(product))
        }
      withUnsafeBytes(of: pattern.littleEndian) { bytes.append(contentsOf: $0.prefix(width)) }
    }
    let begin = offset - first * width
    bytes.withUnsafeBytes {
      buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[begin..<begin + buffer.count]))
    }
  }

  /// g / ‖v‖ per group, from one pass over v.
  private func computedScales() throws -> [Double] {
    var squares = [Double](repeating: 0, count: groups)
    var index = 0
    // Pieces hold whole elements, because their size is a multiple of every element's.
    try direction.source.forEachChunk { piece in
      for value in try Self.doubles(Array(piece), direction.dtype) {
        squares[index / inner % groups] += value * value
        index += 1
      }
    }
    let lengths = try length.doubles()
    let result = zip(lengths, squares).map { $0 / $1.squareRoot() }
    scales = result
    return result
  }

  private static func doubles(_ bytes: [UInt8], _ dtype: DType) throws -> [Double] {
    try Tensor(dtype: dtype, shape: [bytes.count / dtype.byteCount], bytes: bytes).doubles()
  }
}
