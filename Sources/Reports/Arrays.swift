import RNNEngine

// The engine's arrays, drawn.

extension HeatMap {
  /// A map of the rows of an array, such as probabilities (T, C): one column of the drawing per time step.
  public init<S: Scalar>(
    _ title: String, description: String, axes: (x: String, y: String), steps: NDArray<S>
  ) {
    self.init(title, description: description, axes: axes, columns: steps.map { Double($0) }.rows)
  }
}

extension LineChart.Series {
  /// A line through the elements of an array, in order.
  public init<S: Scalar>(_ name: String, _ values: NDArray<S>) {
    self.init(name, values.elements.map { Double($0) })
  }

  /// A line through single-precision numbers.
  @_disfavoredOverload
  public init(_ name: String, _ values: [Float]) {
    self.init(name, values.map { Double($0) })
  }
}

extension NDArray where Element: Scalar {
  /// The rows of an array, such as states (T, H), laid out in the two directions in which they differ most, and
  /// the share of the variance in each.
  ///
  /// The sign of a direction is such that its largest component is positive.
  public func principalComponents() -> (
    points: [(x: Double, y: Double)], shares: (Double, Double)
  ) {
    Projection.principalComponents(map { Double($0) }.rows)
  }

  /// The rows of an array, such as states (T, H), laid out in two dimensions by t-SNE (van der Maaten and Hinton,
  /// 2008), exact, from the principal components: neighbours stay neighbours, distances mean little.
  ///
  /// The same rows give the same picture. The time is that of the square of their number; 400 are quick.
  public func tSNE(
    perplexity: Double = 15, seed: Int = 0, iterations: Int = 500
  ) -> [(x: Double, y: Double)] {
    Projection.tSNE(
      map { Double($0) }.rows, perplexity: perplexity, seed: seed, iterations: iterations)
  }
}
