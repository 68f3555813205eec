import Tensors

// Shapes are aligned at their last axes, as in NumPy: an extent of 1, or an axis that one array does not have, is
// repeated. So a vector (H) is added to every row of (T, N, H).

extension NDArray {
  /// The array of what `transform` makes of every element.
  @inlinable
  public func map<Result: Numeric & Sendable>(
    _ transform: (Element) throws -> Result
  ) rethrows -> NDArray<Result> {
    NDArray<Result>(sameShape: shape, try elements.map(transform))
  }

  @usableFromInline
  init(sameShape shape: [Int], _ elements: [Element]) {
    self.init(trusted: shape, elements)
  }

  /// The sums of the elements; throws `engine.shape` unless one shape broadcasts to the other.
  @_specialize(where Element == Float)
  @_specialize(where Element == Double)
  @_disfavoredOverload
  public static func + (a: NDArray, b: NDArray) throws -> NDArray { try combined(a, b, +) }

  /// The differences of the elements; throws as `+`.
  @_specialize(where Element == Float)
  @_specialize(where Element == Double)
  @_disfavoredOverload
  public static func - (a: NDArray, b: NDArray) throws -> NDArray { try combined(a, b, -) }

  /// The products of the elements; throws as `+`. The product of matrices is ``matmul(_:)``.
  @_specialize(where Element == Float)
  @_specialize(where Element == Double)
  @_disfavoredOverload
  public static func * (a: NDArray, b: NDArray) throws -> NDArray { try combined(a, b, *) }

  /// Adds an array in place; throws as `+`, and unless the shape stays.
  @_disfavoredOverload
  public static func += (a: inout NDArray, b: NDArray) throws { try a.replace(with: a + b) }

  /// Subtracts an array in place; throws as `+=`.
  @_disfavoredOverload
  public static func -= (a: inout NDArray, b: NDArray) throws { try a.replace(with: a - b) }

  /// Multiplies by an array in place, element by element; throws as `+=`.
  @_disfavoredOverload
  public static func *= (a: inout NDArray, b: NDArray) throws { try a.replace(with: a * b) }

  /// Adds a number to every element.
  @_disfavoredOverload
  public static func + (a: NDArray, b: Element) -> NDArray { a.map { $0 + b } }

  /// Adds a number to every element.
  @_disfavoredOverload
  public static func + (a: Element, b: NDArray) -> NDArray { b.map { a + $0 } }

  /// Subtracts a number from every element.
  @_disfavoredOverload
  public static func - (a: NDArray, b: Element) -> NDArray { a.map { $0 - b } }

  /// Subtracts every element from a number.
  @_disfavoredOverload
  public static func - (a: Element, b: NDArray) -> NDArray { b.map { a - $0 } }

  /// Multiplies every element by a number.
  @_disfavoredOverload
  public static func * (a: NDArray, b: Element) -> NDArray { a.map { $0 * b } }

  /// Multiplies every element by a number.
  @_disfavoredOverload
  public static func * (a: Element, b: NDArray) -> NDArray { b.map { a * $0 } }

  /// Adds a number to every element in place.
  @_disfavoredOverload
  public static func += (a: inout NDArray, b: Element) { a = a + b }

  /// Subtracts a number from every element in place.
  @_disfavoredOverload
  public static func -= (a: inout NDArray, b: Element) { a = a - b }

  /// Multiplies every element by a number in place.
  @_disfavoredOverload
  public static func *= (a: inout NDArray, b: Element) { a = a * b }

  private mutating func replace(with result: NDArray) throws {
    guard result.shape == shape else {
      throw RecurrentError(
        .engineShape, found: "a result of shape \(result.shape)",
        expected: "\(shape), the shape of what it replaces")
    }
    self = result
  }
}

extension NDArray where Element: SignedNumeric {
  /// The elements with the other sign.
  @_disfavoredOverload
  public static prefix func - (a: NDArray) -> NDArray { a.map { -$0 } }
}

extension NDArray where Element: Scalar {
  /// The quotients of the elements; throws `engine.shape` unless one shape broadcasts to the other.
  @_specialize(where Element == Float)
  @_specialize(where Element == Double)
  @_disfavoredOverload
  public static func / (a: NDArray, b: NDArray) throws -> NDArray { try combined(a, b, /) }

  /// Divides by an array in place, element by element; throws as `/`, and unless the shape stays.
  @_disfavoredOverload
  public static func /= (a: inout NDArray, b: NDArray) throws { try a.replace(with: a / b) }

  /// Divides every element by a number.
  @_disfavoredOverload
  public static func / (a: NDArray, b: Element) -> NDArray { a.map { $0 / b } }

  /// Divides a number by every element.
  @_disfavoredOverload
  public static func / (a: Element, b: NDArray) -> NDArray { b.map { a / $0 } }

  /// Divides every element by a number in place.
  @_disfavoredOverload
  public static func /= (a: inout NDArray, b: Element) { a = a / b }
}

extension NDArray {
  @inline(__always)
  private static func combined(
    _ a: NDArray, _ b: NDArray, _ operation: (Element, Element) -> Element
  ) throws -> NDArray {
    let shape = try broadcast(a.shape, b.shape)
    var result: [Element] = []
    if a.shape == b.shape {
      result.reserveCapacity(a.count)
      for index in a.elements.indices {
        result.append(operation(a.elements[index], b.elements[index]))
      }
      return NDArray(trusted: shape, result)
    }
    result.reserveCapacity(try elementCount(of: shape))
    var starts: [(Int, run: Int, stride: Int)] = []
    forEachOffset(shape, strides(b.shape, in: shape)) { starts.append(($0, $1, $2)) }
    var row = 0
    forEachOffset(shape, strides(a.shape, in: shape)) { start, run, stride in
      let other = starts[row]
      for step in 0..<run {
        result.append(
          operation(a.elements[start + step * stride], b.elements[other.0 + step * other.stride]))
      }
      row += 1
    }
    return NDArray(trusted: shape, result)
  }
}

/// The shape of what two arrays make together.
private func broadcast(_ a: [Int], _ b: [Int]) throws -> [Int] {
  let rank = max(a.count, b.count)
  let (left, right) = (
    [Int](repeating: 1, count: rank - a.count) + a, [Int](repeating: 1, count: rank - b.count) + b
  )
  return try zip(left, right).map { left, right in
    guard left == right || left == 1 || right == 1 else {
      throw RecurrentError(
        .engineShape, found: "shapes \(a) and \(b)",
        expected: "extents that are equal from the last axis on, or 1")
    }
    return left == 1 ? right : left
  }
}

/// The strides of an array that is repeated to fill a shape: 0 where it is.
private func strides(_ shape: [Int], in result: [Int]) -> [Int] {
  [Int](repeating: 0, count: result.count - shape.count)
    + zip(shape, rowMajorStrides(shape)).map { extent, stride in extent == 1 ? 0 : stride }
}
