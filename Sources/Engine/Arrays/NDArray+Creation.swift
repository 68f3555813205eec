import Tensors

extension NDArray {
  /// A vector of these elements.
  public init(_ elements: [Element]) {
    self.init(trusted: [elements.count], elements)
  }

  /// A matrix of these rows; throws `engine.shape` if they are not all as long as the first.
  public init(_ rows: [[Element]]) throws {
    try self.init(stacking: rows.map { NDArray($0) })
  }

  /// An array of these matrices, which are given by their rows; throws `engine.shape` if they differ in shape.
  public init(_ matrices: [[[Element]]]) throws {
    try self.init(stacking: matrices.map { try NDArray($0) })
  }

  /// An array whose elements are all the same; every extent must be at least 0.
  public init(repeating element: Element, shape: [Int]) {
    precondition(shape.allSatisfy { $0 >= 0 }, "an extent of \(shape) is negative")
    self.init(trusted: shape, [Element](repeating: element, count: shape.reduce(1, *)))
  }
}

extension NDArray where Element: Scalar {
  /// An array of zeros; every extent must be at least 0.
  public init(zeros shape: [Int]) {
    self.init(repeating: 0, shape: shape)
  }

  /// One-hot vectors of class indices, in the indices' shape with the classes as last axis.
  ///
  /// Throws `engine.target-range` for an index outside 0..<classes.
  public init(oneHot indices: NDArray<Int>, classes: Int) throws {
    try self.init(oneHot: indices.elements, shape: indices.shape, classes: classes)
  }

  /// One-hot vectors of class indices in row-major order, in `shape` with the classes as last axis.
  ///
  /// Throws `engine.target-range` for an index outside 0..<classes.
  public init(oneHot indices: [Int], shape: [Int], classes: Int) throws {
    if let stray = indices.first(where: { $0 < 0 || $0 >= classes }) {
      throw RecurrentError(
        .engineTargetRange, found: "index \(stray)",
        expected: "0 to \(classes - 1)")
    }
    var elements = [Element](repeating: 0, count: try elementCount(of: [indices.count, classes]))
    for (position, index) in indices.enumerated() { elements[position * classes + index] = 1 }
    try self.init(shape: shape + [classes], elements: elements)
  }
}
