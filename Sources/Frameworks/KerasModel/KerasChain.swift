import Containers
import Tensors

/// The one chain of modules that a Sequential can hold.
extension KerasSequential {
  /// One module, and what the next one reads of it.
  struct Link {
    let module: Structure.Module
    let reads: HeadReads
  }

  /// The modules in the order of computation; none where there is no module at all.
  static func chain(of structure: Structure) throws -> [Link] {
    let modules = structure.modules
    guard !modules.isEmpty else { return [] }
    for module in modules {
      if let refusal = module.refusal { throw refusal }
      guard [.recurrent, .linear, .embedding].contains(module.kind) else {
        let word = module.className.isEmpty ? module.kind.rawValue : module.className
        throw inexpressible(
          module.name, "\(word), for which a Sequential that Recurrent writes has no layer",
          "embedding, recurrent and linear modules",
          "Convert the other modules alone, or write another container.")
      }
    }
    if let obstacle = structure.obstacles.first {
      throw inexpressible(
        obstacle.module,
        "\(obstacle.operations.first ?? "an operation") \(obstacle.side.rawValue) the module",
        "modules that read one another directly",
        "Convert the module alone, or write another container.")
    }
    var next: [String: Structure.Connection] = [:]
    var read: Set<String> = []
    for connection in structure.connections {
      guard next.updateValue(connection, forKey: connection.from) == nil,
        read.insert(connection.to).inserted
      else { throw branches(connection.from) }
    }
    var byName: [String: Structure.Module] = [:]
    for module in modules where byName.updateValue(module, forKey: module.name) != nil {
      throw branches(module.name)
    }
    let starts = modules.filter { !read.contains($0.name) }
    guard let start = starts.first, starts.count == 1 else {
      throw inexpressible(
        nil, "\(modules.count) modules whose connections are not known",
        "one chain of modules, as a Sequential is",
        "Convert one module alone, or say how they are connected.")
    }
    var chain: [Link] = []
    var current: Structure.Module? = start
    while let module = current, chain.count <= modules.count {
      let connection = next[module.name]
      chain.append(Link(module: module, reads: connection?.reads ?? .sequence))
      current = connection.flatMap { byName[$0.to] }
    }
    guard chain.count == modules.count else { throw branches(start.name) }
    return chain
  }

  private static func branches(_ name: String) -> RecurrentError {
    inexpressible(
      name, "a module that more than one other reads, or that reads itself", "one chain of modules",
      "Convert the modules one by one.")
  }

  static func inexpressible(
    _ module: String?, _ found: String, _ expected: String, _ hint: Advice,
    reason: RecurrentError.Reason = .kerasSequential
  ) -> RecurrentError {
    RecurrentError(
      reason, at: module.map { "module \"\($0)\"" }, found: found, expected: expected,
      hint: hint)
  }
}
