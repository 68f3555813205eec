import Bytes
import HostSystem
import Tensors

/// A tensor put together, when it is read, from blocks of other tensors: gates permuted, matrices
/// transposed, biases summed. Elements that no block covers are zero.
///
/// Memory is one block of the result and a piece of a source, however large the tensor is; none where runs
/// of a source are runs of the result.
package struct RearrangedSource: ByteSource {
  /// A block of a source, and what is added to its numbers.
  package struct Term: Sendable {
    package let view: StridedView
    package let addend: Double
  }

  /// A block of the result.
  package struct Piece: Sendable {
    /// The blocks that are added; none stands for zeros, one is copied as bytes.
    package let terms: [Term]
    /// What is added to the sum.
    package let addend: Double
    /// Where the block lies in the result.
    package let placement: Placement
    /// Its shape.
    package let size: (rows: Int, columns: Int)
  }

  package let count: Int
  private let dtype: DType
  private let pieces: [Piece]
  private let scratch: TileScratch
  private let cache = BlockCache()
  /// Whether every element is one of a source, and none are transposed.
  private let isDirect: Bool
  /// The elements of one line, of which the result is a matrix, if it has to be transposed.
  private let tiledWidth: Int?

  /// Throws `conversion.slot` for a placement that goes backwards or stands still; `scratch` is the memory where
  /// matrices are transposed.
  package init(
    _ dtype: DType, _ shape: [Int], _ pieces: [Piece], scratch: TileScratch = TileScratch()
  )
    throws
  {
    self.dtype = dtype
    self.scratch = scratch
    self.pieces = pieces.filter { piece in
      (!piece.terms.isEmpty || piece.addend != 0) && piece.size.rows > 0 && piece.size.columns > 0
    }
    count = try byteCount(of: shape, elementSize: dtype.byteCount)
    isDirect = self.pieces.allSatisfy { $0.source != nil && !$0.isTransposed }
    tiledWidth = Self.tiledWidth(self.pieces, count / dtype.byteCount)
    for piece in self.pieces {
      let placement = piece.placement
      let isForward =
        placement.offset >= 0 && (placement.rowStride > 0 || piece.size.rows == 1)
        && (placement.columnStride > 0 || piece.size.columns == 1)
      guard isForward else {
        throw RecurrentError(
          .conversionSlot, at: "\(placement.slots[0])", found: "\(placement)",
          expected: "positive strides")
      }
    }
  }

  package func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
    let isWhole = offset % dtype.byteCount == 0 && buffer.count % dtype.byteCount == 0
    if isDirect, isWhole {
      let first = offset / dtype.byteCount
      return try fill(buffer, first..<first + buffer.count / dtype.byteCount)
    }
    let size = BlockCache.blockSize
    try cache.read(at: offset, into: buffer) { position in
      position / size * size..<min(count, (position / size + 1) * size)
    } fill: { range, block in
      let width = dtype.byteCount
      try fill(block, range.lowerBound / width..<range.upperBound / width)
    }
  }

  package var isTiled: Bool { tiledWidth != nil }

  package func forEachRun(
    _ order: RunOrder, _ body: (Int, UnsafeRawBufferPointer) throws -> Void
  ) throws {
    guard let width = tiledWidth else { return try forEachPiece(body) }
    let tiling = Tiling(
      lines: count / dtype.byteCount / width, width: width, elementSize: dtype.byteCount,
      order: order)
    try tiling.forEachRun(in: scratch) {
      try fill($1, $0, width)
    } use: {
      try body($0, $1)
    }
  }

  /// Fills memory with consecutive elements.
  private func fill(_ block: UnsafeMutableRawBufferPointer, _ window: Range<Int>) throws {
    guard let start = block.baseAddress else { return }
    let parts = pieces.map { $0.parts(in: window) }
    if !Self.areCovered(window.count, parts.joined()) { memset(start, 0, block.count) }
    for (piece, parts) in zip(pieces, parts) {
      let placement = piece.placement
      for part in parts {
        let position =
          placement.offset + part.rows.lowerBound * placement.rowStride
          + part.columns.lowerBound * placement.columnStride - window.lowerBound
        try copy(
          piece, part, to: start + position * dtype.byteCount,
          strides: [placement.rowStride, placement.columnStride])
      }
    }
  }

  /// Fills memory with a rectangle of the result.
  private func fill(_ destination: Tiling.Destination, _ tile: Tiling.Tile, _ width: Int) throws {
    let parts = pieces.map { $0.part(in: tile, width: width) }
    if !Self.areCovered(tile.lines.count * tile.elements.count, parts.compactMap { $0 }) {
      for line in 0..<tile.lines.count {
        memset(
          destination.start + line * destination.pitch * dtype.byteCount, 0,
          tile.elements.count * dtype.byteCount)
      }
    }
    for (piece, part) in zip(pieces, parts) {
      guard let part else { continue }
      let placement = piece.placement
      let first =
        placement.offset + part.rows.lowerBound * placement.rowStride
        + part.columns.lowerBound * placement.columnStride
      let position =
        (first / width - tile.lines.lowerBound) * destination.pitch + first % width
        - tile.elements.lowerBound
      try copy(
        piece, part, to: destination.start + position * dtype.byteCount,
        strides: piece.rowsAreLines(width) ? [destination.pitch, 1] : [1, destination.pitch],
        staging: destination.staging)
    }
  }

  /// Whether so many elements all lie in one of the parts; others are zero.
  private static func areCovered(_ elements: Int, _ parts: some Sequence<Piece.Part>) -> Bool {
    parts.reduce(0) { $0 + $1.rows.count * $1.columns.count } >= elements
  }

  private func copy(
    _ piece: Piece, _ part: Piece.Part, to target: UnsafeMutableRawPointer, strides: [Int],
    staging: UnsafeMutableRawBufferPointer? = nil
  ) throws {
    let ranges = [part.rows, part.columns]
    if let source = piece.source {
      return try source.part(ranges).copy(to: target, strides: strides, staging: staging)
    }
    // What a convention takes off is what it put on, in exact arithmetic.
    let addend = piece.terms.reduce(piece.addend) { $0 + $1.addend }
    try sum(piece.terms.map { $0.view.part(ranges) }, addend, part)
      .copy(to: target, strides: strides, staging: staging)
  }

  private func sum(_ terms: [StridedView], _ addend: Double, _ part: Piece.Part) throws
    -> StridedView
  {
    let shape = [part.rows.count, part.columns.count]
    let strides = [part.columns.count, 1]
    // −0 is the zero that changes nothing.
    let start = addend == 0 ? -0.0 : addend
    var sum = [Double](repeating: start, count: shape[0] * shape[1])
    for term in terms {
      let source = try StridedSource(
        term.base, elementSize: dtype.byteCount, shape: shape, strides: term.strides,
        offset: term.offset)
      try Tensor(dtype: dtype, shape: shape, source: source).forEachNumber { sum[$0] += $1 }
    }
    let rounded = try Tensor.make(sum, shape: shape).rounded(to: dtype)
    return try StridedView(
      MemorySource(rounded.bytes()), elementSize: dtype.byteCount, shape: shape, strides: strides,
      offset: 0)
  }
}

