/// A size as a graph knows it before it runs: a number times unknown sizes of the model's inputs.
struct ONNXSize: Hashable {
  /// The number; negative only in the lists that shapes are computed from.
  private(set) var number: Int
  /// The unknown sizes, in order, as often as they occur.
  private(set) var unknowns: [Int] = []

  init(_ number: Int) { self.number = number }

  /// An unknown size by its number.
  init(unknown: Int) {
    number = 1
    unknowns = [unknown]
  }

  /// The number, where nothing is unknown.
  var known: Int? { unknowns.isEmpty ? number : nil }

  /// The product; `nil` beyond what sizes can be.
  func times(_ other: ONNXSize) -> ONNXSize? {
    let (product, overflow) = number.multipliedReportingOverflow(by: other.number)
    guard !overflow, unknowns.count + other.unknowns.count <= 16 else { return nil }
    var result = ONNXSize(product)
    if product != 0 { result.unknowns = (unknowns + other.unknowns).sorted() }
    return result
  }

  /// The quotient; `nil` where it does not come out even for every size.
  func divided(by other: ONNXSize) -> ONNXSize? {
    guard other.number != 0, number != .min, number % other.number == 0 else { return nil }
    var result = self
    result.number = number / other.number
    for unknown in other.unknowns {
      guard let index = result.unknowns.firstIndex(of: unknown) else { return nil }
      result.unknowns.remove(at: index)
    }
    return result
  }

  /// Whether two sizes are equal whatever the unknown ones are; `nil` where that depends on them.
  func equals(_ other: ONNXSize) -> Bool? {
    if self == other { return true }
    if let a = known, let b = other.known { return a == b }
    // Sizes of axes are never negative.
    if let a = known, a < 0, other.number > 0 { return false }
    if let b = other.known, b < 0, number > 0 { return false }
    return nil
  }
}
