import Conversion
import RNNEngine
import Tensors

/// Another order of a network's hidden units: the same function, with other roundings.
///
/// Products over the units are added up in another order, and nothing else changes. What comes out differs by what
/// rounding makes of this network, and by nothing else.
struct HiddenOrder<S: Scalar> {
  private let configuration: RecurrentConfiguration
  /// For every layer and direction, which unit stands at each place: of the cells (H), and of the states (S), which
  /// differ from them in a network with a projection.
  private let units: [[Int]]
  private let states: [[Int]]

  /// A random order, the same for the same seed.
  init(_ configuration: RecurrentConfiguration, seed: UInt64) {
    var generator = ProbeGenerator(seed: seed)
    let count = configuration.layerCount * configuration.directionCount
    let units = (0..<count).map { _ in generator.order(of: configuration.hiddenSize) }
    let states =
      configuration.projSize > 0
      ? (0..<count).map { _ in generator.order(of: configuration.projSize) } : units
    self.init(configuration, units, states)
  }

  private init(_ configuration: RecurrentConfiguration, _ units: [[Int]], _ states: [[Int]]) {
    (self.configuration, self.units, self.states) = (configuration, units, states)
  }

  /// The order that undoes this one.
  var inverse: HiddenOrder {
    func inverted(_ order: [Int]) -> [Int] {
      var result = order
      for (place, unit) in order.enumerated() { result[unit] = place }
      return result
    }
    return HiddenOrder(configuration, units.map(inverted), states.map(inverted))
  }

  /// The network with its units in this order.
  func arranged(_ model: Model<S>) throws -> Model<S> {
    var result = model
    try result.setParameterGroups(arranged(model.parameterGroups))
    return result
  }

  /// Weights or their gradients: recurrent, head, embedding.
  func arranged(_ groups: [Parameters<S>]) -> [Parameters<S>] {
    var result = groups
    for layer in 0..<configuration.layerCount {
      for direction in 0..<configuration.directionCount {
        let index = layer * configuration.directionCount + direction
        let suffix = "_l\(layer)" + (direction == 1 ? "_reverse" : "")
        func change(_ name: String, _ body: (NDArray<S>) -> NDArray<S>) {
          if let array = result[0][name + suffix] { result[0][name + suffix] = body(array) }
        }
        change("weight_ih") { array in
          let rows = gates(array, index)
          return layer == 0 ? rows : rows.selecting(outputs(ofLayer: layer - 1), axis: 1)
        }
        change("weight_hh") { gates($0, index).selecting(states[index], axis: 1) }
        change("bias_ih") { gates($0, index) }
        change("bias_hh") { gates($0, index) }
        change("weight_hr") {
          $0.selecting(states[index], axis: 0).selecting(units[index], axis: 1)
        }
      }
    }
    // A head that reads the output or the final states: the same columns.
    if let weight = result[1]["weight"] {
      result[1]["weight"] = weight.selecting(
        outputs(ofLayer: configuration.layerCount - 1), axis: 1)
    }
    return result
  }

  /// The rows of every gate.
  private func gates(_ array: NDArray<S>, _ index: Int) -> NDArray<S> {
    let count = array.shape[0] / max(1, configuration.hiddenSize)
    let rows = (0..<count).flatMap { gate in
      units[index].map { gate * configuration.hiddenSize + $0 }
    }
    return array.selecting(rows, axis: 0)
  }

  private func outputs(ofLayer layer: Int) -> [Int] {
    (0..<configuration.directionCount).flatMap { direction in
      states[layer * configuration.directionCount + direction].map {
        direction * configuration.stateSize + $0
      }
    }
  }

  /// The network's output or its gradient, (…, D·S).
  func arranged(output: NDArray<S>) -> NDArray<S> {
    guard output.shape.last == configuration.outputSize else { return output }
    return output.selecting(
      outputs(ofLayer: configuration.layerCount - 1), axis: output.shape.count - 1)
  }

  /// Hidden states (L·D, N, S) or (L·D, S), or cell states with H.
  func arranged(states array: NDArray<S>, areCells: Bool = false) -> NDArray<S> {
    let orders = areCells ? units : states
    // An array of a wrong shape is for the network to refuse.
    guard array.shape.first == orders.count, let width = array.shape.last, width == orders[0].count
    else { return array }
    var result = array
    let layer = array.count / orders.count
    for (index, order) in orders.enumerated() {
      for start in stride(from: index * layer, to: (index + 1) * layer, by: width) {
        for (place, unit) in order.enumerated() {
          result.elements[start + place] = array.elements[start + unit]
        }
      }
    }
    return result
  }

  /// What a forward pass returns.
  func arranged(_ result: RecurrentOutput<S>) -> RecurrentOutput<S> {
    var result = result
    result.output = arranged(output: result.output)
    result.hN = arranged(states: result.hN)
    result.cN = result.cN.map { arranged(states: $0, areCells: true) }
    return result
  }
}
