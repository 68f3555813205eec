import Testing

@testable import Bytes
@testable import Tensors

/// Eight-byte elements numbered by position; reading one of them can fail.
private struct NumberedSource: ByteSource {
  let elements: Int
  var broken: Int?

  var count: Int { elements * 8 }

  private static let numbers = [UInt64](0..<2_600_000)

  func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
    if let broken, (offset..<offset + buffer.count).contains(broken * 8) {
      throw RecurrentError(
        .init("file.read", .inputOutput), at: "byte \(broken * 8)", found: "a fault")
    }
    Self.numbers.withUnsafeBytes {
      buffer.copyMemory(
        from: UnsafeRawBufferPointer(rebasing: $0[offset..<offset + buffer.count]))
    }
  }
}

@Suite("Tiles give the bytes of the whole, with little memory")
struct TilingTests {
  /// A matrix and whether its runs come as whole lines.
  struct Matrix: Sendable {
    let lines: Int
    let width: Int
    let order: RunOrder
    let isInOrder: Bool
  }

  static let matrices = [
    Matrix(lines: 3, width: 5, order: .forwards, isInOrder: true),
    Matrix(lines: 3, width: 5, order: .any, isInOrder: true),
    // Larger than a tile: by lines, and by rectangles.
    Matrix(lines: 1601, width: 1503, order: .forwards, isInOrder: true),
    Matrix(lines: 511, width: 4001, order: .any, isInOrder: false),
    // Lines so long that runs of the file would be too short.
    Matrix(lines: 171, width: 15_001, order: .forwards, isInOrder: false),
    Matrix(lines: 13_001, width: 171, order: .forwards, isInOrder: true),
  ]

  @Test(arguments: matrices) func runsAreTheTranspose(_ matrix: Matrix) throws {
    let (lines, width) = (matrix.lines, matrix.width)
    let transposed = try StridedSource(
      NumberedSource(elements: lines * width), elementSize: 8, shape: [lines, width],
      strides: [1, lines], offset: 0)
    #expect(transposed.isTiled)
    var ranges: [Range<Int>] = []
    var (wrong, end, isInOrder) = (0, 0, true)
    try transposed.forEachRun(matrix.order) { offset, run in
      isInOrder = isInOrder && offset == end
      end = offset + run.count
      ranges.append(offset..<end)
      let values = run.bindMemory(to: UInt64.self)
      // Every element would take minutes without optimisation.
      for index in stride(from: (values.count - 1) % 61, to: values.count, by: 61) {
        let position = offset / 8 + index
        if values[index] != UInt64(position % width * lines + position / width) { wrong += 1 }
      }
    }
    #expect(wrong == 0)
    ranges.sort { $0.lowerBound < $1.lowerBound }
    #expect(ranges.first?.lowerBound == 0 && ranges.last?.upperBound == lines * width * 8)
    #expect(zip(ranges, ranges.dropFirst()).allSatisfy { $0.upperBound == $1.lowerBound })
    #expect(isInOrder == matrix.isInOrder)
  }

  @Test func whatIsStoredInOrderIsNotTiled() throws {
    let views = [([4, 6], [6, 1]), ([24], [1]), ([1, 6], [1, 4]), ([0, 3], [1, 2])]
    for (shape, strides) in views {
      let source = try StridedSource(
        NumberedSource(elements: 24), elementSize: 8, shape: shape, strides: strides, offset: 0)
      #expect(!source.isTiled, "\(shape)")
      var bytes: [UInt8] = []
      try source.forEachRun(.any) { offset, run in
        #expect(offset == bytes.count)
        bytes += run
      }
      #expect(try bytes == source.readAll())
    }
  }

  /// In the half that this thread fills, and in the other's.
  @Test(arguments: [0, 700 * 600 - 1]) func failuresOfBothThreadsArrive(_ element: Int) throws {
    let source = try StridedSource(
      NumberedSource(elements: 700 * 600, broken: element), elementSize: 8, shape: [600, 700],
      strides: [1, 600], offset: 0)
    let error = #expect(throws: RecurrentError.self) {
      try source.forEachRun(.any) { _, _ in Issue.record("nothing is complete") }
    }
    #expect(error?.reason.code == "file.read")
  }

  @Test func failuresOfTheReaderArrive() throws {
    struct Enough: Error {}
    let source = try StridedSource(
      NumberedSource(elements: 1601 * 1503), elementSize: 8, shape: [1601, 1503],
      strides: [1, 1601], offset: 0)
    #expect(throws: Enough.self) { try source.forEachRun(.forwards) { _, _ in throw Enough() } }
  }

  @Test func aRoomThatIsLentIsNotLentAgain() throws {
    let scratch = TileScratch()
    try scratch.lend { first, _ in
      first[0] = 1
      try scratch.lend { second, staging in
        #expect(second.baseAddress != first.baseAddress)
        #expect(second.count == first.count && staging.count > 0)
        second[0] = 2
      }
      #expect(first[0] == 1)
    }
    // The memory stays for the next.
    try scratch.lend { tile, _ in #expect(tile[0] == 1) }
  }

  @Test func tiledTensorsAreComparedAndRounded() throws {
    let (lines, width) = (300, 400)
    func tensor(_ change: Int? = nil) throws -> Tensor {
      var numbers = (0..<lines * width).map { Double($0 % 4093) * 0.618 }
      if let change { numbers[change] += 1 }
      let bytes = numbers.withUnsafeBytes { Array($0) }
      return try Tensor(
        dtype: .f64, shape: [lines, width],
        source: StridedSource(
          MemorySource(bytes), elementSize: 8, shape: [lines, width], strides: [1, lines],
          offset: 0))
    }
    let tiled = try tensor()
    let inOrder = try tiled.loaded()
    #expect(try tiled.isIdentical(to: inOrder) && inOrder.isIdentical(to: tiled))
    #expect(try tiled.isIdentical(to: tensor()))
    for change in [0, 1, lines * width / 2, lines * width - 1] {
      #expect(try !tensor(change).isIdentical(to: inOrder))
      #expect(try !inOrder.isIdentical(to: tensor(change)))
      #expect(try !tiled.isIdentical(to: tensor(change)))
    }
    let narrow = try tiled.rounded(to: .f32)
    #expect(narrow.source.isTiled)
    #expect(try narrow.isIdentical(to: inOrder.rounded(to: .f32).loaded()))
    #expect(try !narrow.isIdentical(to: tensor(7).rounded(to: .f32).loaded()))
  }

  @Test func progressCountsRunsOfAnyOrder() throws {
    let (lines, width) = (511, 4001)
    final class Counter: @unchecked Sendable { var end = 0 }
    let counter = Counter()
    let tensor = try Tensor(
      dtype: .i64, shape: [lines, width],
      source: StridedSource(
        NumberedSource(elements: lines * width), elementSize: 8, shape: [lines, width],
        strides: [1, lines], offset: 0)
    ).observed { range in
      #expect(range.lowerBound == counter.end)
      counter.end = range.upperBound
    }
    try tensor.source.forEachRun(.any) { _, _ in }
    #expect(counter.end == tensor.byteCount)
  }
}
