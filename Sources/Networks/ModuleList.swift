import RNNEngine
import Tensors
import Containers
import Frameworks

/// One module of a file: what it is, where its tensors are, and whether it can be used.
public struct Module: Sendable {
  /// What its tensors mean.
  public let convention: Convention
  /// The name that its author gave it (`encoder.rnn`); empty for a bare module.
  public let name: String
  /// What it is.
  public let kind: Structure.Kind
  /// The module alone; its sizes are unchecked where it cannot be used.
  public let architecture: Architecture
  /// Where its convention's table finds it.
  public let naming: Naming
  /// The table; empty where the module cannot be used.
  public let tensors: [StoredTensor]
  /// Why it cannot be used although it is there.
  public let refusal: RecurrentError?
  /// What had to be assumed to read it.
  public let assumptions: [Assumption]
  /// What else a reader should know, one line each.
  public let remarks: [String]
  /// The tensors that hold its initial states, where the file stores them.
  public let initialState: (h: Name?, c: Name?)
  /// The names of the layers that a stack is made of, where the file has one for each.
  public let layerNames: [String]
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
  public var tensorNames: [Name] {
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
  public var what: String {
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
  public let structure: Structure?
  /// What earlier conversions left behind, as the file's metadata keep it.
  public let recorded: [String]
  /// What a reader should know about the file, one line each.
  public let remarks: [String]
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
        .malformed, "network.gru-reset", found: "gru_reset before, and no GRU",
        expected: "a GRU among the modules")
    }
    structure = state.structure
    recorded = ModuleMetadata.leftBehind(state.metadata)
    owners = Self.owners(state)
    let own = Set(modules.flatMap(\.tensorNames))
    others = state.names.filter { !own.contains($0) }
    connections = try ConnectionFinder(modules, state, options).connections
    remarks =
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
    remarks = []
    owners = []
  }

  /// The recurrent modules and cells.
  public var recurrent: [Module] { modules.filter(\.isRecurrent) }

  /// The module with a name, or the only recurrent one below it.
  public func module(_ name: String) -> Module? {
    let bare = name.hasSuffix(".") ? String(name.dropLast()) : name
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
    return ending.count == 1 ? ending[0] : nil
  }
}

