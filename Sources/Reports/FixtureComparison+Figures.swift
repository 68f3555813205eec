import Parity

/// Drawings that put what was expected beside what was computed, where a fixture fails.
extension FixtureComparison {
  /// More columns and rows than a phone can show are cut around the worst element.
  private static let most = (columns: 48, rows: 24)

  /// How far off every time step is, and the elements that are furthest off, expected and computed.
  package var overview: [Figure] { tolerances + shown.compactMap(curve) }

  /// The failing tensors that are worth a look: the first that has time steps and the worst of these,
  /// the worst state and the worst parameter.
  package var shown: [Check] {
    let failing = checks.filter {
      !$0.passes && $0.numbers.map { !$0.shape.isEmpty && !$0.shape.contains(0) } ?? false
    }
    let timed = failing.filter { $0.numbers?.timeAxis != nil }
    func worst(_ checks: [Check]) -> Check? { checks.max { $0.toleranceUsed < $1.toleranceUsed } }
    let states = failing.filter { ["outputs/h_n", "outputs/c_n"].contains($0.tensor) }
    let parameters = failing.filter { block($0, most: Self.most) != nil }
    var seen: Set<String> = []
    return [timed.first, worst(timed), worst(states), worst(parameters)].compactMap { $0 }
      .filter { seen.insert($0.tensor).inserted }
  }

  /// Expected, computed and the tolerance used as maps side by side; empty for what has one axis.
  package func maps(of check: Check) -> [Figure] {
    guard let numbers = check.numbers else { return [] }
    if numbers.timeAxis == nil, let block = block(check, most: Self.most) {
      guard block.part.offsets.count > 1 else { return [] }
      return maps(numbers, block.part, axes: ("input", "unit"), about: block.name)
    }
    guard numbers.shape.count > 1, let rows = numbers.shape.indices.last else { return [] }
    // Time runs to the right; without time the units do.
    let names = axisNames(of: check)
    let (columns, lines) = numbers.timeAxis.map { ($0, rows) } ?? (rows, rows - 1)
    guard columns != lines else { return [] }
    let part = numbers.part(around: check.index, columns: columns, rows: lines, most: Self.most)
    return maps(
      numbers, part, axes: (names[columns], names[lines]),
      about: place(of: check, without: [columns, lines]))
  }

  /// The tolerance used at every time step, of the tensors that leave it.
  private var tolerances: [Figure] {
    let timed = checks.filter { !$0.passes && ($0.numbers?.shareByStep.count ?? 0) > 1 }
    return [false, true].compactMap { countsUpdates in
      let failing = timed.filter { $0.countsUpdates == countsUpdates }
      guard !failing.isEmpty else { return nil }
      let unit = countsUpdates ? "update" : "time step"
      let first = failing.compactMap(\.firstStep).min()
      return LineChart(
        "Times the tolerance at every \(unit)",
        description:
          "The largest share of the tolerance at each \(unit); where there is no point, all"
          + " is equal." + (first.map { " Out of tolerance from \(unit) \($0)." } ?? ""),
        axes: (unit, "times the tolerance"),
        series: failing.prefix(3).map { check in
          .init(check.tensor, (check.numbers?.shareByStep ?? []).map { $0 > 0 ? $0 : .nan })
        }, limit: ("tolerance", 1), isLogarithmic: true,
        mark: first.map { ("from \(unit) \($0)", Double($0)) }
      ).figure
    }
  }

