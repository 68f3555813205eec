import Tensors

/// A tensor put together, when it is read, from blocks of other tensors: gates permuted, matrices
/// transposed, biases summed. Elements that no block covers are zero.
///
/// Memory is one block of the result and a piece of a source, however large the tensor is.
struct RearrangedSource: ByteSource {
  /// A block of a source, and what is added to its numbers.
  struct Term: Sendable {
    let view: StridedView
    let addend: Double
  }

  /// A block of the result.
  struct Piece: Sendable {
    /// The blocks that are added; none stands for zeros, one is copied as bytes.
    let terms: [Term]
    /// What is added to the sum.
    let addend: Double
    /// Where the block lies in the result.
    let placement: Placement
    /// Its shape.
    let size: (rows: Int, columns: Int)
  }

  let count: Int
  private let dtype: DType
  private let pieces: [Piece]
  private let cache = BlockCache()

  /// Throws `conversion.slot` for a placement that goes backwards or stands still.
  init(_ dtype: DType, _ shape: [Int], _ pieces: [Piece]) throws {
    self.dtype = dtype
    self.pieces = pieces.filter { piece in
      (!piece.terms.isEmpty || piece.addend != 0) && piece.size.rows > 0 && piece.size.columns > 0
    }
    count = try byteCount(of: shape, elementSize: dtype.byteCount)
    for piece in self.pieces {
      let placement = piece.placement
      let isForward =
        placement.offset >= 0 && (placement.rowStride > 0 || piece.size.rows == 1)
        && (placement.columnStride > 0 || piece.size.columns == 1)
      guard isForward else {
        throw RecurrentError(
          .fault, "conversion.slot", at: "\(placement.slots[0])", found: "\(placement)",
          expected: "positive strides")
      }
    }
  }

  func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
    let size = BlockCache.blockSize
    try cache.read(at: offset, into: buffer) { position in
      position / size * size..<min(count, (position / size + 1) * size)
    } fill: { range, block in
      let width = dtype.byteCount
      let window = range.lowerBound / width..<range.upperBound / width
      for piece in pieces {
        for part in piece.parts(in: window) { try fill(block, window.lowerBound, piece, part) }
      }
    }
  }

  private func fill(
    _ block: UnsafeMutableRawBufferPointer, _ start: Int, _ piece: Piece, _ part: Piece.Part
  ) throws {
    let placement = piece.placement
    let position =
      placement.offset + part.rows.lowerBound * placement.rowStride
      + part.columns.lowerBound * placement.columnStride - start
    guard let target = block.baseAddress.map({ $0 + position * dtype.byteCount }) else { return }
    let strides = [placement.rowStride, placement.columnStride]
    let views = piece.terms.map { $0.view.part([part.rows, part.columns]) }
    // What a convention takes off is what it put on, in exact arithmetic.
    let addend = piece.terms.reduce(piece.addend) { $0 + $1.addend }
    let source = views.count == 1 && addend == 0 ? views[0] : try sum(views, addend, part)
    try source.copy(to: target, strides: strides)
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

extension RearrangedSource.Piece {
  /// A rectangle of the block.
  struct Part {
    var rows: Range<Int>
    var columns: Range<Int>
  }

  /// The rectangles of the block whose elements lie in a window of the result.
  func parts(in window: Range<Int>) -> [Part] {
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