/// Looks for the modules of a file: those that its structure states, or those that names suggest.
package struct ModuleFinder {
  package let state: StateDict
  package let options: ReadOptions
  private let index: NameIndex

  package init(_ state: StateDict, _ options: ReadOptions, _ index: NameIndex) {
    self.state = state
    self.options = options
    self.index = index
  }

  /// A candidate with the names of its tensors.
  private struct Found {
    let convention: Convention
    let candidate: Candidate
    let names: [Name]
    /// Whether every tensor is in the file with the shape that the table gives.
    let isWhole: Bool
  }

  /// Every module with its convention, in file order.
  package func candidates() throws -> [(Convention, Candidate)] {
    var result: [Found] = []
    var claimed: Set<Name> = []
    let isStated = state.structure?.statesConnections == true
    let conventions = options.convention.map { [$0] } ?? Convention.all
    let all = conventions.map { convention in
      modules(of: convention).map { found($0, convention) }
    }
    func hasWhole(_ group: [Found]) -> Bool {
      group.contains { $0.candidate.kind.isRecurrent && $0.isWhole }
    }
    // A module that lacks nothing comes before one of another convention that would be damaged.
    for group in all.filter(hasWhole) + all.filter({ !hasWhole($0) }) {
      // A names file may give one tensor to two modules: a head that is the embedding's table.
      let own =
        options.convention == nil
        ? group.filter { !$0.names.contains(where: claimed.contains) } : group
      guard
        own.contains(where: { $0.candidate.kind.isRecurrent })
          || (options.convention != nil && !own.isEmpty)
          || own.contains(where: { isStated && $0.candidate.stated != nil })
      else { continue }
      for found in own { claimed.formUnion(found.names) }
      result += own
    }
    let order = Dictionary(
      zip(state.names, 0..<state.count), uniquingKeysWith: { first, _ in first })
    let sorted = result.map { ($0, $0.names.compactMap { order[$0] }.min() ?? Int.max) }
      .enumerated()
      .sorted { ($0.element.1, $0.offset) < ($1.element.1, $1.offset) }
      .map { ($0.element.0.convention, $0.element.0.candidate) }
    return try stacked(sorted)
  }

  /// Puts single layers together whose connection metadata state: names of parts do not say it.
  private func stacked(_ found: [(Convention, Candidate)]) throws -> [(Convention, Candidate)] {
    guard state.structure?.statesConnections != true,
      let texts = try ModuleMetadata.connections(state.metadata)
    else { return found }
    let links = texts.map(\.connection).filter { $0.evidence != .unknown }
    var result = found
    var position = 0
    while position < result.count {
      let (convention, lower) = result[position]
      let last = lower.layerNames.last ?? lower.name
      let next = links.filter { $0.from == last }
      guard !lower.naming.layers.isEmpty, next.count == 1, next[0].reads == .sequence,
        links.count(where: { $0.to == next[0].to }) == 1,
        let upper = result.firstIndex(where: {
          $0.1.name == next[0].to && $0.1.kind.isRecurrent && $0.0.name == convention.name
        }), upper != position, lower.continues(with: result[upper].1)
      else {
        position += 1
        continue
      }
      result[position].1.append(result[upper].1)
      result.remove(at: upper)
      if upper < position { position -= 1 }
    }
    return result
  }

  private func found(_ candidate: Candidate, _ convention: Convention) -> Found {
    let tensors = Self.table(candidate, convention)
    return Found(
      convention: convention, candidate: candidate, names: (tensors ?? []).map(\.name),
      isWhole: tensors?.allSatisfy { stored in
        state[stored.name].map { LayoutFinder.fits($0.shape, stored.shape) } ?? false
      } ?? false)
  }

  /// The tensors of a candidate; `nil` where the convention has no words for it.
  private static func table(_ candidate: Candidate, _ convention: Convention) -> [StoredTensor]? {
    guard candidate.architecture.layerCount < 1 << 16 else { return nil }
    return try? convention.storedTensors(of: candidate.architecture, naming: candidate.naming)
  }

  private func modules(of convention: Convention) -> [Candidate] {
    if let fixed = convention.fixed { return fixed.candidates(convention, state) }
    let finder = LayoutFinder(
      convention: convention, state: state, options: options, index: index)
    if let structure = state.structure, structure.owner == convention.name,
      structure.statesConnections
    {
      return stated(structure, finder)
    }
    var result = finder.numbered()
    let cells = finder.cells()
    var own = Set(result.flatMap { Self.table($0, convention) ?? [] }.map(\.name))
    let singles = cells.filter { cell in
      !own.contains(convention.layouts[cell.layout].tensors[0].name(at: cell.part))
    }
    var dense: [Candidate] = []
    if !result.isEmpty || !singles.isEmpty || options.convention != nil {
      for cell in singles {
        own.formUnion(
          convention.layouts[cell.layout].recurrentTensors(
            of: cell.architecture, name: cell.part, part: { _, _ in cell.part }
          ).map(\.name))
      }
      dense = finder.dense(except: own)
    }
    let stacks = CellStacks(
      innerComponents: convention.parts == nil
        ? convention.innerComponents : KerasParts.innerComponents,
      separator: convention.parts == nil ? "." : "/", numbersLayers: convention.parts == nil,
      linearWidths: Set(dense.filter { $0.kind == .linear }.map(\.architecture.inputSize)))
    result += stacks.candidates(
      singles.map { cell in
        FoundCell(
          prefix: cell.part, cell: cell.architecture.cell, inputSize: cell.architecture.inputSize,
          hiddenSize: cell.architecture.hiddenSize, bias: cell.architecture.bias,
          spelling: convention.layouts[cell.layout].spelling,
          gruReset: cell.architecture.gruReset)
      })
    result += dense
    return result.compactMap { finished($0, convention) }
  }

  /// A module that names suggest, with what the file states about it and what its framework implies.
  private func finished(_ candidate: Candidate, _ convention: Convention) -> Candidate? {
    var candidate = candidate
    candidate.known.formUnion(convention.settles)
    if candidate.stated == nil, let structure = state.structure,
      structure.owner == convention.name
    {
      if let part = candidate.naming.layers.first?.first
        ?? (convention.parts == nil ? nil : candidate.naming.head)
      {
        candidate.stated = structure.modules.first { $0.parts.joined().contains(part) }
        if let name = candidate.stated?.name {
          candidate.name = KerasParts.name(ofPart: name) ?? name
        }
      } else {
        candidate.stated = structure.module(candidate.name)
      }
    }
    if let stated = candidate.stated { candidate.adopt(stated) }
    if candidate.kind == .recurrent, candidate.architecture.layerCount == 1,
      !candidate.architecture.bidirectional,
      ModuleMetadata.kind(state.metadata, of: candidate.name) == .cell
    {
      candidate.kind = .cell
    }
    convention.refine(&candidate, state)
    return candidate.isRejected ? nil : candidate
  }

  // MARK: What a structure states

  private func stated(_ structure: Structure, _ finder: LayoutFinder) -> [Candidate] {
    structure.modules.compactMap { module -> Candidate? in
      guard var candidate = stated(module, finder) else { return nil }
      candidate.name = module.name
      candidate.stated = module
      return finished(candidate, finder.convention)
    }
  }

  private func stated(_ module: Structure.Module, _ finder: LayoutFinder) -> Candidate? {
    let convention = finder.convention
    let prefix = module.name.isEmpty ? "" : module.name + "."
    switch module.kind {
    case .recurrent, .cell:
      if !module.parts.isEmpty { return stated(parts: module, finder) }
      for layout in convention.layouts
      where layout.kind == module.kind || (layout.kind == .recurrent && layout.numbersLayers) {
        if let candidate = finder.numbered(prefix, layout) { return candidate }
      }
      return Self.unreadable(module)
    case .embedding, .linear:
      let part = module.parts.first?.first ?? prefix
      for layout in convention.layouts where layout.kind == module.kind {
        guard let weight = state[layout.tensors[0].name(at: part)]?.shape, weight.count == 2 else {
          continue
        }
        let hasBias = layout.tensors.count > 1 && state[layout.tensors[1].name(at: part)] != nil
        var candidate = layout.dense(module.name, at: part, weight: weight, hasBias: hasBias)
        candidate.architecture.embedding?.paddingIndex = module.paddingIndex
        return candidate
      }
      return nil
    case .other: return nil
    }
  }

  /// A module that is there and whose weights cannot be read; it is listed all the same.
  private static func unreadable(_ module: Structure.Module) -> Candidate {
    var candidate = Candidate(
      kind: module.kind, name: module.name,
      architecture: Architecture(inputSize: 0, hiddenSize: 0, layerCount: 0), naming: Naming())
    candidate.refusal =
      module.refusal
      ?? RecurrentError(
        .malformed, "weights.missing", at: "module \"\(module.name)\"",
        found: "no tensors that fit each other",
        expected:
          "the weights of \(module.className.isEmpty ? module.kind.rawValue : module.className)")
    return candidate
  }

  private func stated(parts module: Structure.Module, _ finder: LayoutFinder) -> Candidate? {
    guard let first = module.parts.first?.first, let cell = finder.cell(first) else {
      return Self.unreadable(module)
    }
    var architecture = cell.architecture
    architecture.layerCount = module.parts.count
    architecture.bidirectional = module.parts[0].count == 2
    var naming = Naming(
      recurrent: module.name.isEmpty ? "" : module.name + ".", layers: module.parts)
    naming.spelling = finder.convention.layouts[cell.layout].spelling
    return Candidate(
      kind: module.kind, name: module.name, architecture: architecture, naming: naming)
  }
}

