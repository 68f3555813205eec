import Containers
import Tensors

/// What is known of a value that descends from an input of the model or from a module.
struct ONNXTrace {
  /// What a value may descend from; modules by their place among their kind.
  enum Source: Hashable {
    case input(Int)
    case recurrent(Int)
    case embedding(Int)
    case linear(Int)
  }

  /// What it descends from; nodes of one stack count one by one.
  var sources: [Source]
  /// Where its elements come from; `nil` where that is not known.
  var layout: ONNXLayout?
  /// Operations on the way that are not understood, the nearest to the source first.
  var operations: [String] = []
  /// Operations on the way that only move elements, likewise.
  var moves: [String] = []
  /// The element type's number in TensorProto.DataType, where it is known.
  var dataType: Int?
  /// Whether nothing else takes what the source puts out.
  var isExclusive = true
  /// The function behind a linear layer that it went through.
  var activation: String?

  static let operationLimit = 8
  static let sourceLimit = 16

  /// Whether every operation on the way is understood.
  var isClean: Bool { operations.isEmpty && layout != nil }

  /// The only recurrent nodes that it descends from; `nil` where anything else takes part.
  var recurrentNodes: [Int]? {
    var nodes: [Int] = []
    for source in sources {
      guard case .recurrent(let node) = source else { return nil }
      nodes.append(node)
    }
    return nodes.isEmpty ? nil : nodes
  }

  /// The same value behind one more operation that only moves.
  func moved(_ operation: String, _ layout: ONNXLayout) -> ONNXTrace {
    var result = self
    result.layout = layout
    if result.moves.count < Self.operationLimit { result.moves.append(operation) }
    return result
  }

  /// What an operation that is not understood makes of values.
  static func broken(_ inputs: [ONNXTrace], _ operation: String, _ layout: ONNXLayout?) -> ONNXTrace
  {
    var result = ONNXTrace(sources: [])
    for input in inputs {
      for source in input.sources
      where result.sources.count < sourceLimit && !result.sources.contains(source) {
        result.sources.append(source)
      }
      if input.operations.count > result.operations.count { result.operations = input.operations }
    }
    if result.operations.count < operationLimit { result.operations.append(operation) }
    result.layout = layout
    result.isExclusive = false
    return result
  }
}
