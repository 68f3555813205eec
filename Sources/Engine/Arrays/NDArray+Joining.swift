import Tensors

extension NDArray {
  /// Arrays one behind the other along an axis that they have; the other extents must be equal.
  ///
  /// Throws `engine.shape` if they are not, or if there is no array.
  public init(concatenating arrays: [NDArray], axis number: Int = 0) throws {
    guard let first = arrays.first else { throw Self.noArrays() }
    let axis = first.axis(number)
    let others = first.shape(without: axis, keepingAxis: true)
    for array in arrays
    where array.rank != first.rank || array.shape(without: axis, keepingAxis: true) != others {
      throw RecurrentError(
        .engineShape, found: "shapes \(first.shape) and \(array.shape)",
        expected: "shapes that differ in axis \(axis) at most")
    }
    let layouts = arrays.map { $0.layout(around: axis) }
    var elements: [Element] = []
    elements.reserveCapacity(arrays.reduce(0) { $0 + $1.count })
    for outer in 0..<layouts[0].outer {
      for (array, layout) in zip(arrays, layouts) {
        let run = layout.extent * layout.inner
        elements += array.elements[outer * run..<(outer + 1) * run]
      }
    }
    var shape = first.shape
    shape[axis] = layouts.reduce(0) { $0 + $1.extent }
    self.init(trusted: shape, elements)
  }

  /// Arrays of one shape along a new axis; -1 puts it last.
  ///
  /// Throws `engine.shape` if the shapes differ, or if there is no array.
  public init(stacking arrays: [NDArray], axis: Int = 0) throws {
    guard let first = arrays.first else { throw Self.noArrays() }
    for array in arrays where array.shape != first.shape {
      throw RecurrentError(
        .engineShape, found: "shapes \(first.shape) and \(array.shape)",
        expected: "one shape")
    }
    try self.init(concatenating: arrays.map { $0.insertingAxis(at: axis) }, axis: axis)
  }

  private static func noArrays() -> RecurrentError {
    RecurrentError(.engineShape, found: "no arrays", expected: "at least one")
  }
}
