import Containers
import Frameworks
import RNNEngine
import Tensors

/// One module of a file: what it is, where its tensors are, and whether it can be used.
public struct Module: Sendable {
  /// What its tensors mean.
  public let convention: Convention
  /// The name that its author gave it (`encoder.rnn`); empty for a bare module.
  public let name: String
  /// What it is.
  public let kind: ModuleKind
  /// The module alone; its sizes are unchecked where it cannot be used.
  public let architecture: Architecture
  /// Where its convention's table finds it.
  package let naming: Naming
  /// The table; empty where the module cannot be used.
  package let tensors: [StoredTensor]
  /// Why it cannot be used although it is there.
  public let refusal: RecurrentError?
  /// What had to be assumed to read it.
  public let assumptions: [Assumption]
  /// What else a reader should know.
  package let notes: [Remark]
  /// What else a reader should know, one line each.
  public var remarks: [String] { notes.map(\.description) }
  /// The tensors that hold its initial states, where the file stores them.
  public let initialState: (h: Name?, c: Name?)
  /// The names of the layers that a stack is made of, where the file has one for each.
  package let layerNames: [String]
  /// What the file itself says beyond names and shapes.
  package let known: Set<Candidate.Fact>
  /// What the file states about it.
  package let stated: Structure.Module?

  /// What computes its initial states, where they are neither zeros nor tensors of the file nor the caller's.
  public var stateSource: String? {
    if case .computed(let what)? = stated?.recurrent.initialState { what } else { nil }
  }

  /// Whether it is a stack of recurrent layers or a cell.
  public var isRecurrent: Bool { kind.isRecurrent }

  /// The names of all its tensors.
  package var tensorNames: [Name] {
    tensors.map(\.name) + [initialState.h, initialState.c].compactMap { $0 }
  }

  /// The features of what it gives at each step.
  package var outputWidth: Int {
    switch kind {
    case .embedding: architecture.inputSize
    case .linear: architecture.head?.classCount ?? 0
    case .recurrent, .cell, .other: architecture.outputSize
    }
  }

  /// The features of what it takes at each step; `nil` where that are token ids.
  package var inputWidth: Int? { kind == .embedding ? nil : architecture.inputSize }

  /// `decoder is a GRUCell (gru, 4 -> 6)`, for messages.
  public var description: String {
    "\(name.isEmpty ? "(no name)" : name): \(what)"
  }

  /// What it is (`cell, gru, 4 -> 6`), or why it cannot be used.
  package var what: String {
    if let refusal { return "cannot be used (\(refusal.found))" }
    return (kind == .cell ? "cell, " : "") + architecture.summary
  }
}

/// All modules of a file, and how they are connected.
public struct ModuleList: Sendable {
  /// The modules in file order.
  public let modules: [Module]
  /// The connections that are known, with their evidence; unknown ones are not listed.
  public let connections: [Connection]
  /// Names of tensors that belong to no module, in file order.
  public let others: [Name]
  /// What the file states beyond names and shapes.
  package let structure: Structure?
  /// What earlier conversions left behind, as the file's metadata keep it.
  public let recorded: [String]
  /// What a reader should know about the file.
  package let notes: [Remark]
  /// What a reader should know about the file, one line each.
  public var remarks: [String] { notes.map(\.description) }
  /// The names that tensors begin with, up to every dot.
  package let owners: Set<String>

  /// Finds the modules of a state dict.
  ///
  /// Throws `metadata.…` for metadata that contradicts the tensors. Modules that cannot be used are listed with
  /// the reason.
  public init(_ state: StateDict, options: ReadOptions = .init()) throws {
    try ModuleMetadata.checkVersion(state.metadata)
    let index = NameIndex()
    let found = try ModuleFinder(state, options, index).candidates()
    let isOnlyOne = found.count { $0.1.kind.isRecurrent } == 1
    var modules: [Module] = []
    for (convention, candidate) in found {
      modules.append(
        try Module(convention, candidate, state, options, index, isOnlyOne: isOnlyOne))
    }
    self.modules = modules
    if options.gruReset == .before, !modules.isEmpty,
      !modules.contains(where: { $0.architecture.cell == .gru && $0.isRecurrent })
    {
      throw RecurrentError(
        .networkGRUReset, found: "gru_reset before, and no GRU",
        expected: "a GRU among the modules")
    }
    structure = state.structure
    recorded = ModuleMetadata.leftBehind(state.metadata)
    owners = Self.owners(state)
    let own = Set(modules.flatMap(\.tensorNames))
    others = state.names.filter { !own.contains($0) }
    connections = try ConnectionFinder(modules, state, options).connections
    notes =
      (state.structure?.remarks ?? [])
      + (try MetadataCheck(modules, connections, state).contradictions())
  }

  private static func owners(_ state: StateDict) -> Set<String> {
    guard state.structure?.statesConnections == false else { return [] }
    var result: Set<String> = []
    for name in state.names {
      var text = name.string[...]
      while let dot = text.lastIndex(of: ".") {
        text = text[..<dot]
        guard result.insert(String(text)).inserted else { break }
      }
    }
    return result
  }

  /// A list of one module.
  package init(alone module: Module) {
    modules = [module]
    connections = []
    others = []
    structure = nil
    recorded = []
    notes = []
    owners = []
  }

  /// The recurrent modules and cells.
  public var recurrent: [Module] { modules.filter(\.isRecurrent) }

  /// The module with a name, or the only recurrent one below it.
  public func module(_ name: String) -> Module? {
    let bare = name.withoutSeparator
    func isNamed(_ module: Module, _ text: String) -> Bool {
      module.name.utf8.elementsEqual(text.utf8)
        || module.layerNames.contains { $0.utf8.elementsEqual(text.utf8) }
    }
    if let exact = recurrent.first(where: { isNamed($0, bare) })
      ?? modules.first(where: { isNamed($0, bare) })
    {
      return exact
    }
    let below = recurrent.filter { $0.name.hasPrefix(bare + ".") }
    if below.count == 1 { return below[0] }
    // The last word of a nested name will do where it is the only one.
    let ending = modules.filter { module in
      module.name.hasSuffix("." + bare)
        || module.layerNames.contains { $0.hasSuffix("." + bare) }
    }
    if ending.count == 1 { return ending[0] }
    // Dots for slashes, or slashes for dots.
    let alike = modules.filter { bare.isSpelled(as: $0.name) }
    return alike.count == 1 ? alike[0] : nil
  }
}