extension RearrangedSource {
  /// Whether every element lies in one piece only, each of which is one block of a source.
  package static func covers(_ shape: [Int], exactlyBy pieces: [Piece]) -> Bool {
    let elements = shape.reduce(1, *)
    let width = pieces.map { max($0.placement.rowStride, $0.placement.columnStride) }.max() ?? 0
    guard width > 0, elements % width == 0,
      pieces.allSatisfy({ $0.source != nil && $0.isRectangle(width) })
    else { return false }
    let parts = pieces.map { $0.rectangle(width) }
    let areApart = parts.indices.allSatisfy { index in
      parts[..<index].allSatisfy {
        !$0.lines.overlaps(parts[index].lines) || !$0.elements.overlaps(parts[index].elements)
      }
    }
    let lines = 0..<elements / width
    let covered = parts.reduce(0) { $0 + $1.lines.clamped(to: lines).count * $1.elements.count }
    return areApart && covered == elements
  }

  /// The length of the lines that every piece shares, if one of them is transposed.
  private static func tiledWidth(_ pieces: [Piece], _ elements: Int) -> Int? {
    guard pieces.contains(where: { $0.source != nil && $0.isTransposed }) else { return nil }
    let widths = Set(
      pieces.filter { $0.size.rows > 1 && $0.size.columns > 1 }.map {
        max($0.placement.rowStride, $0.placement.columnStride)
      })
    guard let width = widths.first, widths.count == 1, elements % width == 0,
      pieces.allSatisfy({ $0.isRectangle(width) })
    else { return nil }
    return width
  }
}

