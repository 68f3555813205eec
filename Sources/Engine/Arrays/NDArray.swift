import Tensors

/// A row-major array of any rank: what goes into the engine and what comes out of it.
public struct NDArray<S: Scalar>: Sendable, Equatable {
  /// The extent of each axis, slowest first.
  public var shape: [Int]
  /// The elements in row-major order.
  public var elements: [S]

  /// The number of elements.
  public var count: Int { elements.count }

  /// Creates an array; throws `engine.shape` if the elements do not fill the shape exactly.
  public init(shape: [Int], elements: [S]) throws {
    var product = 1
    for extent in shape {
      let (next, overflow) = product.multipliedReportingOverflow(by: extent)
      guard extent >= 0, !overflow else {
        throw RecurrentError(.malformed, "engine.shape", found: "shape \(shape)")
      }
      product = next
    }
    guard product == elements.count else {
      throw RecurrentError(
        .malformed, "engine.shape", found: "\(elements.count) elements",
        expected: "\(product) for shape \(shape)")
    }
    self.init(trusted: shape, elements)
  }

  /// Creates an array of zeros; every extent must be at least 0.
  public init(zeros shape: [Int]) {
    self.init(trusted: shape, [S](repeating: 0, count: shape.reduce(1, *)))
  }

  /// For results whose shape the engine computed itself.
  init(trusted shape: [Int], _ elements: [S]) {
    self.shape = shape
    self.elements = elements
  }

  /// The array with its first two axes exchanged, for `batch_first`.
  func exchangingLeadingAxes() -> NDArray {
    guard shape.count >= 2 else { return self }
    let (first, second) = (shape[0], shape[1])
    let exchanged = [second, first] + shape[2...]
    // An empty array may claim any extents; its axes cost nothing to exchange.
    if elements.isEmpty { return NDArray(trusted: exchanged, []) }
    let run = shape[2...].reduce(1, *)
    var result: [S] = []
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
