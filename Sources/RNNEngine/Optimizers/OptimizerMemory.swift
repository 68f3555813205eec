import Tensors

/// What an optimiser accumulates: the number of steps, and buffers of every parameter's shape.
struct OptimizerMemory<S: Scalar>: Sendable {
  private(set) var stepCount = 0
  // Named `group.parameter.buffer`; empty before the first step.
  private var buffers = Parameters<S>()

  /// The state under its names, `step` first.
  var state: Parameters<S> {
    var result = Parameters<S>()
    result.append("step", NDArray(trusted: [], [S(stepCount)]))
    for (name, array) in buffers.entries { result.append(name, array) }
    return result
  }

  mutating func restore(_ state: Parameters<S>) throws {
    guard let step = state["step"], step.count == 1, let count = Int(exactly: step.elements[0]),
      count >= 0
    else {
      throw RecurrentError(
        .malformed, "engine.optimizer-state", at: "step",
        found: "no count of steps among \(state.names.count) arrays", expected: "one whole number")
    }
    stepCount = count
    buffers = state
    buffers["step"] = nil
  }

  /// Calls `body` for every parameter with its elements, its gradient and its buffers.
  mutating func update(
    _ groups: inout [Parameters<S>], _ gradients: [Parameters<S>], buffers names: [String],
    initial: S = 0, body: (inout [S], [S], inout [[S]]) -> Void
  ) throws {
    guard groups.count == gradients.count else {
      throw RecurrentError(
        .malformed, "engine.parameter-groups", found: "\(gradients.count) groups of gradients",
        expected: "\(groups.count), as of parameters")
    }
    var ordered: [NDArray<S>] = []
    var layout: [(name: String, shape: [Int])] = []
    for (index, group) in groups.enumerated() {
      let shapes = group.entries.map { (name: $0.name, shape: $0.array.shape) }
      ordered += try gradients[index].matching(shapes).entries.map(\.array)
      for (name, shape) in shapes {
        layout += names.map { (name: "\(index).\(name).\($0)", shape: shape) }
      }
    }
    if stepCount == 0 && buffers.entries.isEmpty {
      for (name, shape) in layout {
        let count = shape.reduce(1, *)
        buffers.append(name, NDArray(trusted: shape, [S](repeating: initial, count: count)))
      }
    } else {
      do {
        buffers = try buffers.matching(layout)
      } catch let error as RecurrentError {
        throw RecurrentError(
          .malformed, "engine.optimizer-state", at: error.place,
          found: "a state of other parameters: \(error.found)", expected: error.expected)
      }
    }
    stepCount += 1
    // Taken apart, so that no array has two owners and none is copied.
    var arrays = buffers.entries.map(\.array.elements)
    buffers = Parameters()
    var place = 0
    for index in groups.indices {
      groups[index].updateElements { _, elements in
        var own: [[S]] = []
        for offset in names.indices {
          own.append([])
          swap(&own[offset], &arrays[place * names.count + offset])
        }
        body(&elements, ordered[place].elements, &own)
        for offset in names.indices { swap(&own[offset], &arrays[place * names.count + offset]) }
        place += 1
      }
    }
    for (index, (name, shape)) in layout.enumerated() {
      buffers.append(name, NDArray(trusted: shape, arrays[index]))
    }
  }
}