extension RearrangedSource.Piece {
  /// A rectangle of the block.
  package struct Part {
    package var rows: Range<Int>
    package var columns: Range<Int>
  }

  /// The only block that the elements come from, unchanged.
  fileprivate var source: StridedView? {
    guard terms.count == 1, terms[0].addend + addend == 0 else { return nil }
    return terms[0].view
  }

  /// Whether neighbours in the result are far apart in the source.
  fileprivate var isTransposed: Bool {
    guard size.rows > 1, size.columns > 1, let strides = source?.strides else { return false }
    return (placement.rowStride < placement.columnStride) != (strides[0] < strides[1])
  }

  /// Whether one row follows another as the lines of the result do, and not its elements.
  fileprivate func rowsAreLines(_ width: Int) -> Bool {
    size.rows > 1 ? placement.rowStride == width : placement.columnStride == 1
  }

  /// Whether the block is a rectangle of a matrix with lines of `width` elements.
  fileprivate func isRectangle(_ width: Int) -> Bool {
    let (line, inner) =
      rowsAreLines(width)
      ? (size.rows > 1 ? placement.rowStride : width, size.columns)
      : (size.columns > 1 ? placement.columnStride : width, size.rows)
    let step =
      rowsAreLines(width)
      ? (size.columns > 1 ? placement.columnStride : 1)
      : (size.rows > 1 ? placement.rowStride : 1)
    return line == width && step == 1 && placement.offset % width + inner <= width
  }

  /// The lines of a matrix, and the elements of each, that the block is.
  fileprivate func rectangle(_ width: Int) -> Tiling.Tile {
    let (top, left) = (placement.offset / width, placement.offset % width)
    let (lines, elements) =
      rowsAreLines(width) ? (size.rows, size.columns) : (size.columns, size.rows)
    return Tiling.Tile(lines: top..<top + lines, elements: left..<left + elements)
  }

  /// The part of the block that lies in a tile of the result.
  fileprivate func part(in tile: Tiling.Tile, width: Int) -> Part? {
    let own = rectangle(width)
    let lines = tile.lines.clamped(to: own.lines)
    let elements = tile.elements.clamped(to: own.elements)
    guard !lines.isEmpty, !elements.isEmpty else { return nil }
    let down = lines.lowerBound - own.lines.lowerBound
    let right = elements.lowerBound - own.elements.lowerBound
    let (first, second) = (down..<down + lines.count, right..<right + elements.count)
    return rowsAreLines(width)
      ? Part(rows: first, columns: second) : Part(rows: second, columns: first)
  }

  /// The rectangles of the block whose elements lie in a window of the result.
  package func parts(in window: Range<Int>) -> [Part] {
    // Along the inner axis the elements of one line lie closest together.
    let innerIsColumns =
      size.columns > 1 && (size.rows == 1 || placement.columnStride <= placement.rowStride)
    let (outer, outerStride) =
      innerIsColumns
      ? (size.rows, placement.rowStride) : (size.columns, placement.columnStride)
    let (inner, innerStride) =
      innerIsColumns
      ? (size.columns, placement.columnStride) : (size.rows, placement.rowStride)
    let (outerStep, innerStep) = (max(1, outerStride), max(1, innerStride))
    let reach = (inner - 1) * innerStep
    let low = max(0, (window.lowerBound - placement.offset - reach) / outerStep)
    let high = min(outer - 1, max(0, window.upperBound - placement.offset) / outerStep)
    var lines: [(outer: Range<Int>, inner: Range<Int>)] = []
    for line in stride(from: low, through: high, by: 1) {
      let start = placement.offset + line * outerStep
      let first = max(0, Self.roundedUp(window.lowerBound - start, innerStep))
      let end = min(inner, Self.roundedUp(window.upperBound - start, innerStep))
      guard first < end else { continue }
      if let last = lines.last, last.inner == first..<end, last.outer.upperBound == line {
        lines[lines.count - 1].outer = last.outer.lowerBound..<line + 1
      } else {
        lines.append((line..<line + 1, first..<end))
      }
    }
    return lines.map { line in
      innerIsColumns
        ? Part(rows: line.outer, columns: line.inner)
        : Part(rows: line.inner, columns: line.outer)
    }
  }

  /// The quotient of a position and a step, rounded up; what is negative needs no precision.
  private static func roundedUp(_ position: Int, _ step: Int) -> Int {
    position <= 0 ? 0 : (position + step - 1) / step
  }
}
