import Tensors

/// Several sources joined along an axis, made on demand: each contributes `rows[i]` bytes to every one
/// of the rows.
package struct ConcatenatedSource: ByteSource {
  package let count: Int
  private let parts: [any ByteSource]
  private let rows: [Int]
  private let width: Int

  /// Joins sources; part i has `rows[i] × height` bytes, and no part is empty.
  package init(_ parts: [any ByteSource], rows: [Int], height: Int) throws {
    self.parts = parts
    self.rows = rows
    width = rows.reduce(0, +)
    count = try byteCount(of: [height], elementSize: width)
  }

  /// Reads every part once, whatever the number of rows: parts may be views, whose every read costs
  /// as much as the span that it touches.
  package func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
    guard !buffer.isEmpty else { return }
    let end = offset + buffer.count
    let firstRow = offset / width
    let lastRow = (end - 1) / width
    var start = 0
    for (part, length) in zip(parts, rows) {
      defer { start += length }
      // The part's bytes from its first to its last one in the range, row after row.
      let low = max(offset, firstRow * width + start)
      let lowInPart =
        low < firstRow * width + start + length
        ? firstRow * length + low - (firstRow * width + start) : (firstRow + 1) * length
      let high = min(end, lastRow * width + start + length)
      let highInPart =
        high > lastRow * width + start
        ? lastRow * length + high - (lastRow * width + start) : lastRow * length
      guard lowInPart < highInPart else { continue }
      let bytes = try part.read(lowInPart..<highInPart)
      var position = lowInPart
      while position < highInPart {
        let (row, column) = position.quotientAndRemainder(dividingBy: length)
        let run = min(length - column, highInPart - position)
        let target = row * width + start + column - offset
        bytes.withUnsafeBytes {
          UnsafeMutableRawBufferPointer(rebasing: buffer[target..<target + run]).copyMemory(
            from: UnsafeRawBufferPointer(
              rebasing: $0[position - lowInPart..<position - lowInPart + run]))
        }
        position += run
      }
    }
  }
}