  /// The element that is furthest off, expected and computed: over time, or of a vector unit by unit.
  private func curve(_ check: Check) -> Figure? {
    guard let numbers = check.numbers else { return nil }
    let block = numbers.timeAxis == nil ? block(check, most: Self.most) : nil
    let isVector = numbers.shape.count == 1 || block?.part.offsets.count == 1
    guard let axis = numbers.timeAxis ?? (isVector ? numbers.shape.indices.last : nil) else {
      return nil
    }
    let part = numbers.part(
      around: check.index, columns: axis, rows: nil, most: (numbers.shape[axis], 1))
    let offsets = block?.part.offsets.first ?? part.offsets.compactMap(\.first)
    let places = offsets.indices.map { Double((block?.part.origin.row ?? 0) + $0) }
    let name = block == nil ? axisNames(of: check)[axis] : "unit"
    // Where they agree, the narrow line lies on the wide one and both are seen.
    func line(_ name: String, _ all: [Double], isWide: Bool) -> LineChart.Series {
      .init(name, offsets.map { all[$0] }, at: places, isWide: isWide)
    }
    var chart = LineChart(
      "\(check.tensor): expected and computed",
      description: block?.name ?? place(of: check, without: [axis])
        + ", where an element is furthest out of tolerance.",
      axes: (name, "value"),
      series: [
        line("expected", numbers.expected, isWide: true),
        line("computed", numbers.computed, isWide: false),
      ], mark: check.firstStep.map { ("from \(name) \($0)", Double($0)) })
    chart.includesZero = false
    return chart.figure
  }

  private func maps(
    _ numbers: CheckNumbers, _ part: CheckNumbers.Part, axes: (x: String, y: String),
    about place: String
  ) -> [Figure] {
    func values(_ all: [Double]) -> [[Double]] { part.offsets.map { $0.map { all[$0] } } }
    let (expected, computed) = (values(numbers.expected), values(numbers.computed))
    // One scale for both, or they could not be compared.
    let reach = (expected + computed).joined().filter(\.isFinite).map(\.magnitude).max() ?? 0
    let shares = part.offsets.map { $0.map { numbers.share($0) } }
    func map(_ title: String, _ description: String, _ columns: [[Double]]) -> HeatMap {
      HeatMap(
        title, description: description, axes: axes, columns: columns, palette: .signed,
        reach: reach)
    }
    var all = [
      map("Expected", "\(place): positive and negative numbers in two colours.", expected),
      map("Computed", "The same elements on the same scale of colours.", computed),
      HeatMap(
        "Times the tolerance",
        description: "Where they part; the frame is around the element furthest out of tolerance.",
        axes: axes, columns: shares, palette: .tolerance),
    ]
    for index in all.indices {
      all[index].origin = part.origin
      all[index].marked = part.marked
    }
    return all.map(\.figure)
  }

  // MARK: Words

  /// What the axes of an expected tensor count.
  private func axisNames(of check: Check) -> [String] {
    let count = check.numbers?.shape.count ?? 0
    let last =
      switch check.tensor {
      case "outputs/logits", "outputs/probabilities": "class"
      case "grads/x": "input"
      default: "unit"
      }
    switch check.tensor {
    case "losses": return ["update"]
    case "states/h", "states/c": return (["time step", "layer", "row"] + [last]).middleOut(count)
    case "outputs/h_n", "outputs/c_n", "grads/h_0", "grads/c_0":
      return ["layer", "row", last].middleOut(count)
    default: break
    }
    var names = Array(repeating: "row", count: count)
    if count > 1 { names[count - 1] = last }
    if let axis = check.numbers?.timeAxis {
      names[axis] = check.countsUpdates ? "update" : "time step"
    }
    return names
  }

  /// `outputs/output, row 3, unit 2`, without the axes that are drawn.
  private func place(of check: Check, without axes: [Int]) -> String {
    let directions = architecture.directionCount
    let words = zip(axisNames(of: check), check.index).enumerated().compactMap {
      axis, place -> String? in
      guard !axes.contains(axis) else { return nil }
      guard place.0 == "layer" else { return "\(place.0) \(place.1)" }
      let direction = place.1 % directions == 1 ? " reverse" : ""
      return "layer \(place.1 / directions)\(direction)"
    }
    return ([check.tensor] + words).joined(separator: ", ")
  }
}

extension [String] {
  /// As many as there are axes: without a batch, the name before the last one is left out.
  fileprivate func middleOut(_ count: Int) -> [String] {
    self.count == count + 1 ? dropLast(2) + suffix(1) : self
  }
}
