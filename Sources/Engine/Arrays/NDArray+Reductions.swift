import Tensors

extension NDArray where Element: Scalar {
  /// The sum of all elements, added up in double precision.
  @_specialize(where Element == Float)
  @_specialize(where Element == Double)
  public func sum() -> Element { Element(elements.reduce(0.0) { $0 + Double($1) }) }

  /// The sums along an axis, which goes, or stays with extent 1; added up in double precision.
  @_specialize(where Element == Float)
  @_specialize(where Element == Double)
  public func sum(axis number: Int, keepingAxis: Bool = false) -> NDArray {
    reduced(number, keepingAxis) { sum, _ in Element(sum) }
  }

  /// The mean of all elements; of none it is not a number.
  public func mean() -> Element {
    Element(elements.reduce(0.0) { $0 + Double($1) } / Double(count))
  }

  /// The means along an axis, which goes, or stays with extent 1.
  @_specialize(where Element == Float)
  @_specialize(where Element == Double)
  public func mean(axis number: Int, keepingAxis: Bool = false) -> NDArray {
    reduced(number, keepingAxis) { sum, count in Element(sum / Double(count)) }
  }

  @inline(__always)
  private func reduced(
    _ number: Int, _ keepingAxis: Bool, _ result: (Double, Int) -> Element
  ) -> NDArray {
    let axis = axis(number)
    let layout = layout(around: axis)
    var sums = [Double](repeating: 0, count: layout.outer * layout.inner)
    var place = 0
    for outer in 0..<layout.outer {
      for _ in 0..<layout.extent {
        for inner in 0..<layout.inner {
          sums[outer * layout.inner + inner] += Double(elements[place])
          place += 1
        }
      }
    }
    return NDArray(
      trusted: shape(without: axis, keepingAxis: keepingAxis),
      sums.map { result($0, layout.extent) })
  }
}

extension NDArray where Element == Int {
  /// The sum of all elements.
  public func sum() -> Int { elements.reduce(0, +) }
}

extension NDArray where Element: Comparable {
  /// The largest element, or one that is not a number; throws `engine.shape` for an empty array.
  public func max() throws -> Element { elements[try argmax()] }

  /// The smallest element, or one that is not a number; throws `engine.shape` for an empty array.
  public func min() throws -> Element { try elements[best(elements.indices, <)] }

  /// The largest elements along an axis, which goes, or stays with extent 1.
  ///
  /// Throws `engine.shape` if there is nothing along it.
  public func max(axis number: Int, keepingAxis: Bool = false) throws -> NDArray {
    try bestPlaces(number, keepingAxis, >).map { elements[$0] }
  }

  /// The smallest elements along an axis, which goes, or stays with extent 1; throws as `max`.
  public func min(axis number: Int, keepingAxis: Bool = false) throws -> NDArray {
    try bestPlaces(number, keepingAxis, <).map { elements[$0] }
  }

  /// The place of the largest element in row-major order, of equal ones the first.
  ///
  /// Throws `engine.shape` for an empty array.
  public func argmax() throws -> Int { try best(elements.indices, >) }

  /// The places of the largest elements along an axis, of equal ones the first; the axis goes, or stays with
  /// extent 1. Throws `engine.shape` if there is nothing along it.
  @_specialize(where Element == Float)
  @_specialize(where Element == Double)
  public func argmax(axis number: Int, keepingAxis: Bool = false) throws -> NDArray<Int> {
    let inner = layout(around: axis(number)).inner
    let extent = shape[axis(number)]
    return try bestPlaces(number, keepingAxis, >).map { $0 / inner % extent }
  }

  /// The offsets of the best elements along an axis.
  @inline(__always)
  private func bestPlaces(
    _ number: Int, _ keepingAxis: Bool, _ isBetter: (Element, Element) -> Bool
  ) throws -> NDArray<Int> {
    let axis = axis(number)
    let layout = layout(around: axis)
    var places: [Int] = []
    places.reserveCapacity(layout.outer * layout.inner)
    for outer in 0..<layout.outer {
      for inner in 0..<layout.inner {
        let start = outer * layout.extent * layout.inner + inner
        places.append(
          try best(
            stride(from: start, to: start + layout.extent * layout.inner, by: layout.inner),
            isBetter))
      }
    }
    return NDArray<Int>(trusted: shape(without: axis, keepingAxis: keepingAxis), places)
  }

  @inline(__always)
  private func best(
    _ places: some Sequence<Int>, _ isBetter: (Element, Element) -> Bool
  ) throws -> Int {
    var best: Int?
    for place in places {
      guard let found = best else {
        best = place
        continue
      }
      let (candidate, leader) = (elements[place], elements[found])
      // What is not equal to itself is not a number, and is what there is to say.
      if leader == leader, candidate != candidate || isBetter(candidate, leader) { best = place }
    }
    guard let best else {
      throw RecurrentError(
        .engineShape, found: "shape \(shape)", expected: "at least one element")
    }
    return best
  }
}
