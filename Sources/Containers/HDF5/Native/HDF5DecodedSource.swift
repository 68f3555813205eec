import Bytes
import Tensors

/// The elements of a chunked dataset, decoded on demand in blocks of whole rows of chunks.
///
/// Reading forwards decodes every chunk once. The last chunk is kept for datasets whose chunks are larger
/// than a block.
package final class HDF5DecodedSource: ByteSource, @unchecked Sendable {
  package let count: Int
  private let source: any ByteSource
  private let base: Int
  private let grid: HDF5ChunkGrid
  private let chunks: [HDF5Chunk]
  private let filters: HDF5Filters
  private let leavesEdgesUnfiltered: Bool
  private let fill: [UInt8]
  private let rowElements: Int
  private let blockElements: Int
  private let cache = BlockCache()
  // Guarded by the cache, which fills one block at a time.
  private var decoded: (index: Int, bytes: [UInt8])?

  /// `chunks` are in the order of the grid and lie inside `source`; the shape fits in memory sizes.
  package init(
    _ image: HDF5Image, _ grid: HDF5ChunkGrid, _ chunks: [HDF5Chunk], _ filters: HDF5Filters,
    leavesEdgesUnfiltered: Bool, fill: [UInt8], blockBytes: Int = 8 << 20,
    bandBytes: Int = 64 << 20
  ) throws {
    source = image.source
    base = image.base
    self.grid = grid
    self.chunks = chunks
    self.filters = filters
    self.leavesEdgesUnfiltered = leavesEdgesUnfiltered
    self.fill = fill.contains { $0 != 0 } ? fill : []
    count = try byteCount(of: grid.shape, elementSize: grid.elementSize)
    rowElements = try elementCount(of: Array(grid.shape.dropFirst()))
    let (bandElements, overflow) = rowElements.multipliedReportingOverflow(by: grid.chunkShape[0])
    if overflow || bandElements > bandBytes / grid.elementSize {
      // Then chunks may be decoded more than once, but memory stays bounded.
      blockElements = bandBytes / grid.elementSize
    } else {
      blockElements = bandElements * max(1, blockBytes / grid.elementSize / bandElements)
    }
  }

  package func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
    let blockBytes = blockElements * grid.elementSize
    try cache.read(at: offset, into: buffer) { position in
      let start = position / blockBytes * blockBytes
      return start..<min(start + blockBytes, count)
    } fill: { range, block in
      try load(
        range.lowerBound / grid.elementSize..<range.upperBound / grid.elementSize, into: block)
    }
  }

  /// Decodes the elements of a range into a block of zeros.
  private func load(_ range: Range<Int>, into block: UnsafeMutableRawBufferPointer) throws {
    if !fill.isEmpty { for index in block.indices { block[index] = fill[index % fill.count] } }
    let chunksPerRow = grid.counts.dropFirst().reduce(1, *)
    let firstChunk = range.lowerBound / rowElements / grid.chunkShape[0] * chunksPerRow
    let lastRow = (range.upperBound - 1) / rowElements / grid.chunkShape[0]
    var position = lowerBound(firstChunk)
    while position < chunks.count, chunks[position].index / chunksPerRow <= lastRow {
      try copy(chunks[position], of: range, into: block)
      position += 1
    }
    if let file = source as? InputFile { try file.checkUnchanged() }
  }

  private func lowerBound(_ index: Int) -> Int {
    var (low, high) = (0, chunks.count)
    while low < high {
      let middle = (low + high) / 2
      if chunks[middle].index < index { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// Copies what a chunk has of a range of the elements.
  private func copy(
    _ chunk: HDF5Chunk, of range: Range<Int>, into block: UnsafeMutableRawBufferPointer
  ) throws {
    let size = grid.elementSize
    let origin = zip(grid.coordinates(of: chunk.index), grid.chunkShape).map { $0 * $1 }
    let extents = zip(grid.chunkShape, zip(grid.shape, origin)).map { min($0, $1.0 - $1.1) }
    let lowest = Self.position(origin, in: grid.shape)
    let highest = Self.position(zip(origin, extents).map { $0 + $1 - 1 }, in: grid.shape)
    guard lowest < range.upperBound, highest >= range.lowerBound else { return }
    let content = try decode(chunk)
    let last = extents.count - 1
    var index = [Int](repeating: 0, count: extents.count)
    while true {
      let target = Self.position(zip(origin, index).map { $0 + $1 }, in: grid.shape)
      let (from, to) = (
        max(target, range.lowerBound), min(target + extents[last], range.upperBound)
      )
      if from < to {
        let start = (Self.position(index, in: grid.chunkShape) + from - target) * size
        let done = (from - range.lowerBound) * size
        content.withUnsafeBytes { content in
          UnsafeMutableRawBufferPointer(rebasing: block[done..<done + (to - from) * size])
            .copyMemory(
              from: UnsafeRawBufferPointer(
                rebasing: content[start..<start + (to - from) * size]))
        }
      }
      var axis = last - 1
      while axis >= 0 {
        index[axis] += 1
        if index[axis] < extents[axis] { break }
        index[axis] = 0
        axis -= 1
      }
      if axis < 0 { return }
    }
  }

  private static func position(_ index: [Int], in shape: [Int]) -> Int {
    zip(index, shape).reduce(0) { $0 * $1.1 + $1.0 }
  }

  private func decode(_ chunk: HDF5Chunk) throws -> [UInt8] {
    if let decoded, decoded.index == chunk.index { return decoded.bytes }
    decoded = nil
    let start = base + chunk.address
    let stored = try source.read(start..<start + chunk.size)
    do {
      let isPlain = leavesEdgesUnfiltered && grid.isPartial(chunk.index)
      let content = try (isPlain ? HDF5Filters() : filters)
        .decode(stored, mask: chunk.mask, count: grid.chunkBytes)
      decoded = (chunk.index, content)
      return content
    } catch let error as RecurrentError {
      throw error.within("chunk \(grid.coordinates(of: chunk.index)) at byte \(start)")
    }
  }
}

/// A source whose errors say which dataset it is.
package struct HDF5NamedSource: ByteSource {
  package let base: any ByteSource
  package let name: String

  package var count: Int { base.count }

  package func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
    do {
      try base.read(at: offset, into: buffer)
    } catch let error as RecurrentError {
      throw error.isOfContent ? error.within(name) : error
    }
  }
}
