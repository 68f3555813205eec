import Tensors

/// A row-major array of any rank: what goes into the engine and what comes out of it.
///
/// The engine computes with `NDArray<Float>` and `NDArray<Double>`; token ids, classes and what `argmax` finds are
/// `NDArray<Int>`. An axis is given by its number, from 0, or from the end where it is negative: -1 is the last.
///
/// ```swift
/// let x = try NDArray<Float>([[1, 2, 3], [4, 5, 6]])
/// x[1, 2]                     // 6
/// x[1]                        // [4, 5, 6]
/// x[.all, 0..<2]              // [[1, 2], [4, 5]]
/// try x.softmax().sum(axis: -1)
/// ```
///
/// Shapes that do not fit, which may come from data, throw `engine.shape`. An index outside its axis is a
/// programmer's mistake and stops the program, as for `Array`.
public struct NDArray<Element: Numeric & Sendable>: Sendable, Equatable {
  /// The extent of each axis, slowest first.
  public var shape: [Int]
  /// The elements in row-major order.
  public var elements: [Element]

  /// The number of elements.
  public var count: Int { elements.count }
  /// The number of axes.
  public var rank: Int { shape.count }

  /// Creates an array; throws `engine.shape` if the elements do not fill the shape exactly.
  public init(shape: [Int], elements: [Element]) throws {
    var product = 1
    for extent in shape {
      let (next, overflow) = product.multipliedReportingOverflow(by: extent)
      guard extent >= 0, !overflow else {
        throw RecurrentError(.engineShape, found: "shape \(shape)")
      }
      product = next
    }
    guard product == elements.count else {
      throw RecurrentError(
        .engineShape, found: "\(elements.count) elements",
        expected: "\(product) for shape \(shape)")
    }
    self.init(trusted: shape, elements)
  }

  /// For results whose shape the engine computed itself.
  init(trusted shape: [Int], _ elements: [Element]) {
    self.shape = shape
    self.elements = elements
  }
}
