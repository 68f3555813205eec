import Parity

extension FixturePortrait {
  /// The drawings of what a network does: output probabilities over time (document D1), the path of its
  /// states in two dimensions, and the gradient's norm at every step (document D4).
  ///
  /// Classes have the names that the fixture gives them, else their numbers.
  package var figures: [Figure] {
    var figures: [Figure] = []
    if probabilities.count > 0 {
      var map = HeatMap(
        "Output probabilities over time",
        description: "One column per time step of the first row, one row per class; the deeper"
          + " the colour, the more probable.", axes: ("time step", "class"),
        columns: probabilities)
      map.rowNames = classNames
      figures.append(map.figure)
    }
    // t-SNE takes the square of the steps in time.
    let path = Array(states.prefix(400))
    let (points, shares) = Projection.principalComponents(path)
    // States that never change have no path.
    if path.count > 2, shares.0 > 0 {
      let names = path.indices.map { "time step \($0)" }
      let classes = path.indices.compactMap(mostProbableClass)
      let said = classes.isEmpty ? "" : " Each has the name of the most probable class."
      figures.append(
        ScatterPlot(
          "Hidden states, principal components",
          description: "The path of the first row's states from pale (first step) to deep (last);"
            + " the axes hold \(label(shares.0 * 100)) % and \(label(shares.1 * 100)) % of the"
            + " variance." + said, axes: ("first component", "second component"), points: points,
          names: names, classes: classes, isPath: true
        ).figure)
      if path.count > 3 {
        figures.append(
          ScatterPlot(
            "Hidden states, t-SNE",
            description: "The same states laid out so that neighbours stay neighbours (seed 0);"
              + " distances mean little.", axes: ("t-SNE 1", "t-SNE 2"),
            points: Projection.tSNE(path), names: names, classes: classes, isPath: true
          ).figure)
      }
    }
    if gradientNorms.contains(where: { $0 > 0 }) {
      figures.append(
        LineChart(
          "Gradient norm per time step",
          description: "The norm of what reaches the states before each step, per row of the"
            + " batch: falling towards the first step gradients vanish, rising they explode.",
          axes: ("time step", "norm of dL/dh"),
          series: [.init("gradient", gradientNorms.map { $0 > 0 ? $0 : .nan })],
          isLogarithmic: true
        ).figure)
    }
    return figures
  }

  /// The name of the class that a step holds for the most probable; `nil` where the head does not say.
  private func mostProbableClass(at step: Int) -> String? {
    guard step < probabilities.count,
      let best = probabilities[step].indices.max(by: {
        probabilities[step][$0] < probabilities[step][$1]
      })
    else { return nil }
    return best < classNames.count ? classNames[best] : "class \(best)"
  }
}
