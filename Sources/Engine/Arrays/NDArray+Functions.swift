extension NDArray where Element: Scalar {
  /// The hyperbolic tangent of every element.
  public func tanh() -> NDArray { map { Element.tanh($0) } }

  /// 1 / (1 + e⁻ˣ) of every element.
  public func sigmoid() -> NDArray { map { RNNEngine.sigmoid($0) } }

  /// Every element that is above 0, and 0 for the others; what is not a number stays.
  public func relu() -> NDArray { map { $0 < 0 ? 0 : $0 } }

  /// e raised to every element.
  public func exp() -> NDArray { map { Element.exp($0) } }

  /// The natural logarithm of every element.
  public func log() -> NDArray { map { Element.log($0) } }

  /// The square root of every element.
  public func squareRoot() -> NDArray { map { $0.squareRoot() } }

  /// Probabilities along an axis: eˣ divided by its sum, without overflow.
  public func softmax(axis number: Int = -1) -> NDArray {
    alongAxis(number) { row in
      let peak = Self.peak(row)
      let powers = row.map { Element.exp($0 - peak) }
      let total = Element(powers.reduce(0.0) { $0 + Double($1) })
      return powers.map { $0 / total }
    }
  }

  /// The logarithms of the probabilities along an axis, without overflow.
  public func logSoftmax(axis number: Int = -1) -> NDArray {
    alongAxis(number) { row in
      let peak = Self.peak(row)
      let total = row.reduce(0.0) { $0 + Double(Element.exp($1 - peak)) }
      let logTotal = Element(Double.log(total))
      return row.map { $0 - peak - logTotal }
    }
  }

  /// The largest of a row, or what is not a number.
  private static func peak(_ row: [Element]) -> Element {
    row.reduce(-.infinity) { $0 < $1 || $1.isNaN ? $1 : $0 }
  }

  @_specialize(where Element == Float)
  @_specialize(where Element == Double)
  private func alongAxis(_ number: Int, _ transform: ([Element]) -> [Element]) -> NDArray {
    let layout = layout(around: axis(number))
    var result = self
    for outer in 0..<layout.outer {
      for inner in 0..<layout.inner {
        let start = outer * layout.extent * layout.inner + inner
        let places = stride(
          from: start, to: start + layout.extent * layout.inner, by: layout.inner)
        for (place, value) in zip(places, transform(places.map { elements[$0] })) {
          result.elements[place] = value
        }
      }
    }
    return result
  }
}
