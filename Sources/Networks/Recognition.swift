import RNNEngine
import Tensors

/// The network found in a state dict, and what had to be assumed to find it: one recurrent module, with the embedding
/// before it and the linear layer behind it where these connections are known.
package struct Recognition: Sendable {
  /// Everything that the file holds.
  package let file: ModuleList
  /// The recurrent module.
  package let recurrent: Module
  /// The embedding before it.
  package let embedding: Module?
  /// The linear layer behind it.
  package let head: Module?
  /// The network.
  package let architecture: Architecture
  /// Where the convention's table finds it.
  package let naming: Naming
  /// The convention's table for this network; every tensor of it is in the file.
  package let tensors: [StoredTensor]
  /// Tensors that are not part of the network, in file order.
  package let foreign: [Name]

  /// What the tensors mean.
  package var convention: Convention { recurrent.convention }
  /// The modules of the network in the order of computation.
  package var modules: [Module] { [embedding, recurrent, head].compactMap { $0 } }
  /// The connections between them.
  package let connections: [Connection]
  private let areReadsGiven: Bool

  /// What neither tensors nor metadata nor the caller say and was assumed.
  package var assumptions: [Assumption] {
    var result: [Assumption] = []
    for connection in connections {
      result += Assumption.of(
        connection, isHead: connection.from == recurrent.name, isReadsGiven: areReadsGiven)
    }
    return modules.flatMap(\.assumptions).filter { !$0.isAboutLayout } + result
      + recurrent.assumptions.filter(\.isAboutLayout)
  }

  /// What else a reader should know.
  package var notes: [Remark] { modules.flatMap(\.notes) }

  /// Finds the network in a state dict.
  ///
  /// Throws `weights.unrecognized` when there is none, `weights.ambiguous` when there are several, and
  /// `weights.missing`, `weights.extra` or `weights.shape` when tensors contradict each other.
  package init(_ state: StateDict, options: ReadOptions = .init()) throws {
    try self.init(state, ModuleList(state, options: options), options)
  }

  /// Chooses the network among the modules of a file, which were found with the same options.
  package init(_ state: StateDict, _ list: ModuleList, _ options: ReadOptions) throws {
    let module: Module
    if let name = options.module {
      guard let found = list.module(name) else { throw list.unrecognized(state, options) }
      guard found.isRecurrent else {
        throw RecurrentError(
          .weightsKind, at: "module \"\(name)\"", found: found.architecture.summary,
          expected: "a recurrent module",
          hint: list.recurrent.first.map { "For instance \(.module($0.name))." })
      }
      module = found
    } else {
      let found = list.recurrent
      guard found.count <= 1 else {
        throw ModuleList.ambiguous(found, expected: "one")
      }
      guard let only = found.first else { throw list.unrecognized(state, options) }
      module = only
    }
    if let refusal = module.refusal { throw refusal }
    file = list
    recurrent = module
    areReadsGiven = options.headReads != nil
    let behind = list.connections.filter { connection in
      connection.from == module.name
        && list.modules.contains { $0.name == connection.to && $0.kind == .linear }
    }
    let before = list.connections.filter { connection in
      connection.to == module.name
        && list.modules.contains { $0.name == connection.from && $0.kind == .embedding }
    }
    // Two heads on one module are two networks; neither is this one's.
    let (head, table) = (behind.count == 1 ? behind[0] : nil, before.count == 1 ? before[0] : nil)
    self.head = head.flatMap { connection in
      list.modules.first { $0.name == connection.to && $0.kind == .linear }
    }
    embedding = table.flatMap { connection in
      list.modules.first { $0.name == connection.from && $0.kind == .embedding }
    }
    for module in [embedding, self.head].compactMap({ $0 }) {
      if let refusal = module.refusal { throw refusal }
    }
    connections = [table, head].compactMap { $0 }
    var architecture = module.architecture
    architecture.embedding = embedding?.architecture.embedding
    architecture.head = self.head?.architecture.head
    if let head { architecture.head?.reads = head.reads }
    if architecture.head?.activation == nil, architecture.head != nil,
      list.structure?.statesConnections != true
    {
      architecture.head?.activation = try ModuleMetadata(
        state.metadata, module: module.name, isOnlyOne: list.recurrent.count == 1
      ).outputActivation(head: self.head?.name)
    }
    self.architecture = architecture
    var naming = module.naming
    if let embedding {
      naming.embedding = embedding.naming.embedding
      naming.embeddingSpelling = embedding.naming.embeddingSpelling
    }
    if let head = self.head {
      naming.head = head.naming.head
      naming.headSpelling = head.naming.headSpelling
    }
    self.naming = naming
    tensors = (embedding?.tensors ?? []) + module.tensors + (self.head?.tensors ?? [])
    let own = Set(tensors.map(\.name) + module.tensorNames)
    foreign = state.names.filter { !own.contains($0) }
  }
}

extension Recognition {
  /// A module as a network of its own.
  package init(alone module: Module, tensors: [StoredTensor]) {
    file = ModuleList(alone: module)
    recurrent = module
    embedding = nil
    head = nil
    architecture = module.architecture
    naming = module.naming
    self.tensors = tensors
    foreign = []
    connections = []
    areReadsGiven = true
  }
}

extension ModuleList {
  /// The error of several recurrent modules where one is meant.
  static func ambiguous(_ modules: [Module], expected: String) -> RecurrentError {
    RecurrentError(
      .weightsAmbiguous,
      found: "\(modules.count) recurrent modules: "
        + modules.prefix(8).map(\.description).joined(separator: "; "),
      expected: expected, hint: modules.first.map { "Choose one: \(.module($0.name))." })
  }

  /// The error of a file without the module that was asked for, or without any.
  package func unrecognized(_ state: StateDict, _ options: ReadOptions) -> RecurrentError {
    var hint: Advice?
    var found: String
    let names = state.names.prefix(8).map { "\"\($0)\"" }.joined(separator: ", ")
    found = state.count == 0 ? "no tensors" : "tensors \(names)\(state.count > 8 ? ", …" : "")"
    var expected =
      options.convention.map { "the \($0.name) convention" }
      ?? "the names of one of: " + Convention.all.map(\.name).joined(separator: ", ")
    if let module = options.module {
      let all = modules.map(\.name)
      if !modules.isEmpty {
        found =
          "no module \"\(module)\" among "
          + modules.prefix(8).map(\.description).joined(separator: "; ")
        expected = "the name of a recurrent module"
      } else {
        expected += " under \"\(module)\""
      }
      hint =
        nearest(to: module, among: all).map { "Did you mean \(.module($0))?" }
        ?? recurrent.first.map { "For instance \(.module($0.name))." }
    } else if state.count > 0 {
      // Large files are not searched for a hint.
      let isDrafted =
        state.count > 1000
        || NamesDraft(state, among: others).entries.contains { $0.cell != nil }
      hint =
        "If it holds a recurrent module under its own names, describe it in a names file (\(.namesFile))"
        + (isDrafted ? "; \(.namesDraft) drafts one." : ".")
    }
    return RecurrentError(
      .weightsUnrecognized, found: found, expected: expected, hint: hint)
  }
}
