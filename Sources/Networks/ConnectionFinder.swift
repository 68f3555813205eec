import RNNEngine
import Tensors

/// Works out how the modules of a file are connected: as the file states, as the caller says, or by the one rule for what
/// may be assumed (the page "What a proof proves").
package struct ConnectionFinder {
  package internal(set) var connections: [Connection] = []
  let modules: [Module]
  let state: StateDict
  let options: ReadOptions
  let items: [Item]
  /// Where each module stands among the items.
  let places: [Int: Int]
  let scopes: [[Substring]]
  let itemScopes: [[Substring]]
  let recurrent: [Int]
  /// Heads of which the file says that they are there, and not what they read.
  var openHeads: Set<String> = []
  /// For each embedding and linear layer the recurrent modules that share most scopes with it.
  var neighbours: [Int: [Int]] = [:]
  /// Every module is compared with every other; nobody has so many and means one network.
  static let largestFile = 1000

  /// One thing in the file's order that has parameters or a class of its own.
  struct Item {
    let name: String
    let kind: ModuleKind
    let module: Int?
  }

  package init(_ modules: [Module], _ state: StateDict, _ options: ReadOptions) throws {
    self.modules = modules
    self.state = state
    self.options = options
    items = Self.items(modules, state)
    places = Dictionary(
      items.enumerated().compactMap { place, item in item.module.map { ($0, place) } },
      uniquingKeysWith: { first, _ in first })
    scopes = modules.map { Self.scope($0.name) }
    itemScopes = items.map { Self.scope($0.name) }
    recurrent = modules.indices.filter { modules[$0].isRecurrent }
    if let structure = state.structure, structure.statesConnections {
      connections = structure.connections.filter { connection in
        [connection.from, connection.to].allSatisfy { name in
          modules.contains { $0.name == name && $0.refusal == nil }
        }
      }.map {
        Connection(from: $0.from, to: $0.to, reads: $0.reads, evidence: .stated)
      }
      // A conversion that assumed a connection wrote it into a computation; that is no more than it knew.
      let kept = try ModuleMetadata.connections(state.metadata) ?? []
      for index in connections.indices {
        let own = connections[index]
        let isAssumed = kept.contains {
          $0.connection.from == own.from && $0.connection.to == own.to
            && $0.connection.evidence == .assumed
        }
        if isAssumed { connections[index].evidence = .assumed }
      }
    } else if let fixed = modules.first?.convention.fixed {
      connections = fixed.connections
      try connections.forEach(checkSizes)
    } else if let kept = try ModuleMetadata.connections(state.metadata) {
      for text in kept where text.connection.evidence != .unknown {
        var connection = named(text.connection)
        // What stands within one stack connects nothing.
        if connection.from == connection.to, text.connection.from != text.connection.to { continue }
        try checkNames(connection)
        try checkSizes(connection)
        try settleReads(&connection, isSaid: text.saysReads)
        connections.append(connection)
      }
    } else if modules.count <= Self.largestFile {
      for index in modules.indices where !modules[index].isRecurrent {
        neighbours[index] = nearestRecurrent(to: index)
      }
      for index in recurrent { try assume(index) }
    }
    try applyOptions()
  }

  // MARK: What metadata say

  func metadata(of module: Module) -> ModuleMetadata {
    ModuleMetadata(state.metadata, module: module.name, isOnlyOne: recurrent.count == 1)
  }

  private func checkNames(_ connection: Connection) throws {
    for name in [connection.from, connection.to] where !modules.contains(where: { $0.name == name })
    {
      throw RecurrentError(
        .metadataConnections, at: "metadata \"connections\"",
        found: "\(connection.from) -> \(connection.to), and no module \"\(name)\"",
        expected: "the names of modules: "
          + modules.map { "\"\($0.name)\"" }.joined(separator: ", "))
    }
  }

  /// A connection with the names of stacks in place of those of their layers.
  private func named(_ connection: Connection) -> Connection {
    func stack(_ name: String) -> String {
      modules.first { $0.layerNames.contains(name) }?.name ?? name
    }
    var result = connection
    (result.from, result.to) = (stack(connection.from), stack(connection.to))
    return result
  }

  /// What a head reads, by the connection or by the key `head_reads`; throws `metadata.head_reads` where they say two
  /// things, and `metadata.head` where there is to be no head.
  private func settleReads(_ connection: inout Connection, isSaid: Bool) throws {
    guard
      let module = modules.first(where: { $0.name == connection.from && $0.isRecurrent }),
      modules.contains(where: { $0.name == connection.to && $0.kind == .linear })
    else { return }
    let metadata = self.metadata(of: module)
    guard try metadata.hasHead() != false else {
      throw RecurrentError(
        .metadataHead, at: "metadata \"head\"", found: "\"none\"",
        expected: "linear, as \"connections\" says", hint: ModuleMetadata.hint)
    }
    guard let reads = try metadata.headReads(), reads != connection.reads else { return }
    guard isSaid else {
      connection.reads = reads
      return
    }
    if module.architecture.reads(reads, sameAs: connection.reads) { return }
    throw RecurrentError(
      .metadataHeadReads, at: "metadata \"head_reads\"",
      found: "\"\(reads.rawValue)\"",
      expected: "\(connection.reads.rawValue), as \"connections\" says", hint: ModuleMetadata.hint)
  }

  /// Throws `network.sizes` unless the second module takes as many features as the first one gives.
  private func checkSizes(_ connection: Connection) throws {
    let sources = modules.filter { $0.name == connection.from }
    let readers = modules.filter { $0.name == connection.to }
    guard (sources + readers).allSatisfy({ $0.refusal == nil }) else { return }
    for source in sources {
      for reader in readers where reader.inputWidth == source.outputWidth { return }
    }
    let (source, reader) = (sources.first, readers.first)
    throw RecurrentError(
      .networkSizes, at: "connection \(connection.from) -> \(connection.to)",
      found: "\(source?.outputWidth ?? 0) features of \(connection.from)",
      expected: reader?.inputWidth.map { "\($0), which \(connection.to) takes" }
        ?? "a module that takes features; \(connection.to) takes token ids",
      hint:
        "The file or the names file connects modules that do not fit; correct it where it was made."
    )
  }

  // MARK: What the caller says

  private mutating func applyOptions() throws {
    let recurrent = recurrent.map { modules[$0] }
    let asked = options.module.map(\.withoutSeparator)
    let target =
      recurrent.first { $0.name == asked } ?? (recurrent.count == 1 ? recurrent[0] : nil)
      ?? recurrent.first { module in asked.map { module.name.hasPrefix($0 + ".") } ?? false }
      ?? asked.flatMap { asked in
        let alike = recurrent.filter { asked.isSpelled(as: $0.name) }
        return alike.count == 1 ? alike[0] : nil
      }
    guard let target else { return try checkNothingSaid() }
    try apply(options.head, .linear, beside: target)
    try apply(options.embedding, .embedding, beside: target)
    if let reads = options.headReads {
      guard connections.contains(where: { isLink($0, .linear, target) }) else {
        let layers = modules.filter { $0.kind == .linear }.map(\.name)
        throw RecurrentError(
          .networkHeadReads, at: "module \"\(target.name)\"",
          found: "no linear layer that is known to follow it",
          expected: "a head that reads \(reads == .sequence ? "every step" : reads.rawValue)",
          hint: layers.first.map { "Name the head, for instance \(.head($0))." })
      }
      for index in connections.indices
      where isLink(connections[index], .linear, target) {
        guard
          connections[index].evidence != .stated || connections[index].reads == reads
            || openHeads.contains(connections[index].to)
        else {
          throw RecurrentError(
            .networkHeadReads, at: "module \"\(connections[index].to)\"",
            found: "head_reads \(reads.rawValue)",
            expected: "\(connections[index].reads.rawValue), as the file says")
        }
        connections[index].reads = reads
      }
    }
  }

  /// Of several recurrent modules nobody knows which one a head or a table is said to stand beside.
  private func checkNothingSaid() throws {
    var isSaid = options.headReads != nil
    for neighbour in [options.head, options.embedding] {
      if case .named? = neighbour { isSaid = true }
    }
    guard isSaid, recurrent.count > 1 else { return }
    throw ModuleList.ambiguous(
      recurrent.map { modules[$0] }, expected: "one that the head or the table stands beside")
  }

  /// Whether a connection joins a module to its head, or a table to it.
  private func isLink(_ connection: Connection, _ kind: ModuleKind, _ target: Module) -> Bool {
    let (own, other) =
      kind == .linear ? (connection.from, connection.to) : (connection.to, connection.from)
    return own == target.name && modules.contains { $0.name == other && $0.kind == kind }
  }

  /// Puts the head or the table that the caller named beside a module, in place of any other.
  private mutating func apply(
    _ neighbour: ReadOptions.Neighbour?, _ kind: ModuleKind, beside target: Module
  ) throws {
    guard let neighbour else { return }
    var link: Connection?
    if case .named(let name) = neighbour {
      let isHead = kind == .linear
      let module = try given(name, kind, isHead ? "a linear layer" : "a table of vectors")
      let size = module.architecture.inputSize
      let width = isHead ? target.architecture.outputSize : target.architecture.inputSize
      guard size == width else {
        throw RecurrentError(
          .networkSizes, at: "module \"\(module.name)\"",
          found: isHead ? "\(size) inputs" : "vectors of \(size) features",
          expected:
            "\(width), the \(isHead ? "output" : "input") of \(Assumption.name(target.name))",
          hint: fitting(kind, width).map { "For instance \($0), which fits." })
      }
      try checkStated(module.name, kind, beside: target)
      link = Connection(
        from: isHead ? target.name : module.name, to: isHead ? module.name : target.name,
        reads: isHead ? options.headReads ?? .sequence : .sequence, evidence: .given)
    }
    connections = connections.filter { !isLink($0, kind, target) }
    if let link { connections.append(link) }
  }

  /// Throws `network.neighbour` where the file says that another module stands there, or none.
  private func checkStated(_ name: String, _ kind: ModuleKind, beside target: Module) throws {
    let stated = connections.first { isLink($0, kind, target) && $0.evidence == .stated }
    let other = stated.map { kind == .linear ? $0.to : $0.from }
    let isNone =
      try kind == .linear
      && metadata(of: target).hasHead() == false
    guard isNone || (other != nil && other != name) else { return }
    throw RecurrentError(
      .networkNeighbour, at: "module \"\(name)\"",
      found: "said to stand beside \(Assumption.name(target.name))",
      expected: "\(other ?? "none"), as the file says")
  }

  /// A module of a kind that takes (or gives) so many features.
  private func fitting(_ kind: ModuleKind, _ width: Int) -> String? {
    modules.first {
      $0.kind == kind && $0.refusal == nil && $0.architecture.inputSize == width
    }?.name
  }

  private func given(_ text: String, _ kind: ModuleKind, _ what: String) throws -> Module {
    let name = text.withoutSeparator
    let own = modules.filter { $0.kind == kind }
    let alike = own.filter { name.isSpelled(as: $0.name) }
    if let module = own.first(where: { $0.name == name }) ?? (alike.count == 1 ? alike[0] : nil) {
      if let refusal = module.refusal { throw refusal }
      return module
    }
    let others = modules.filter { $0.kind == kind }.map(\.name)
    throw RecurrentError(
      .networkNeighbour, at: "module \"\(name)\"",
      found: modules.contains { $0.name == name } ? "a module of another kind" : "no such module",
      expected: others.isEmpty
        ? what + ", which the file does not have"
        : "\(what): \(others.count > 1 ? "one of " : "")" + others.joined(separator: ", "),
      hint: nearest(to: name, among: others).map { "Did you mean \($0)?" })
  }
}