extension Candidate {
  /// Whether another module of single layers can be the next ones of this stack.
  fileprivate func continues(with next: Candidate) -> Bool {
    var (one, other) = (architecture, next.architecture)
    guard kind == .recurrent, next.kind == .recurrent, refusal == nil, next.refusal == nil,
      !next.naming.layers.isEmpty, naming.spelling == next.naming.spelling,
      other.inputSize == one.outputSize
    else { return false }
    (one.inputSize, one.layerCount) = (0, 0)
    (other.inputSize, other.layerCount) = (0, 0)
    return one == other
  }

  /// Takes the layers of another module on top.
  fileprivate mutating func append(_ next: Candidate) {
    if layerNames.isEmpty { layerNames = [name] }
    layerNames += next.layerNames.isEmpty ? [next.name] : next.layerNames
    architecture.layerCount += next.architecture.layerCount
    naming.layers += next.naming.layers
    for assumption in next.assumptions where !assumptions.contains(assumption) {
      assumptions.append(assumption)
    }
    for remark in next.remarks where !remarks.contains(remark) { remarks.append(remark) }
  }

  /// Takes over what the file states about the module.
  package mutating func adopt(_ module: Structure.Module) {
    if module.kind == .other, kind != .other {
      // A layer of PyTorch's own of another kind only looks like one; an author's class may be anything.
      guard module.className.contains(".") else {
        isRejected = true
        return
      }
      assumptions.append(
        .note(
          "assumed: \(Assumption.name(module.name)), a \(module.className), computes what PyTorch's own"
            + " \(kind == .cell ? "cell" : kind == .recurrent ? "recurrent layer" : kind.rawValue) does"
        ))
    }
    layerNames = module.layerNames
    let facts = module.recurrent
    if let cell = facts.cell.flatMap(Cell.init(rawValue:)), architecture.layerCount > 0 {
      if cell.gateNames.count == architecture.cell.gateNames.count {
        architecture.cell = cell
        known.insert(.cell)
      } else {
        refusal = RecurrentError(
          .malformed, "weights.shape", at: "module \"\(module.name)\"",
          found: "arrays with \(architecture.cell.gateNames.count) gates",
          expected: "\(cell.gateNames.count), as \(cell.rawValue) has")
      }
    }
    if let reset = facts.gruReset.flatMap(GRUReset.init(rawValue:)), architecture.cell == .gru {
      architecture.gruReset = reset
      known.insert(.gruReset)
    }
    if let batchFirst = facts.batchFirst {
      architecture.batchFirst = batchFirst
      known.insert(.batchFirst)
    }
    if let dropout = facts.dropout, (0...1).contains(dropout) { architecture.dropout = dropout }
    if let count = architecture.embedding?.tokenCount, let index = module.paddingIndex,
      (-count..<count).contains(index)
    {
      architecture.embedding?.paddingIndex = index < 0 ? index + count : index
    }
    if module.kind == .linear { architecture.head?.activation = module.activation }
    refusal = refusal ?? contradiction(module) ?? module.refusal
    remarks += module.remarks
  }
}

