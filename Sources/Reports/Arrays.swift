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

extension Projection {
  /// The two directions in which the rows of an array, such as states (T, H), differ most.
  ///
  /// As for nested lists: the points, and the share of the variance in each direction.
  public static func principalComponents<S: Scalar>(
    _ states: NDArray<S>
  ) -> (points: [(x: Double, y: Double)], shares: (Double, Double)) {
    principalComponents(states.map { Double($0) }.rows)
  }

  /// t-SNE of the rows of an array, as for nested lists.
  public static func tSNE<S: Scalar>(
    _ states: NDArray<S>, perplexity: Double = 15, seed: Int = 0, iterations: Int = 500
  ) -> [(x: Double, y: Double)] {
    tSNE(
      states.map { Double($0) }.rows, perplexity: perplexity, seed: seed, iterations: iterations)
  }
}
