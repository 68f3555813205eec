import Networks
import RNNEngine
import Tensors

/// A gradient that a cause has to explain, held against exact derivatives in random directions.
///
/// A tensor of numbers whose product with a random direction is the derivative of the loss in that direction
/// is the gradient: another one passes two directions only by a coincidence of as many digits as are compared.
struct ExpectedGradient: Sendable {
  let name: String
  let numbers: [Double]
  /// Where each number's parameter lies in a trial: the array and the element; `weights` first.
  let target: Target
  /// How far each number may lie from the derivative.
  let allowed: Double

  enum Target: Sendable {
    /// For every number the place in ``Trial/weights``, or -1.
    case weights([(index: Int, element: Int)])
    case x, h0, c0
  }

  /// A direction as long as the tensor, of ±1.
  func direction(_ seed: Int) -> [Double] {
    var generator = TorchGenerator(seed: seed)
    return numbers.map { _ in generator.nextDouble() < 0.5 ? -1 : 1 }
  }

  /// Moves a trial in a direction.
  func move(_ trial: inout Trial<Dual>, along direction: [Double], by scale: Double = 1) {
    func move(_ numbers: inout [Dual]) {
      for (element, step) in direction.enumerated() where element < numbers.count {
        numbers[element].tangent += step * scale
      }
    }
    switch target {
    case .weights(let places):
      for (place, step) in zip(places, direction) where place.index >= 0 {
        guard place.element < trial.weights[place.index].count else { continue }
        trial.weights[place.index][place.element].tangent += step * scale
      }
    case .x: move(&trial.x)
    case .h0:
      var states = trial.h0 ?? trial.zeros(trial.configuration.stateSize)
      move(&states)
      trial.h0 = states
    case .c0:
      var states = trial.c0 ?? trial.zeros(trial.configuration.hiddenSize)
      move(&states)
      trial.c0 = states
    }
  }

  func product(_ direction: [Double]) -> Double {
    zip(numbers, direction).reduce(0) { $0 + $1.0 * $1.1 }
  }

  /// What rounding makes of the product with a direction.
  var bound: Double { allowed * Double(max(1, numbers.count)).squareRoot() }
}

extension Trial where R == Dual {
  fileprivate func zeros(_ size: Int) -> [Dual] {
    [Dual](repeating: Dual(0), count: blockCount * batch * size)
  }
}

extension FixtureEvidence {
  /// How much of what rounding explains the gradients use under mistakes: of parameters as they are stored, or
  /// as the mistaken network holds them.
  func judgeGradients(_ mistakes: [Mistake]) -> (share: Double, deviation: Double) {
    guard !gradients.isEmpty else { return (0, 0) }
    let start = baseline.dual
    var best = (share: Double.infinity, deviation: Double.infinity)
    for isStored in [true, false] {
      if mistakes.isEmpty, !isStored { break }
      var worst = (share: 0.0, deviation: 0.0)
      for gradient in gradients {
        for seed in 0..<2 {
          let direction = gradient.direction(seed + 31)
          var trial = start
          if isStored { gradient.move(&trial, along: direction) }
          for mistake in mistakes { mistake.apply(to: &trial) }
          if !isStored { gradient.move(&trial, along: direction) }
          guard let derivative = derivative(trial) else { return (.infinity, .infinity) }
          let distance = (derivative - gradient.product(direction)).magnitude
          worst.share = max(worst.share, distance.isNaN ? .infinity : distance / gradient.bound)
          worst.deviation = max(worst.deviation, distance)
          if worst.share > 1, !mistakes.isEmpty { break }
        }
        if worst.share > 1, !mistakes.isEmpty { break }
      }
      if worst.share < best.share { best = worst }
      if best.share <= 1 { break }
    }
    return best
  }

  /// How far the gradients lie from those without a mistake, in orders of magnitude, added up.
  var gradientEvidence: Double {
    let start = baseline.dual
    return gradients.reduce(0) { sum, gradient in
      let direction = gradient.direction(31)
      var trial = start
      gradient.move(&trial, along: direction)
      let distance = ((derivative(trial) ?? .infinity) - gradient.product(direction)).magnitude
      return sum + max(0, min(8, log10(distance / gradient.bound)))
    }
  }
}

extension FixtureRun<Double> {
  /// Where the numbers of a stored parameter lie in a trial; of a sum of biases in the first.
  func places(_ stored: StoredTensor, _ trial: Trial<Double>) -> [(index: Int, element: Int)] {
    var places = [(index: Int, element: Int)](
      repeating: (-1, 0), count: stored.shape.reduce(1, *))
    for placement in stored.placements {
      guard let slot = placement.slots.first, let index = trial.index(of: slot) else { continue }
      let size = slot.size(in: network.architecture)
      for row in 0..<size.rows {
        for column in 0..<size.columns {
          let from =
            placement.offset + row * placement.rowStride
            + (size.columns > 1 ? column * placement.columnStride : 0)
          guard places.indices.contains(from) else { continue }
          places[from] = (index, (slot.gate * size.rows + row) * size.columns + column)
        }
      }
    }
    return places
  }
}

extension Trial {
  func index(of slot: Slot) -> Int? {
    switch (slot.part, slot.role) {
    case (.recurrent(let layer, let direction), let role):
      guard let role = Role.allCases.first(where: { $0.name == role.rawValue }) else { return nil }
      return (layer * directions + direction) * 5 + role.rawValue
    case (.head, .weight): return headWeight
    case (.head, _): return headBias
    case (.embedding, _): return nil
    }
  }
}
