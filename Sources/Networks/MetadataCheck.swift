import RNNEngine
import Tensors

/// Holds what metadata say of a file's modules against what its computation, its tensors or its other metadata say.
package struct MetadataCheck {
  private let modules: [Module]
  private let connections: [Connection]
  private let state: StateDict
  private let statesConnections: Bool

  package init(_ modules: [Module], _ connections: [Connection], _ state: StateDict) {
    self.modules = modules
    self.connections = connections
    self.state = state
    statesConnections = state.structure?.statesConnections == true
  }

  /// One line for each thing that metadata say and a graph or configuration says otherwise: the computation is believed.
  ///
  /// Throws `metadata.KEY` for values that their keys do not have.
  package func contradictions() throws -> [Remark] {
    guard !state.metadata.pairs.isEmpty else { return [] }
    var lines: [Remark] = []
    func say(_ key: String, _ value: String, _ other: String) {
      lines.append(.notBelieved(key: key, value: value, because: other))
    }
    let recurrent = modules.filter(\.isRecurrent)
    for module in recurrent {
      let metadata = ModuleMetadata(
        state.metadata, module: module.name, isOnlyOne: recurrent.count == 1)
      let name = Assumption.name(module.name)
      let (behind, head) = follower(of: module)
      let reads = try metadata.headReads()
      if let reads, let behind, statesConnections,
        !module.architecture.reads(reads, sameAs: behind.reads)
      {
        say(
          "head_reads", reads.rawValue,
          "\(behind.to) reads \(behind.reads.rawValue), as the file computes")
      } else if let reads, behind == nil {
        say("head_reads", reads.rawValue, "no linear layer is known to follow \(name)")
      }
      if let activation = try metadata.outputActivation(head: head?.name) {
        if let head, statesConnections, head.stated?.activation != activation {
          say(
            "output_activation", activation,
            "\(head.stated?.activation ?? "nothing") stands behind \(head.name), as the file computes"
          )
        } else if head == nil {
          say("output_activation", activation, "no linear layer is known to follow \(name)")
        }
      }
      let batchFirst = try metadata.batchFirst()
      if let batchFirst, module.known.contains(.batchFirst),
        batchFirst != module.architecture.batchFirst
      {
        say("batch_first", "\(batchFirst)", "the file says otherwise of \(name)")
      }
      if module.stated?.recurrent.initialState != nil, try metadata.storesInitialState(),
        !module.architecture.storesInitialState
      {
        say("initial_state", "stored", "the file computes \(name) from another state")
      }
    }
    if statesConnections, let kept = try ModuleMetadata.connections(state.metadata) {
      for connection in kept.map(\.connection)
      where !connections.contains(where: { isSame($0, connection) }) {
        say(
          "connections", "\(connection.from) -> \(connection.to)",
          "the file computes something else")
      }
    }
    return lines
  }

  /// The first linear layer that is known to follow a module.
  private func follower(of module: Module) -> (connection: Connection?, head: Module?) {
    for connection in connections where connection.from == module.name {
      if let head = modules.first(where: { $0.name == connection.to && $0.kind == .linear }) {
        return (connection, head)
      }
    }
    return (nil, nil)
  }

  private func isSame(_ one: Connection, _ other: Connection) -> Bool {
    guard one.from == other.from, one.to == other.to else { return false }
    return modules.first { $0.name == one.from && $0.isRecurrent }?
      .architecture.reads(one.reads, sameAs: other.reads) ?? true
  }
}
