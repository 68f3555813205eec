// What each layer reads: references, through the models around it.
import Containers
import Tensors

extension KerasGraph {
  /// What a Sequential's layer reads: the member before it, or what feeds the model.
  func value(of previous: String?, in scope: Int) -> Value {
    if let previous { return resolve(Reference(name: previous, index: 0), in: scope) }
    return fed(scope, position: 0)
  }

  /// What feeds an input of a model.
  private func fed(_ scope: Int, position: Int) -> Value {
    var (scope, position) = (scope, position)
    for _ in 0..<Self.stepLimit {
      let own = scopes[scope]
      guard let parent = own.parent else { return .input("the model's input") }
      if let opaque = own.opaque { return .unknown(opaque) }
      guard own.arguments.indices.contains(position) else {
        return .unknown("input \(position) of \"\(own.names.joined(separator: "."))\"")
      }
      // The first layer of a Sequential reads what its model reads.
      guard let reference = own.arguments[position] else {
        (scope, position) = (parent, 0)
        continue
      }
      return resolve(reference, in: parent)
    }
    return .unknown("a cycle")
  }

  func resolve(_ reference: Reference, in scope: Int) -> Value {
    var (reference, scope) = (reference, scope)
    for _ in 0..<Self.stepLimit {
      switch scopes[scope].members[reference.name] {
      case nil: return .unknown("\"\(reference.name)\", which is not in the configuration")
      case .layer(let index)?:
        guard layers[index].uses == 1 else {
          return .unknown(Self.shared(layers[index].name, layers[index].uses))
        }
        return .output(layer: index, index: reference.index)
      case .model(let inner)?:
        if let opaque = scopes[inner].opaque { return .unknown(opaque) }
        guard scopes[inner].outputs.indices.contains(reference.index) else {
          return .unknown("result \(reference.index) of \"\(reference.name)\"")
        }
        (reference, scope) = (scopes[inner].outputs[reference.index], inner)
      case .input(let position)?:
        guard let parent = scopes[scope].parent else { return .input(reference.name) }
        if let opaque = scopes[scope].opaque { return .unknown(opaque) }
        guard let position, scopes[scope].arguments.indices.contains(position) else {
          return .unknown("the input \"\(reference.name)\"")
        }
        guard let outer = scopes[scope].arguments[position] else {
          return fed(parent, position: 0)
        }
        (reference, scope) = (outer, parent)
      }
    }
    return .unknown("a cycle")
  }

  /// One use of a layer.
  mutating func call(_ node: JSON, in scope: Int) throws -> Call {
    var result = Call()
    var keywords: [JSON.Member] = []
    if case .object = node {
      result.arguments = node["args"]?.arrayValue ?? []
      for argument in result.arguments {
        result.inputs += try values(in: argument, scope)
      }
      keywords = node["kwargs"]?.objectValue ?? []
    } else {
      result.inputs = try references(in: node).map { resolve($0, in: scope) }
      keywords = Self.oldKeywords(node)
    }
    for keyword in keywords {
      if keyword.key == "training", keyword.value.boolValue == true { result.isTraining = true }
      guard keyword.key != "training" else { continue }
      let values = try values(in: keyword.value, scope)
      guard !values.isEmpty else { continue }
      if result.inputs.isEmpty, ["inputs", "sequence", "sequences", "x"].contains(keyword.key) {
        result.inputs = values
      } else {
        result.keywords.append((keyword.key, values))
      }
    }
    return result
  }

  /// What an argument of a call refers to; anything else that is said there is a value that nobody computes.
  mutating func values(in argument: JSON, _ scope: Int) throws -> [Value] {
    let found = try references(in: argument).map { resolve($0, in: scope) }
    guard found.isEmpty else { return found }
    switch argument {
    case .null: return []
    case .array(let items) where items.isEmpty || items.allSatisfy({ $0 == .null }): return []
    case .object(let members) where members.isEmpty: return []
    default: return [.unknown("a constant of the configuration")]
    }
  }

  private static func oldKeywords(_ node: JSON) -> [JSON.Member] {
    let first = isReference(node) ? node : node.arrayValue?.first ?? .null
    guard let items = first.arrayValue, items.count > 3 else { return [] }
    return items[3].objectValue ?? []
  }

  private static func isReference(_ value: JSON) -> Bool {
    guard let items = value.arrayValue, items.count >= 3 else { return false }
    return items[0].stringValue != nil && items[1].intValue != nil && items[2].intValue != nil
  }

  /// The references `[name, node, index]` in a value, in order; keywords that stand in them are left out.
  mutating func references(in value: JSON) throws -> [Reference] {
    var found: [Reference] = []
    var pending = [value]
    while let value = pending.popLast() {
      switch value {
      case .array(let items):
        if Self.isReference(value), let name = items[0].stringValue, let index = items[2].intValue {
          found.append(Reference(name: name, index: index))
        } else {
          pending += items.reversed()
        }
      case .object(let members): pending += members.reversed().map(\.value)
      default: break
      }
    }
    referenceCount += found.count
    guard referenceCount <= Self.referenceLimit else {
      throw RecurrentError(
        .kerasLayers, at: "the model's configuration",
        found: "more than \(Self.referenceLimit) references between layers",
        expected: "a model that a machine can hold")
    }
    return found
  }
}
