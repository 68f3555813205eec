// Which dict of a checkpoint holds the weights.
import Containers
import Tensors

extension PyTorchStateReader {
  enum Choice {
    case one(PickleValue)
    /// Every dict of the top level that holds tensors, each under its key.
    case several
  }

  func follow(_ key: String) throws -> PickleValue {
    var value = graph.root
    if key.isEmpty { return value }
    if let whole = graph.value(key, in: value), holdsNames(whole) { return whole }
    for part in key.split(separator: ".", omittingEmptySubsequences: false) {
      guard let next = graph.value(String(part), in: value), holdsNames(next) else {
        throw RecurrentError(
          .ptKey, at: "key \"\(key)\"", found: "no such dict in the file",
          expected: candidates().isEmpty
            ? "no key" : "one of " + candidates().joined(separator: ", "))
      }
      value = next
    }
    return value
  }

  private func holdsNames(_ value: PickleValue) -> Bool {
    graph.dict(value) != nil || isModule(value)
  }

  /// The usual keys first, then the top level, then the dicts of the top level.
  func search(_ state: inout StateDict) throws -> Choice {
    var value = graph.root
    levels: for _ in 0..<Self.maximumDepth {
      for key in Self.usualKeys {
        guard let next = graph.value(key, in: value), holdsWeights(next) else {
          continue
        }
        for pair in graph.dict(value) ?? [] {
          if case .string(let bytes) = pair.key, bytes.elementsEqual(key.utf8) { continue }
          skip(pair, in: &state)
        }
        value = next
        continue levels
      }
      break
    }
    let pairs = graph.dict(value) ?? []
    if !isRoot(value) || isOptimizer(value) || candidates().isEmpty { return .one(value) }
    // Weights further down have no name of their own that would keep them apart.
    let hidden = pairs.contains {
      !holdsTensors($0.value) && tensors.tensorCall($0.value) == nil && holdsWeights($0.value)
    }
    guard !hidden, pairs.count <= 1000 else { throw severalDicts(hasTensors: holdsTensors(value)) }
    let held = pairs.filter { holdsTensors($0.value) && !isOptimizer($0.value) }
    guard held.count == 1, !holdsTensors(value), let only = held.first else { return .several }
    for pair in pairs where !isSame(pair.value, only.value) { skip(pair, in: &state) }
    return .one(only.value)
  }

  private func isSame(_ a: PickleValue, _ b: PickleValue) -> Bool {
    if case .node(let a) = a, case .node(let b) = b { a == b } else { false }
  }

  func severalDicts(hasTensors: Bool) -> RecurrentError {
    RecurrentError(
      .ptKey,
      found: hasTensors ? "tensors at the top level and in dicts" : "several dicts of tensors",
      expected: "one state dict",
      hint:
        "\(.key) chooses one of \(candidates().joined(separator: ", "))\(hasTensors ? ", or \"\" for the top level." : ".")"
    )
  }

  private func isRoot(_ value: PickleValue) -> Bool {
    if case .node(let a) = value, case .node(let b) = graph.root { a == b } else { false }
  }

  /// The keys of the top level under which tensors lie; never an optimizer.
  private func candidates() -> [String] {
    (graph.dict(graph.root) ?? []).prefix(1000).compactMap { pair in
      guard case .string(let key) = pair.key, holdsTensors(pair.value), !isOptimizer(pair.value)
      else { return nil }
      return "\"" + String(decoding: key, as: UTF8.self) + "\""
    }
  }

  func holdsTensors(_ value: PickleValue) -> Bool {
    if case .node(let index) = value {
      withTensors.contains(index) || isModule(value)
    } else {
      false
    }
  }

  func isOptimizer(_ value: PickleValue) -> Bool {
    if case .node(let index) = value { optimizers.contains(index) } else { false }
  }

  /// Whether tensors lie here or under the usual keys further down.
  private func holdsWeights(_ value: PickleValue) -> Bool {
    var pending = [value]
    var seen: Set<Int> = []
    while let next = pending.popLast() {
      guard case .node(let index) = next, seen.insert(index).inserted, !isOptimizer(next) else {
        continue
      }
      if holdsTensors(next) { return true }
      for pair in graph.dict(next) ?? [] {
        if case .string(let key) = pair.key, key.count < 32,
          Self.usualKeys.contains(String(decoding: key, as: UTF8.self))
        {
          pending.append(pair.value)
        }
      }
    }
    return false
  }
}
