import Containers
import Tensors

/// A model's values seen through the layers that only hand them on, and who reads them.
struct KerasFlow {
  /// One reading of a layer's result.
  struct Consumer {
    let layer: Int
    /// Which of the results.
    let index: Int
    /// Whether it is the first thing that the consumer reads; else it is a state, a mask, a second operand.
    let isMain: Bool
  }

  let graph: KerasGraph
  private(set) var roles: [KerasRole]
  /// For each layer, who reads its results.
  private(set) var consumers: [[Consumer]] = []
  /// For each layer, which of its results the model returns.
  private(set) var returned: [Set<Int>] = []
  /// For each linear layer, the function behind it, its own or that of a layer that does nothing else.
  private(set) var functions: [Int: KerasFunction] = [:]
  private var passed: [KerasGraph.Value?] = []

  init(_ graph: KerasGraph, reader: KerasRecurrentReader) {
    self.graph = graph
    roles = graph.layers.map { KerasRole($0, reader: reader) }
    for (index, role) in roles.enumerated() {
      if case .linear(let function) = role { functions[index] = function }
    }
    follow()
    if foldFunctions() { follow() }
  }

  /// What a layer reads, seen through what only hands it on.
  func source(_ value: KerasGraph.Value) -> KerasGraph.Value {
    guard case .output(let layer, _) = value, let end = passed[layer] else { return value }
    return end
  }

  /// The transparent layers between a value and its source, nearest to the reader first.
  func transparentLayers(from value: KerasGraph.Value) -> [Int] {
    var found: [Int] = []
    var current = value
    while case .output(let layer, _) = current, roles[layer].isTransparent,
      found.count < graph.layers.count, let next = graph.layers[layer].call?.inputs.first
    {
      found.append(layer)
      current = next
    }
    return found
  }

  private mutating func follow() {
    passed = Array(repeating: nil, count: roles.count)
    for index in roles.indices where passed[index] == nil { pass(index) }
    consumers = Array(repeating: [], count: roles.count)
    returned = Array(repeating: [], count: roles.count)
    for (index, layer) in graph.layers.enumerated() where !roles[index].isTransparent {
      guard let call = layer.call else { continue }
      for (position, value) in call.inputs.enumerated() {
        add(value, Consumer(layer: index, index: 0, isMain: position == 0))
      }
      for value in call.keywords.flatMap(\.values) {
        add(value, Consumer(layer: index, index: 0, isMain: false))
      }
    }
    for value in graph.outputs {
      if case .output(let layer, let index) = source(value) { returned[layer].insert(index) }
    }
  }

  private mutating func add(_ value: KerasGraph.Value, _ consumer: Consumer) {
    guard case .output(let layer, let index) = source(value) else { return }
    consumers[layer].append(
      Consumer(layer: consumer.layer, index: index, isMain: consumer.isMain))
  }

  /// Finds where a transparent layer's result comes from, and notes it for all layers on the way.
  private mutating func pass(_ start: Int) {
    var way: [Int] = []
    var seen: Set<Int> = []
    var value = KerasGraph.Value.output(layer: start, index: 0)
    while case .output(let layer, _) = value, roles[layer].isTransparent {
      if let known = passed[layer] {
        value = known
        break
      }
      guard seen.insert(layer).inserted else {
        value = .unknown("a cycle")
        break
      }
      way.append(layer)
      let call = graph.layers[layer].call
      guard let call, call.inputs.count == 1, call.keywords.isEmpty else {
        value = .unknown("\(graph.layers[layer].className) \"\(graph.layers[layer].name)\"")
        break
      }
      value = call.inputs[0]
    }
    for layer in way { passed[layer] = value }
  }

  /// Takes a function that stands alone behind a linear layer as that layer's own.
  private mutating func foldFunctions() -> Bool {
    var folded = false
    for (index, role) in roles.enumerated() {
      guard case .function(let function) = role, let call = graph.layers[index].call,
        call.inputs.count == 1, call.keywords.isEmpty, graph.layers[index].uses == 1,
        case .output(let below, 0) = source(call.inputs[0]), functions[below]?.name == "linear",
        consumers[below].count == 1, returned[below].isEmpty
      else { continue }
      functions[below] = function
      roles[index] = .transparent(rate: nil)
      folded = true
    }
    return folded
  }
}
