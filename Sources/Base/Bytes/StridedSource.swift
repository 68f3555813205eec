import Tensors

/// A row-major copy, made on demand, of a strided view of another source.
///
/// PyTorch views (transposed, sliced, expanded) and Fortran-ordered arrays are read through this. It
/// holds one block of the result at a time, however large the tensor is.
package struct StridedSource: ByteSource {
  /// The number of bytes of the contiguous result.
  package let count: Int
  private let view: StridedView
  private let cache = BlockCache()

  /// The storage that the view looks at.
  package var base: any ByteSource { view.base }
  /// Bytes per element.
  package var elementSize: Int { view.elementSize }
  /// The shape of the view.
  package var shape: [Int] { view.shape }
  /// Elements to skip per step of each axis; zero or more.
  package var strides: [Int] { view.strides }
  /// The element of `base` at index zero.
  package var offset: Int { view.offset }

  /// Creates a view; every element must lie inside `base`.
  package init(
    _ base: any ByteSource, elementSize: Int, shape: [Int], strides: [Int], offset: Int
  ) throws {
    view = try StridedView(
      base, elementSize: elementSize, shape: shape, strides: strides, offset: offset)
    count = try byteCount(of: shape, elementSize: elementSize)
  }

  /// Gathers the blocks that hold the bytes asked for.
  package func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
    try cache.read(at: offset, into: buffer, blockAt: block) { range, target in
      guard let start = target.baseAddress else { return }
      try part(range).copy(to: start, strides: Self.rowMajor(view.shape))
    }
  }

  /// A matrix that is stored by columns is.
  package var isTiled: Bool {
    shape.count == 2 && shape.allSatisfy { $0 > 1 } && strides[0] < strides[1]
  }

  /// Gathers tile by tile, or in order what is not tiled.
  package func forEachRun(
    _ order: RunOrder, _ body: (Int, UnsafeRawBufferPointer) throws -> Void
  ) throws {
    guard isTiled else { return try forEachPiece(body) }
    let view = view
    let tiling = Tiling(
      lines: shape[0], width: shape[1], elementSize: elementSize, order: order)
    try tiling.forEachRun(in: TileScratch()) { tile, destination in
      try view.part([tile.lines, tile.elements]).copy(
        to: destination.start, strides: [destination.pitch, 1], staging: destination.staging)
    } use: {
      try body($0, $1)
    }
  }

  /// The axis along which blocks are cut, and the elements of one step of it.
  private var cut: (axis: Int, inner: Int) {
    var inner = 1
    var axis = view.shape.count - 1
    while axis > 0, inner * view.shape[axis] * view.elementSize <= BlockCache.blockSize {
      inner *= view.shape[axis]
      axis -= 1
    }
    return (axis, inner)
  }

  /// A block is a range of one axis with everything inside it, so that it is a view itself.
  private func block(at position: Int) -> Range<Int> {
    guard !view.shape.isEmpty else { return 0..<count }
    let (axis, inner) = cut
    let step = inner * view.elementSize
    let size = view.shape[axis]
    let rows = max(1, BlockCache.blockSize / step)
    let row = position / step
    let outer = row / size
    let first = row % size / rows * rows
    return (outer * size + first) * step..<(outer * size + min(size, first + rows)) * step
  }

  private func part(_ range: Range<Int>) -> StridedView {
    guard !view.shape.isEmpty else { return view }
    let (axis, inner) = cut
    let row = range.lowerBound / view.elementSize / inner
    var part = view
    part.shape[axis] = range.count / view.elementSize / inner
    part.offset += row % view.shape[axis] * view.strides[axis]
    var rest = row / view.shape[axis]
    for outer in (0..<axis).reversed() {
      part.shape[outer] = 1
      part.offset += rest % view.shape[outer] * view.strides[outer]
      rest /= view.shape[outer]
    }
    return part
  }

  private static func rowMajor(_ shape: [Int]) -> [Int] {
    var step = 1
    let reversed = shape.reversed().map { size in
      defer { step *= max(1, size) }
      return step
    }
    return reversed.reversed()
  }
}
