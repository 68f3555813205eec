// Two indices or more are those of an element, one per axis; one is that of a sub-array. An element of a vector is one of
// its `elements`.
extension NDArray {
  /// The element of a matrix.
  @inlinable
  public subscript(i: Int, j: Int) -> Element {
    get { elements[offset(i, j)] }
    _modify { yield &elements[offset(i, j)] }
  }

  /// The element of an array of three axes.
  @inlinable
  public subscript(i: Int, j: Int, k: Int) -> Element {
    get { elements[offset(i, j, k)] }
    _modify { yield &elements[offset(i, j, k)] }
  }

  /// The element of an array of four axes.
  @inlinable
  public subscript(i: Int, j: Int, k: Int, l: Int) -> Element {
    get { elements[offset([i, j, k, l])] }
    _modify { yield &elements[offset([i, j, k, l])] }
  }

  /// The element at one index per axis, for any rank.
  @inlinable
  public subscript(indices: [Int]) -> Element {
    get { elements[offset(indices)] }
    _modify { yield &elements[offset(indices)] }
  }

  @inlinable
  func offset(_ i: Int, _ j: Int) -> Int {
    guard shape.count == 2, i >= 0, i < shape[0], j >= 0, j < shape[1] else {
      return offset([i, j])
    }
    return i * shape[1] + j
  }

  @inlinable
  func offset(_ i: Int, _ j: Int, _ k: Int) -> Int {
    guard shape.count == 3, i >= 0, i < shape[0], j >= 0, j < shape[1], k >= 0, k < shape[2]
    else { return offset([i, j, k]) }
    return (i * shape[1] + j) * shape[2] + k
  }

  @inlinable
  func offset(_ indices: [Int]) -> Int {
    precondition(
      indices.count == shape.count,
      "\(indices) of shape \(shape): an element has an index per axis; add .all for a sub-array")
    var offset = 0
    for (index, extent) in zip(indices, shape) {
      // A negative index counts from the end.
      let place = index < 0 ? index + extent : index
      precondition(place >= 0 && place < extent, "\(indices) of shape \(shape)")
      offset = offset * extent + place
    }
    return offset
  }
}

extension NDArray {
  /// What a selection takes of the first axis: `a[2]` is the third sub-array (of a matrix the row, of a vector an array
  /// without axes), `a[1...]` all but the first.
  ///
  /// A new value must have the shape of what it replaces.
  public subscript<A: AxisSelection>(a: A) -> NDArray {
    get { taking([selection(a, 0)]) }
    set { replace([selection(a, 0)], with: newValue) }
  }

  /// What selections take of the first two axes: `x[.all, 0]`, `x[0..<3, 1...]`.
  public subscript<A: AxisSelection, B: AxisSelection>(a: A, b: B) -> NDArray {
    get { taking([selection(a, 0), selection(b, 1)]) }
    set { replace([selection(a, 0), selection(b, 1)], with: newValue) }
  }

  /// What selections take of the first three axes.
  public subscript<A: AxisSelection, B: AxisSelection, C: AxisSelection>(
    a: A, b: B, c: C
  ) -> NDArray {
    get { taking([selection(a, 0), selection(b, 1), selection(c, 2)]) }
    set { replace([selection(a, 0), selection(b, 1), selection(c, 2)], with: newValue) }
  }

  /// What selections take of the first four axes.
  public subscript<
    A: AxisSelection, B: AxisSelection, C: AxisSelection, D: AxisSelection
  >(a: A, b: B, c: C, d: D) -> NDArray {
    get { taking([selection(a, 0), selection(b, 1), selection(c, 2), selection(d, 3)]) }
    set {
      replace([selection(a, 0), selection(b, 1), selection(c, 2), selection(d, 3)], with: newValue)
    }
  }

  /// A range of any axis.
  public func slice(axis number: Int, _ range: Range<Int>) -> NDArray {
    let axis = axis(number)
    return taking(
      shape[..<axis].map { (0..<$0, true) } + [checked(range, keepsAxis: true, axis)])
  }

