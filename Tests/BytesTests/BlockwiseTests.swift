import Tensors
import Testing

@testable import Bytes

/// Elements numbered by position, made on demand, with a record of the longest read.
private final class CountingSource: ByteSource, @unchecked Sendable {
  let count: Int
  let elementSize: Int
  private(set) var longest = 0
  private(set) var total = 0

  init(_ elements: Int, elementSize: Int) {
    count = elements * elementSize
    self.elementSize = elementSize
  }

  func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
    longest = max(longest, buffer.count)
    total += buffer.count
    if elementSize == 8, offset % 8 == 0, buffer.count % 8 == 0 {
      // The same bytes, fast enough for megabytes.
      let elements = buffer.bindMemory(to: UInt64.self)
      for index in 0..<elements.count {
        elements[index] = UInt64(offset / 8 + index) * 0x1_0000_0001
      }
      return
    }
    for index in buffer.indices { buffer[index] = byte(offset + index) }
  }

  func byte(_ position: Int) -> UInt8 {
    UInt8(truncatingIfNeeded: (position / elementSize) >> (8 * (position % elementSize % 4)))
  }
}

@Suite("Blocks give the bytes of the whole")
struct BlockwiseTests {
  /// The naive gather that the block-wise one must equal.
  private func gathered(
    _ source: CountingSource, _ shape: [Int], _ strides: [Int], _ offset: Int
  ) -> [UInt8] {
    var positions = [offset]
    for (size, step) in zip(shape, strides) {
      positions = positions.flatMap { start in (0..<size).map { start + $0 * step } }
    }
    return positions.flatMap { position in
      (0..<source.elementSize).map { source.byte(position * source.elementSize + $0) }
    }
  }

  @Test(arguments: [1, 2, 3, 4, 8]) func viewsOfEveryKind(elementSize: Int) throws {
    let views: [(shape: [Int], strides: [Int], offset: Int)] = [
      ([], [], 3), ([7], [1], 0), ([7], [5], 2), ([5], [0], 4), ([3, 5], [5, 1], 0),
      ([5, 3], [1, 5], 0), ([3, 4], [1000, 3], 11), ([4, 3], [3, 1000], 11),
      ([2, 3, 4], [12, 4, 1], 0), ([4, 3, 2], [1, 4, 12], 0), ([3, 2, 4], [4, 12, 1], 5),
      ([3, 4], [1, 1], 0), ([2, 0, 3], [3, 3, 1], 0), ([1, 6, 1], [9, 2, 7], 1),
      ([2, 3, 2, 3], [500, 0, 7, 40], 6),
    ]
    for view in views {
      let source = CountingSource(4000, elementSize: elementSize)
      let strided = try StridedSource(
        source, elementSize: elementSize, shape: view.shape, strides: view.strides,
        offset: view.offset)
      let expected = gathered(source, view.shape, view.strides, view.offset)
      #expect(try strided.readAll() == expected, "\(view)")
      // Any window is the same bytes, elements cut in the middle included.
      for start in stride(from: 0, to: expected.count, by: 5) {
        let range = start..<min(expected.count, start + 7)
        #expect(try strided.read(range) == Array(expected[range]), "\(view) \(range)")
      }
    }
  }

  @Test func aLargeTransposeIsReadInPieces() throws {
    let (rows, columns) = (1500, 1600)
    let source = CountingSource(rows * columns, elementSize: 8)
    let strided = try StridedSource(
      source, elementSize: 8, shape: [columns, rows], strides: [1, columns], offset: 0)
    #expect(strided.count > BlockCache.blockSize)
    var index = 0
    var wrong = 0
    try strided.forEachChunk { piece in
      for start in stride(from: 0, to: piece.count, by: 8) {
        let value = piece.loadUnaligned(fromByteOffset: start, as: UInt32.self)
        if value != index % rows * columns + index / rows { wrong += 1 }
        index += 1
      }
    }
    #expect(index == rows * columns && wrong == 0)
    #expect(source.longest <= 1 << 20)
    // Each block reads its own columns, and hardly anything beside them.
    #expect(source.total <= strided.count * 3)
  }

  @Test func memoryThatIsRefusedIsAnError() throws {
    // A block larger than the address space.
    let source = CountingSource(1, elementSize: 1 << 50)
    let strided = try StridedSource(
      source, elementSize: 1 << 50, shape: [], strides: [], offset: 0)
    let error = #expect(throws: RecurrentError.self) { try strided.read(0..<1) }
    #expect(error?.kind == .resources && error?.reason.code == "memory.block")
  }

  @Test(arguments: [DType.f64, .f32, .f16, .bf16], [DType.f64, .f32, .f16, .bf16])
  func roundingOnReadingIsRoundingAtOnce(from: DType, to: DType) throws {
    var generator = SystemRandomNumberGenerator()
    var bytes = (0..<from.byteCount * 997).map { _ in UInt8.random(in: 0...255, using: &generator) }
    // Every class of number: zeros, subnormals, infinities, NaNs of both kinds.
    let width = from.byteCount
    for (element, top) in [0x00, 0x80, 0x7F, 0xFF, 0x7F, 0xFF].enumerated() {
      for byte in 0..<width { bytes[element * width + byte] = 0 }
      bytes[element * width + width - 1] = UInt8(top)
      bytes[element * width] = UInt8(element % 3)
    }
    let tensor = try Tensor(dtype: from, shape: [997], bytes: bytes)
    let rounded = try tensor.rounded(to: to)
    let all = try rounded.bytes()
    #expect(try tensor.converted(to: to).0.bytes() == all)
    for start in stride(from: 0, to: all.count, by: 13) {
      let range = start..<min(all.count, start + 29)
      #expect(try rounded.source.read(range) == Array(all[range]))
    }
    for (element, value) in try tensor.doubles().enumerated() {
      let one = try Tensor.make([value], shape: [1]).converted(to: to).0.bytes()
      let found = Array(all[element * to.byteCount..<(element + 1) * to.byteCount])
      #expect(found == one, "element \(element) of \(from) is \(value)")
    }
    #expect(to.holds(from) == (try tensor.converted(to: to).1.isExact))
  }

  @Test func everyReadIsObserved() throws {
    final class Log: @unchecked Sendable { var reads: [String] = [] }
    let log = Log()
    var state = StateDict()
    try state.append("a", Tensor.make([1.0, 2], shape: [2]))
    try state.append("b", Tensor.make([3.0], shape: []))
    state.ties["b"] = "a"
    state.metadata["key"] = "value"
    let observed = try state.observed { log.reads.append("\($0) \($1)") }
    #expect(try observed["b"]?.doubles() == [3])
    #expect(try observed["a"]?.source.read(4..<9).count == 5)
    #expect(log.reads == ["1 0..<8", "0 4..<9"])
    #expect(observed.ties == state.ties && observed.metadata == state.metadata)
  }
}
