import Tensors

/// Elements of a source at regular distances: a matrix, its transpose, a part of either.
package struct StridedView: Sendable {
  /// The storage that the view looks at.
  package let base: any ByteSource
  /// Bytes per element.
  package let elementSize: Int
  /// The shape of the view.
  package internal(set) var shape: [Int]
  /// Elements to skip per step of each axis; zero or more.
  package let strides: [Int]
  /// The element of `base` at index zero.
  package internal(set) var offset: Int

  /// Runs as near as this are read together: a call of the system takes as long as to copy the gap. Runs
  /// as long as this are not copied on their way.
  private static let smallGap = 4096

  /// Creates a view; throws `tensor.strides` or `tensor.outside-storage` unless every element lies inside
  /// `base`.
  package init(
    _ base: any ByteSource, elementSize: Int, shape: [Int], strides: [Int], offset: Int
  ) throws {
    self.base = base
    self.elementSize = elementSize
    self.shape = shape
    self.strides = strides
    self.offset = offset
    guard shape.count == strides.count, offset >= 0, strides.allSatisfy({ $0 >= 0 }) else {
      throw RecurrentError(
        .tensorStrides, found: "shape \(shape), strides \(strides), offset \(offset)",
        expected: "as many non-negative strides as axes")
    }
    guard !shape.contains(0) else { return }
    var last = offset
    for (size, step) in zip(shape, strides) {
      let (reach, overflow) = (size - 1).multipliedReportingOverflow(by: step)
      let (sum, overflow2) = last.addingReportingOverflow(reach)
      guard !overflow, !overflow2 else { throw Self.outside(base.count / elementSize) }
      last = sum
    }
    guard last < base.count / elementSize else { throw Self.outside(base.count / elementSize) }
  }

  private static func outside(_ available: Int) -> RecurrentError {
    RecurrentError(
      .tensorOutsideStorage, found: "a view that reaches past its storage",
      expected: "an index below \(available)")
  }

  /// The part of the view with these ranges of indices, which must lie inside its shape.
  package func part(_ ranges: [Range<Int>]) -> StridedView {
    var part = self
    part.shape = ranges.map(\.count)
    part.offset += zip(ranges, strides).reduce(0) { $0 + $1.0.lowerBound * $1.1 }
    return part
  }

  /// Copies every element to memory, where the axes have other strides (in elements).
  ///
  /// `target` must be aligned to the element size and is where index zero goes. The base is read in
  /// pieces of at most 256 KiB, or of the size of `staging`, which holds one element at least.
  package func copy(
    to target: UnsafeMutableRawPointer, strides targetStrides: [Int],
    staging: UnsafeMutableRawBufferPointer? = nil
  ) throws {
    guard !shape.contains(0) else { return }
    let axes = Axis.sorted(shape, strides, targetStrides)
    if let staging { return try visit(axes[...], offset, target, staging) }
    try withScratch(max(TileScratch.stagingBytes, elementSize)) {
      try visit(axes[...], offset, target, $0)
    }
  }

  private func visit(
    _ axes: ArraySlice<Axis>, _ position: Int, _ target: UnsafeMutableRawPointer,
    _ staging: UnsafeMutableRawBufferPointer
  ) throws {
    guard let axis = axes.first else {
      return try read(position, 1, target)
    }
    if axes.count == 1, axis.source == 1, axis.target == 1 {
      return try read(position, axis.count, target)
    }
    let rest = axes.dropFirst()
    let inner = Axis.span(rest)
    let capacity = staging.count / elementSize
    let isLongRun =
      rest.count == 1 && rest.allSatisfy { $0.source == 1 && $0.target == 1 }
      && inner * elementSize >= Self.smallGap && !isClose(axis, inner)
    guard inner <= capacity, isDense(rest), !isLongRun else {
      for index in 0..<axis.count {
        try visit(
          rest, position + index * axis.source,
          target + index * axis.target * elementSize, staging)
      }
      return
    }
    // Either one read over the gaps, or one read per step, packed.
    let isContiguous = isClose(axis, inner)
    let step = isContiguous ? axis.source : inner
    let batch = step == 0 ? axis.count : (capacity - inner) / step + 1
    guard let start = staging.baseAddress else { return }
    for first in stride(from: 0, to: axis.count, by: batch) {
      let count = min(batch, axis.count - first)
      let origin = position + first * axis.source
      if isContiguous {
        try read(origin, (count - 1) * step + inner, start)
      } else {
        for index in 0..<count {
          try read(origin + index * axis.source, inner, start + index * step * elementSize)
        }
      }
      let taken = Axis(count: count, source: step, target: axis.target)
      Axis.move(
        [taken] + rest, from: start, to: target + first * axis.target * elementSize,
        elementSize: elementSize)
    }
  }

  private func read(_ position: Int, _ count: Int, _ target: UnsafeMutableRawPointer) throws {
    try base.read(
      at: position * elementSize,
      into: UnsafeMutableRawBufferPointer(start: target, count: count * elementSize))
  }

  /// Whether reading over the gaps between steps costs less than reading each step.
  private func isClose(_ axis: Axis, _ inner: Int) -> Bool {
    (axis.source - inner) * elementSize <= Self.smallGap
  }

  private func isDense(_ axes: ArraySlice<Axis>) -> Bool {
    axes.indices.allSatisfy { isClose(axes[$0], Axis.span(axes[($0 + 1)...])) }
  }
}
