import HostSystem
import Tensors

/// How a matrix that lies transposed in its file is worked out: by rectangles, tiles.
///
/// A line of a tile is one run of bytes of the result, and a column one run of the file; both must be long,
/// because each costs a call of the system, whatever its length. Two threads fill a tile, each a half.
package struct Tiling: Sendable {
  /// A rectangle of the matrix.
  package struct Tile: Sendable {
    /// The lines.
    package let lines: Range<Int>
    /// The elements of each line.
    package let elements: Range<Int>

    /// Describes a rectangle.
    package init(lines: Range<Int>, elements: Range<Int>) {
      self.lines = lines
      self.elements = elements
    }
  }

  /// Memory for a tile, or for a part of one.
  package struct Destination: @unchecked Sendable {
    /// Where the first element of the first line goes; there may be anything.
    package let start: UnsafeMutableRawPointer
    /// Elements from one line to the next.
    package let pitch: Int
    /// Memory to read into.
    package let staging: UnsafeMutableRawBufferPointer
  }

  private let lines: Int
  private let width: Int
  private let elementSize: Int
  private let tileLines: Int
  private let tileWidth: Int

  /// Runs of the file that are as long as this are worth it that the result is written in its order: the
  /// system makes large pages of long runs.
  private static let leastRun = 1024
  /// The usual length of the runs of the file where the result is not in order.
  private static let usualRun = 4096
  /// What is not worth a thread.
  private static let smallTile = 1 << 18

  /// Describes a matrix of `lines` rows in the result, of `width` elements each, that is used in the given
  /// order, or in any.
  package init(lines: Int, width: Int, elementSize: Int, order: RunOrder) {
    self.lines = lines
    self.width = width
    self.elementSize = elementSize
    let capacity = TileScratch.tileBytes / elementSize
    let whole = capacity / max(1, width)
    if lines <= whole || order == .forwards && whole * elementSize >= Self.leastRun {
      tileLines = Self.even(lines, whole)
      tileWidth = width
    } else {
      tileLines = Self.even(lines, max(whole, max(1, Self.usualRun / elementSize)))
      tileWidth = Self.even(width, capacity / tileLines)
    }
  }

  /// Parts of about the same size, of at most `largest`.
  private static func even(_ count: Int, _ largest: Int) -> Int {
    guard count > largest else { return count }
    let parts = (count + largest - 1) / largest
    // Whole lines of the processor's cache.
    return min(largest, ((count + parts - 1) / parts + 15) / 16 * 16)
  }

  /// Calls `fill` for parts of every tile, for two at a time, and `use` with every run of bytes and its
  /// position in the result.
  package func forEachRun(
    in scratch: TileScratch, fill: @Sendable (Tile, Destination) throws -> Void,
    use: (Int, UnsafeRawBufferPointer) throws -> Void
  ) throws {
    try scratch.lend { memory, staging in
      guard let start = memory.baseAddress else { return }
      for top in stride(from: 0, to: lines, by: tileLines) {
        for left in stride(from: 0, to: width, by: tileWidth) {
          let tile = Tile(
            lines: top..<min(lines, top + tileLines), elements: left..<min(width, left + tileWidth))
          try self.fill(tile, start, staging, fill)
          try handOut(tile, UnsafeRawBufferPointer(memory), use)
        }
      }
    }
  }

  private func fill(
    _ tile: Tile, _ start: UnsafeMutableRawPointer, _ staging: UnsafeMutableRawBufferPointer,
    _ body: @Sendable (Tile, Destination) throws -> Void
  ) throws {
    let pitch = tile.elements.count
    guard pitch > 1, tile.lines.count * pitch * elementSize > Self.smallTile else {
      return try body(tile, Destination(start: start, pitch: pitch, staging: staging))
    }
    let split = (pitch / 2 + 15) / 16 * 16
    let middle = tile.elements.lowerBound + min(split, pitch - 1)
    let first = Destination(
      start: start, pitch: pitch,
      staging: UnsafeMutableRawBufferPointer(rebasing: staging[..<(staging.count / 2)]))
    let second = Destination(
      start: start + (middle - tile.elements.lowerBound) * elementSize, pitch: pitch,
      staging: UnsafeMutableRawBufferPointer(rebasing: staging[(staging.count / 2)...]))
    try forked {
      try body(Tile(lines: tile.lines, elements: tile.elements.lowerBound..<middle), first)
    } _: {
      try body(Tile(lines: tile.lines, elements: middle..<tile.elements.upperBound), second)
    }
  }

  private func handOut(
    _ tile: Tile, _ memory: UnsafeRawBufferPointer,
    _ use: (Int, UnsafeRawBufferPointer) throws -> Void
  ) throws {
    let isWhole = tile.elements.count == width
    let run = tile.elements.count * elementSize
    let length = isWhole ? run * tile.lines.count : run
    for (index, line) in (isWhole ? tile.lines.prefix(1) : tile.lines).enumerated() {
      let start = (line * width + tile.elements.lowerBound) * elementSize
      try use(
        start, UnsafeRawBufferPointer(rebasing: memory[(index * run)..<(index * run + length)]))
    }
  }
}
