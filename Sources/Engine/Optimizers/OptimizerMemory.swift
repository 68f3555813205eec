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
        .engineOptimizerState, at: "step",
        found: "no count of steps among \(state.names.count) arrays", expected: "one whole number")
    }
    stepCount = count
    buffers = state
    buffers["step"] = nil
  }

  /// Calls `body` for every part of every parameter, with its elements, its gradient, its buffers and
  /// scratch memory.
  ///
  /// A part is small enough to stay in the nearest caches while the operations of a step pass over it, so
  /// that a step reads and writes memory once.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  mutating func update(
    _ groups: inout [Parameters<S>], _ gradients: [Parameters<S>], buffers names: [String],
    initial: S = 0, body: (OptimizerPart<S>) -> Void
  ) throws {
    guard groups.count == gradients.count else {
      throw RecurrentError(
        .engineParameterGroups, found: "\(gradients.count) groups of gradients",
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
          .engineOptimizerState, at: error.place,
          found: "a state of other parameters: \(error.found)", expected: error.expected)
      }
    }
    stepCount += 1
    // Taken apart, so that no array has two owners and none is copied.
    var arrays = buffers.entries.map(\.array.elements)
    buffers = Parameters()
    var place = 0
    let scratch = (0..<2).map { _ in PooledMemory<S>(count: partCount) }
    for index in groups.indices {
      groups[index].updateElements { _, elements in
        let first = place * names.count
        var own: [[S]] = [[], [], []]
        for offset in names.indices { swap(&own[offset], &arrays[first + offset]) }
        updateParts(&elements, ordered[place].elements, &own, names.count, scratch, body)
        for offset in names.indices { swap(&own[offset], &arrays[first + offset]) }
        place += 1
      }
    }
    for (index, (name, shape)) in layout.enumerated() {
      buffers.append(name, NDArray(trusted: shape, arrays[index]))
    }
  }
}

/// Calls `body` for every part of one parameter with its first `count` buffers, of three at most.
private func updateParts<S: Scalar>(
  _ elements: inout [S], _ gradient: [S], _ buffers: inout [[S]], _ count: Int,
  _ scratch: [PooledMemory<S>], _ body: (OptimizerPart<S>) -> Void
) {
  var (one, two, three): ([S], [S], [S]) = ([], [], [])
  swap(&one, &buffers[0])
  swap(&two, &buffers[1])
  swap(&three, &buffers[2])
  defer { buffers = [one, two, three] }
  let size = elements.count
  elements.withUnsafeMutableBufferPointer { elements in
    gradient.withUnsafeBufferPointer { gradient in
      one.withUnsafeMutableBufferPointer { one in
        two.withUnsafeMutableBufferPointer { two in
          three.withUnsafeMutableBufferPointer { three in
            guard let base = elements.baseAddress, let gradient = gradient.baseAddress else {
              return
            }
            let own = [one, two, three][..<count].compactMap(\.baseAddress)
            for start in stride(from: 0, to: size, by: partCount) {
              let length = min(partCount, size - start)
              func part(_ array: UnsafeMutablePointer<S>) -> Vector<S> {
                Vector(elements: array + start, count: length)
              }
              body(
                OptimizerPart(
                  elements: part(base), gradient: part(UnsafeMutablePointer(mutating: gradient)),
                  buffers: own.map(part),
                  scratch: scratch.map { Vector(elements: $0.elements, count: length) }))
            }
          }
        }
      }
    }
  }
}

/// What an optimiser changes at a time, and what it may write to meanwhile.
struct OptimizerPart<S: Scalar> {
  let elements: Vector<S>
  /// Not to be changed.
  let gradient: Vector<S>
  let buffers: [Vector<S>]
  fileprivate let scratch: [Vector<S>]

  /// Scratch memory for a denominator.
  var denominator: Vector<S> { scratch[0] }

  /// A copy of a vector, one at a time.
  func copy(_ vector: Vector<S>) -> Vector<S> {
    vector.copy(to: scratch[1])
    return scratch[1]
  }
}

private let partCount = 2048
