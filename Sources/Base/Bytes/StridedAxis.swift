import CElements
import Tensors

extension StridedView {
  /// One axis of a copy: its steps, and the elements per step on either side.
  struct Axis {
    var count: Int
    var source: Int
    var target: Int

    /// The axes from the largest step in the source to the smallest; those that lie end to end on both
    /// sides become one.
    static func sorted(_ shape: [Int], _ source: [Int], _ target: [Int]) -> [Axis] {
      var axes = shape.indices.filter { shape[$0] > 1 }.map {
        Axis(count: shape[$0], source: source[$0], target: target[$0])
      }
      axes.sort { ($0.source, $0.target) > ($1.source, $1.target) }
      var merged: [Axis] = []
      for axis in axes {
        if let outer = merged.last, outer.source == axis.count * axis.source,
          outer.target == axis.count * axis.target
        {
          merged[merged.count - 1] = Axis(
            count: outer.count * axis.count, source: axis.source, target: axis.target)
        } else {
          merged.append(axis)
        }
      }
      return merged
    }

    /// The elements of the source from the first to the last that the axes reach.
    static func span(_ axes: ArraySlice<Axis>) -> Int {
      axes.reduce(1) { $0 + ($1.count - 1) * $1.source }
    }

    /// Copies in memory, in tiles where the fastest axes of the two sides differ.
    static func move(
      _ axes: [Axis], from source: UnsafeMutableRawPointer, to target: UnsafeMutableRawPointer,
      elementSize: Int
    ) {
      switch elementSize {
      case 2: move(axes, source, target, as: UInt16.self, elements_transpose_2)
      case 4: move(axes, source, target, as: UInt32.self, elements_transpose_4)
      case 8: move(axes, source, target, as: UInt64.self, elements_transpose_8)
      default:
        let scaled = axes.map {
          Axis(count: $0.count, source: $0.source * elementSize, target: $0.target * elementSize)
        }
        let bytes = Axis(count: elementSize, source: 1, target: 1)
        move(elementSize == 1 ? axes : scaled + [bytes], source, target, as: UInt8.self, nil)
      }
    }

    private static func move<Element>(
      _ axes: [Axis], _ source: UnsafeMutableRawPointer, _ target: UnsafeMutableRawPointer,
      as type: Element.Type,
      _ transpose: (
        (UnsafePointer<Element>, Int, UnsafeMutablePointer<Element>, Int, Int, Int) -> Void
      )?
    ) {
      var axes = axes
      let from = UnsafePointer(source.assumingMemoryBound(to: type))
      let to = target.assumingMemoryBound(to: type)
      guard let inner = axes.indices.min(by: { axes[$0].target < axes[$1].target }) else {
        to.pointee = from.pointee
        return
      }
      let row = axes.remove(at: inner)
      let fastest = axes.indices.min { axes[$0].source < axes[$1].source }
      var column = Axis(count: 1, source: 0, target: 0)
      if let fastest, axes[fastest].source < row.source { column = axes.remove(at: fastest) }
      if let transpose, row.target == 1, column.source == 1, column.count > 1 {
        return nest(axes[...], from, to) {
          transpose($0, row.source, $1, column.target, row.count, column.count)
        }
      }
      nest(axes[...], from, to) { copy(row, column, $0, $1) }
    }

    private static func nest<Element>(
      _ axes: ArraySlice<Axis>, _ source: UnsafePointer<Element>,
      _ target: UnsafeMutablePointer<Element>,
      _ body: (UnsafePointer<Element>, UnsafeMutablePointer<Element>) -> Void
    ) {
      guard let axis = axes.first else { return body(source, target) }
      for index in 0..<axis.count {
        nest(axes.dropFirst(), source + index * axis.source, target + index * axis.target, body)
      }
    }

    @inline(__always)
    private static func copy<Element>(
      _ row: Axis, _ column: Axis, _ source: UnsafePointer<Element>,
      _ target: UnsafeMutablePointer<Element>
    ) {
      if column.count == 1, row.source == 1, row.target == 1 {
        target.update(from: source, count: row.count)
        return
      }
      let tile = column.count == 1 ? row.count : 32
      for top in stride(from: 0, to: column.count, by: 32) {
        for left in stride(from: 0, to: row.count, by: tile) {
          for y in top..<min(column.count, top + 32) {
            let from = source + y * column.source
            let to = target + y * column.target
            for x in left..<min(row.count, left + tile) {
              to[x * row.target] = from[x * row.source]
            }
          }
        }
      }
    }
  }
}
