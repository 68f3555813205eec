/// What a subscript takes of one axis: an index, which removes the axis, a range, or `.all`.
public protocol AxisSelection {
  /// The places that are taken of an axis of an extent; places outside it stop the program.
  func places(inAxisOf extent: Int) -> Range<Int>
  /// Whether the axis is there in the result.
  static var keepsAxis: Bool { get }
}

extension AxisSelection {
  /// Ranges keep their axis.
  public static var keepsAxis: Bool { true }
}

extension AxisSelection where Self == PartialRangeFrom<Int> {
  /// All of an axis, `0...`.
  public static var all: PartialRangeFrom<Int> { 0... }
}

extension Int: AxisSelection {
  /// One place; a negative one counts from the end, as in NumPy.
  public func places(inAxisOf extent: Int) -> Range<Int> {
    let place = self < 0 ? self + extent : self
    return place..<place + 1
  }
  /// An index removes its axis.
  public static var keepsAxis: Bool { false }
}

extension Range<Int>: AxisSelection {
  /// The places of the range.
  public func places(inAxisOf extent: Int) -> Range<Int> { self }
}

extension ClosedRange<Int>: AxisSelection {
  /// The places of the range.
  public func places(inAxisOf extent: Int) -> Range<Int> { Range(self) }
}

extension PartialRangeFrom<Int>: AxisSelection {
  /// From the lower bound to the end.
  public func places(inAxisOf extent: Int) -> Range<Int> {
    precondition(lowerBound <= extent, "\(lowerBound)... of an axis of extent \(extent)")
    return lowerBound..<extent
  }
}

extension PartialRangeUpTo<Int>: AxisSelection {
  /// From the beginning up to the upper bound.
  public func places(inAxisOf extent: Int) -> Range<Int> { 0..<upperBound }
}

extension PartialRangeThrough<Int>: AxisSelection {
  /// From the beginning through the upper bound.
  public func places(inAxisOf extent: Int) -> Range<Int> { 0..<upperBound + 1 }
}
