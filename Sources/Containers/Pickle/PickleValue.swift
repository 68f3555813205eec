import Tensors

/// One value of a pickle; containers live in a `PickleGraph` because they may be shared or cyclic.
package enum PickleValue {
  case none
  case bool(Bool)
  case int(Int)
  /// An integer beyond 64 bits, which no weight file needs.
  case bigInt
  case float(Double)
  case string([UInt8])
  /// A byte string: where it lies in the program.
  case bytes(Range<Int>)
  /// A name such as `torch FloatStorage`; only ever compared, never looked up.
  case global(String)
  case node(Int)
}

/// A container or object of a pickle.
package enum PickleNode {
  case list([PickleValue])
  case tuple([PickleValue])
  case set([PickleValue])
  case dict([(key: PickleValue, value: PickleValue)])
  /// What Python would get by calling `callee`; here it stays a description.
  case object(callee: PickleValue, arguments: PickleValue)
  case persistent(PickleValue)
}

/// The result of reading a pickle: plain data.
package struct PickleGraph {
  package var nodes: [PickleNode] = []
  package var root = PickleValue.none
  /// What BUILD gave to objects: node to state.
  package var states: [Int: PickleValue] = [:]
  /// The program, for the byte strings in it.
  package var program: [UInt8] = []

  package func node(_ value: PickleValue) -> PickleNode? {
    if case .node(let index) = value { nodes[index] } else { nil }
  }

  package func tuple(_ value: PickleValue) -> [PickleValue]? {
    if case .tuple(let items)? = node(value) { items } else { nil }
  }

  package func dict(_ value: PickleValue) -> [(key: PickleValue, value: PickleValue)]? {
    if case .dict(let pairs)? = node(value) { pairs } else { nil }
  }

  /// The value of a string key; the last one counts, as in Python.
  package func value(_ key: String, in value: PickleValue) -> PickleValue? {
    dict(value)?.last {
      if case .string(let bytes) = $0.key { bytes.elementsEqual(key.utf8) } else { false }
    }?.value
  }

  /// The name of the callee and the arguments, if the value is an object.
  package func call(_ value: PickleValue) -> (name: String, arguments: [PickleValue])? {
    guard case .object(.global(let name), let arguments)? = node(value) else { return nil }
    return (name, tuple(arguments) ?? [])
  }

  /// The attributes that BUILD gave to an object.
  package func attributes(_ value: PickleValue) -> [(key: PickleValue, value: PickleValue)]? {
    guard case .node(let index) = value, case .object? = node(value), var state = states[index]
    else { return nil }
    // Classes with slots have a pair: the dict and the slots.
    if let pair = tuple(state), pair.count == 2 { state = pair[0] }
    return dict(state)
  }

  /// The attribute of an object with a name; the last one counts, as in Python.
  package func attribute(_ name: String, of value: PickleValue) -> PickleValue? {
    attributes(value)?.last {
      if case .string(let bytes) = $0.key { bytes.elementsEqual(name.utf8) } else { false }
    }?.value
  }

  /// A few words about a value, for `StateDict.skipped`.
  package func summary(_ value: PickleValue) -> String {
    switch value {
    case .none: return "None"
    case .bool(let value): return value ? "True" : "False"
    case .int(let value): return String(value)
    case .bigInt: return "a big integer"
    case .float(let value): return String(value)
    case .string(let bytes): return "\"" + String(decoding: bytes.prefix(80), as: UTF8.self) + "\""
    case .bytes: return "bytes"
    case .global(let name): return "the name \(name)"
    case .node(let index):
      switch nodes[index] {
      case .list(let items): return "a list of \(items.count)"
      case .tuple(let items): return "a tuple of \(items.count)"
      case .set: return "a set"
      case .dict(let pairs): return "a dict of \(pairs.count)"
      case .object(.global(let name), _):
        return numPyScalar(value) ?? "an object of \(name)"
      case .object, .persistent: return "an object"
      }
    }
  }
}
