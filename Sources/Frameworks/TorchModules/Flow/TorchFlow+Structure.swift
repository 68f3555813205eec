import Containers
import Tensors

// What is said in the end.

extension TorchFlow {
  /// Notes what the program gives back.
  mutating func give(_ value: TorchValue) {
    for index in tensorIndices(in: [value]) {
      let tensor = tensors[index]
      guard case .module(let module) = tensor.origin else {
        for trail in trails(of: index) {
          if let source = trail.module { obstruct(source, .behind, trail.operations) }
        }
        continue
      }
      let isPlain =
        tensor.layout.map { $0.isCanonical }
        ?? ((tensor.activation != nil || tensor.operations.isEmpty) && !tensor.isSwapped)
      if !isPlain || tensor.packed != nil {
        let operations =
          tensor.operations.isEmpty
          ? ["time and batch in another order than in the input"] : tensor.operations
        obstruct(module, .behind, tensor.packed != nil ? ["packed rows"] : operations)
      } else if let activation = tensor.activation {
        use(module, as: "activation \(activation)")
      } else if tensor.isMainResult {
        use(module, as: "output")
      }
    }
  }

  /// What was understood.
  mutating func structure() -> Structure {
    for module in modules.indices {
      guard let uses = uses[module] else { continue }
      for use in uses.sorted() {
        guard use.hasPrefix("activation ") else { continue }
        let activation = String(use.dropFirst("activation ".count))
        if uses.count == 1 {
          modules[module].activation = activation
        } else {
          obstruct(module, .behind, [activation])
        }
      }
    }
    separateConflicts()
    var result = Structure(statesConnections: true, modules: modules)
    guard failure == nil else {
      result.obstacles = modules.flatMap { module in
        [.before, .behind].map {
          Structure.Obstacle(module: module.name, side: $0, operations: [failure ?? ""])
        }
      }
      return result
    }
    result.connections = connections
    let leading = Set(connections.map(\.from))
    for var obstacle in obstacles {
      if obstacle.side == .behind, let place = places[obstacle.module] {
        obstacle.isBranch =
          leading.contains(obstacle.module) || (uses[place] ?? []).contains("output")
      }
      result.obstacles.append(obstacle)
    }
    return result
  }

  /// A module that reads another in two ways reads it in neither, as one network is concerned.
  private mutating func separateConflicts() {
    var ways: [String: Int] = [:]
    for connection in connections {
      ways["\(connection.from)\u{1F}\(connection.to)", default: 0] += 1
    }
    guard ways.contains(where: { $0.value > 1 }) else { return }
    let all = connections
    connections = []
    for connection in all {
      if ways["\(connection.from)\u{1F}\(connection.to)"] == 1 {
        connections.append(connection)
        continue
      }
      let words = ["calls that read \(connection.from) in different ways"]
      if let from = places[connection.from] { obstruct(from, .behind, words) }
      if let to = places[connection.to] { obstruct(to, .before, words) }
    }
  }
}

extension TorchTensor {
  /// Whether this is what a module is there for, not its states.
  var isMainResult: Bool {
    guard let layout else { return true }
    return layout.parts.allSatisfy { $0.content != .hidden && $0.content != .cell }
      && !layout.parts.isEmpty
  }
}
