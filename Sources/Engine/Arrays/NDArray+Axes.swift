import Tensors

/// How the elements of an array lie around one axis: `outer` × `extent` × `inner`.
struct AxisLayout {
  let outer, extent, inner: Int
}

extension NDArray {
  /// An axis by its number from 0, given from either end.
  func axis(_ number: Int) -> Int {
    let axis = number < 0 ? number + rank : number
    precondition(axis >= 0 && axis < rank, "axis \(number) of an array of rank \(rank)")
    return axis
  }

  func layout(around axis: Int) -> AxisLayout {
    AxisLayout(
      outer: shape[..<axis].reduce(1, *), extent: shape[axis],
      inner: shape[(axis + 1)...].reduce(1, *))
  }

  /// The shape after a reduction.
  func shape(without axis: Int, keepingAxis: Bool) -> [Int] {
    var shape = shape
    if keepingAxis { shape[axis] = 1 } else { shape.remove(at: axis) }
    return shape
  }
}

extension NDArray {
  /// The same elements in another shape, of which one extent may be -1: what the others leave.
  ///
  /// Throws `engine.shape` if the elements do not fill it.
  public func reshaped(_ shape: [Int]) throws -> NDArray {
    guard let open = shape.firstIndex(of: -1) else {
      return try NDArray(shape: shape, elements: elements)
    }
    var full = shape
    full[open] = 1
    let rest = try elementCount(of: full)
    guard rest > 0 ? count % rest == 0 : count == 0 else {
      throw RecurrentError(
        .engineShape, found: "\(count) elements for shape \(shape)",
        expected: "a multiple of \(rest), what the other axes hold")
    }
    full[open] = rest > 0 ? count / rest : 0
    return try NDArray(shape: full, elements: elements)
  }

  /// The elements as a vector.
  public func flattened() -> NDArray { NDArray(elements) }

  /// The array with a new axis of extent 1 at a place; -1 puts it last.
  public func insertingAxis(at place: Int) -> NDArray {
    let position = place < 0 ? place + rank + 1 : place
    precondition(position >= 0 && position <= rank, "a new axis \(place) of rank \(rank)")
    return NDArray(trusted: shape[..<position] + [1] + shape[position...], elements)
  }

  /// The array without an axis of extent 1; throws `engine.shape` for another extent.
  public func removingAxis(at number: Int) throws -> NDArray {
    let axis = axis(number)
    guard shape[axis] == 1 else {
      throw RecurrentError(
        .engineShape, found: "axis \(axis) of shape \(shape)", expected: "extent 1")
    }
    return NDArray(trusted: shape(without: axis, keepingAxis: false), elements)
  }

  /// The array with its axes in the reverse order: of a matrix the transpose.
  public func transposed() -> NDArray { permuted(Array(shape.indices.reversed())) }

  /// The array whose axis k is this array's axis `axes[k]`; every axis must be there once.
  public func permuted(_ axes: [Int]) -> NDArray {
    let axes = axes.map(axis)
    precondition(Set(axes).count == rank && axes.count == rank, "axes \(axes) of rank \(rank)")
    let permuted = axes.map { shape[$0] }
    if elements.isEmpty || axes == Array(shape.indices) {
      return NDArray(trusted: permuted, elements)
    }
    let strides = rowMajorStrides(shape)
    var result: [Element] = []
    result.reserveCapacity(count)
    forEachOffset(permuted, axes.map { strides[$0] }) { start, run, stride in
      for step in 0..<run { result.append(elements[start + step * stride]) }
    }
    return NDArray(trusted: permuted, result)
  }

  /// The array with its first two axes exchanged: from (T, N, …) to batch-first (N, T, …), and back.
  ///
  /// An array of fewer axes stays as it is.
  public func exchangingLeadingAxes() -> NDArray {
    guard shape.count >= 2 else { return self }
    let (first, second) = (shape[0], shape[1])
    let exchanged = [second, first] + shape[2...]
    // An empty array may claim any extents; its axes cost nothing to exchange.
    if elements.isEmpty { return NDArray(trusted: exchanged, []) }
    let run = shape[2...].reduce(1, *)
    var result: [Element] = []
    result.reserveCapacity(count)
    for j in 0..<second {
      for i in 0..<first {
        let start = (i * second + j) * run
        result.append(contentsOf: elements[start..<start + run])
      }
    }
    return NDArray(trusted: exchanged, result)
  }
}

/// What one step along each axis adds to an element's offset.
func rowMajorStrides(_ shape: [Int]) -> [Int] {
  var strides = [Int](repeating: 1, count: shape.count)
  for axis in shape.indices.dropLast().reversed() {
    strides[axis] = strides[axis + 1] * shape[axis + 1]
  }
  return strides
}

/// Walks through a shape in row-major order; calls `body` with the offset, length and stride of every run along
/// the last axis.
func forEachOffset(
  _ shape: [Int], _ strides: [Int], _ body: (_ start: Int, _ run: Int, _ stride: Int) -> Void
) {
  guard let run = shape.last, let stride = strides.last else { return body(0, 1, 0) }
  guard !shape.contains(0) else { return }
  var (indices, start) = ([Int](repeating: 0, count: shape.count - 1), 0)
  while true {
    body(start, run, stride)
    var axis = indices.count - 1
    while axis >= 0 {
      indices[axis] += 1
      start += strides[axis]
      if indices[axis] < shape[axis] { break }
      start -= strides[axis] * shape[axis]
      indices[axis] = 0
      axis -= 1
    }
    if axis < 0 { return }
  }
}