extension Candidate {
  /// Where the tensors are not of the sizes that the file states.
  private func contradiction(_ module: Structure.Module) -> RecurrentError? {
    func error(_ found: String, _ expected: String) -> RecurrentError {
      RecurrentError(
        .malformed, "weights.shape", at: "module \"\(module.name)\"", found: found,
        expected: "\(expected), as the file says")
    }
    let facts = module.recurrent
    if let head = architecture.head, module.kind == .linear {
      if let size = module.outputSize, size != head.classCount {
        return error("weights of \(head.classCount) outputs", "\(size) outputs")
      }
      if let bias = facts.hasBias, bias != head.bias {
        return error(head.bias ? "a bias" : "no bias", bias ? "a bias" : "none")
      }
      return nil
    }
    if architecture.embedding != nil, module.kind == .embedding {
      guard let size = module.outputSize, size != architecture.inputSize else { return nil }
      return error("vectors of \(architecture.inputSize) features", "\(size) features")
    }
    guard module.kind.isRecurrent, architecture.layerCount > 0 else { return nil }
    for (what, stated, found) in [
      ("hidden size", facts.hiddenSize, architecture.hiddenSize),
      ("input size", facts.inputSize, architecture.inputSize),
      ("number of layers", facts.layerCount, architecture.layerCount),
      ("projection size", facts.projSize, architecture.projSize),
    ] {
      guard let stated, stated != found else { continue }
      return error("weights of \(what) \(found)", "\(what) \(stated)")
    }
    if let bias = facts.hasBias, bias != architecture.bias {
      return error(architecture.bias ? "biases" : "no biases", bias ? "biases" : "none")
    }
    if let direction = facts.direction, (direction == "both") != architecture.bidirectional {
      return error(
        "weights of \(architecture.bidirectional ? "two directions" : "one direction")",
        "direction \(direction)")
    }
    return nil
  }
}

extension Structure {
  /// The convention of the tensors that a structure speaks of.
  package var owner: String {
    if modules.contains(where: { $0.parts.contains { !$0.isEmpty } }) {
      return Convention.keras.name
    }
    return convention ?? Convention.torch.name
  }
}