  /// The sub-arrays of some places of an axis, in the order of `places`, as NumPy's `take`.
  public func selecting(_ places: [Int], axis number: Int = 0) -> NDArray {
    let axis = axis(number)
    let layout = layout(around: axis)
    var result: [Element] = []
    result.reserveCapacity(layout.outer * places.count * layout.inner)
    for outer in 0..<layout.outer {
      for place in places {
        precondition(
          place >= 0 && place < layout.extent, "place \(place) of axis \(axis) of \(shape)")
        let start = (outer * layout.extent + place) * layout.inner
        result += elements[start..<start + layout.inner]
      }
    }
    return NDArray(trusted: shape[..<axis] + [places.count] + shape[(axis + 1)...], result)
  }

  /// The array with the places of an axis in the reverse order.
  public func reversed(axis number: Int) -> NDArray {
    selecting(Array((0..<shape[axis(number)]).reversed()), axis: number)
  }

  /// The sub-arrays along an axis: of (T, N, H) the T steps (N, H).
  public func unstacked(axis number: Int = 0) -> [NDArray] {
    let axis = axis(number)
    return (0..<shape[axis]).map { place in
      taking(
        shape[..<axis].map { (0..<$0, true) } + [(place..<place + 1, false)])
    }
  }

  /// The vectors along the last axis, in order: of a matrix its rows.
  public var rows: [[Element]] {
    let width = shape.last ?? 1
    guard width > 0 else {
      return [[Element]](repeating: [], count: shape.dropLast().reduce(1, *))
    }
    return stride(from: 0, to: count, by: width).map { Array(elements[$0..<$0 + width]) }
  }
}

/// The places that are taken of an axis, and whether it is there in the result.
private typealias Taken = (places: Range<Int>, keepsAxis: Bool)

extension NDArray {
  private func selection<A: AxisSelection>(_ selection: A, _ axis: Int) -> Taken {
    precondition(axis < rank, "\(axis + 1) selections of an array of rank \(rank)")
    return checked(selection.places(inAxisOf: shape[axis]), keepsAxis: A.keepsAxis, axis)
  }

  private func checked(_ places: Range<Int>, keepsAxis: Bool, _ axis: Int) -> Taken {
    precondition(
      places.lowerBound >= 0 && places.upperBound <= shape[axis],
      "places \(places) of axis \(axis) of shape \(shape)")
    return (places, keepsAxis)
  }

  private func taking(_ selection: [Taken]) -> NDArray {
    let result = taken(selection)
    var elements: [Element] = []
    elements.reserveCapacity(result.reduce(1, *))
    forEachRun(selection) { elements += self.elements[$0] }
    return NDArray(trusted: result, elements)
  }

  private mutating func replace(_ selection: [Taken], with values: NDArray) {
    let expected = taken(selection)
    precondition(values.shape == expected, "shape \(values.shape) in place of \(expected)")
    var from = 0
    var runs: [Range<Int>] = []
    forEachRun(selection) { runs.append($0) }
    for run in runs {
      for place in run {
        elements[place] = values.elements[from]
        from += 1
      }
    }
  }

  private func taken(_ selection: [Taken]) -> [Int] {
    selection.filter(\.keepsAxis).map(\.places.count) + shape[selection.count...]
  }

  /// Calls `body` with the contiguous elements that a selection covers, in order.
  private func forEachRun(_ selection: [Taken], _ body: (Range<Int>) -> Void) {
    let strides = rowMajorStrides(shape)
    var start = 0
    for (axis, taken) in selection.enumerated() { start += taken.places.lowerBound * strides[axis] }
    // The last axis that is selected from is a run with all that lies within it.
    let last = selection.count - 1
    let run = selection[last].places.count * strides[last]
    guard run > 0 else { return }
    let outer = selection.dropLast()
    // An axis of one place ends the walk through the outer ones.
    forEachOffset(outer.map(\.places.count) + [1], strides[..<last] + [0]) { offset, _, _ in
      body(start + offset..<start + offset + run)
    }
  }
}
