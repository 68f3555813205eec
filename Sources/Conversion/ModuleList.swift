import RNNEngine
import Tensors
import WeightFormats

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
  /// What the file itself says beyond names and shapes.
  let known: Set<Candidate.Fact>
  /// What the file states about it.
  let stated: Structure.Module?

  /// What computes its initial states, where they are neither zeros nor tensors of the file nor the caller's.
  public var stateSource: String? {
    if case .computed(let what)? = stated?.recurrent.initialState { what } else { nil }
  }

  /// Whether it is a stack of recurrent layers or a cell.
  public var isRecurrent: Bool { kind == .recurrent || kind == .cell }

  /// The names of all its tensors.
  public var tensorNames: [Name] {
    tensors.map(\.name) + [initialState.h, initialState.c].compactMap { $0 }
  }

  /// `decoder is a GRUCell (gru, 4 -> 6)`, for messages.
  public var description: String {
    let own = name.isEmpty ? "(no name)" : name
    if let refusal { return "\(own): cannot be used (\(refusal.found))" }
    return "\(own): " + (kind == .cell ? "cell, " : "") + architecture.summary
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
  /// Why connections that names suggest are not believed, one line each.
  public let doubts: [String]

  /// Finds the modules of a state dict.
  ///
  /// Throws `metadata.…` for metadata that contradicts the tensors. Modules that cannot be used are listed with
  /// the reason.
  public init(_ state: StateDict, options: ReadOptions = .init()) throws {
    let index = NameIndex()
    let found = ModuleFinder(state, options, index).candidates()
    let isOnlyOne = found.count { $0.1.kind == .recurrent || $0.1.kind == .cell } == 1
    var modules: [Module] = []
    for (convention, candidate) in found {
      modules.append(
        try Module(convention, candidate, state, options, index, isOnlyOne: isOnlyOne))
    }
    self.modules = modules
    structure = state.structure
    let own = Set(modules.flatMap(\.tensorNames))
    others = state.names.filter { !own.contains($0) }
    let linker = try ConnectionFinder(modules, state, options)
    connections = linker.connections
    doubts = linker.doubts
  }

  /// A list of one module.
  init(alone module: Module) {
    modules = [module]
    connections = []
    others = []
    structure = nil
    doubts = []
  }

  /// The recurrent modules and cells.
  public var recurrent: [Module] { modules.filter(\.isRecurrent) }

  /// The module with a name, or the only recurrent one below it.
  public func module(_ name: String) -> Module? {
    let bare = name.hasSuffix(".") ? String(name.dropLast()) : name
    func isNamed(_ module: Module, _ text: String) -> Bool {
      module.name.utf8.elementsEqual(text.utf8)
        || module.stated?.layerNames.contains { $0.utf8.elementsEqual(text.utf8) } == true
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
        || module.stated?.layerNames.contains { $0.hasSuffix("." + bare) } == true
    }
    return ending.count == 1 ? ending[0] : nil
  }
}

/// Looks for the modules of a file: those that its structure states, or those that names suggest.
struct ModuleFinder {
  let state: StateDict
  let options: ReadOptions
  private let index: NameIndex

  init(_ state: StateDict, _ options: ReadOptions, _ index: NameIndex) {
    self.state = state
    self.options = options
    self.index = index
  }

  /// Every module with its convention, in file order.
  func candidates() -> [(Convention, Candidate)] {
    var result: [(Convention, Candidate)] = []
    var claimed: Set<Name> = []
    let conventions = options.convention.map { [$0] } ?? Convention.all
    let all = conventions.map { ($0, modules(of: $0)) }
    func hasWhole(_ entry: (Convention, [Candidate])) -> Bool {
      entry.1.contains { ($0.kind == .recurrent || $0.kind == .cell) && isWhole($0, entry.0) }
    }
    // A module that lacks nothing comes before one of another convention that would be damaged.
    for (convention, candidates) in all.filter(hasWhole) + all.filter({ !hasWhole($0) }) {
      var own = candidates
      own.removeAll { candidate in
        let names = Self.names(candidate, convention)
        return names.contains(where: claimed.contains)
      }
      guard
        own.contains(where: { $0.kind == .recurrent || $0.kind == .cell })
          || (options.convention != nil && !own.isEmpty)
      else { continue }
      for candidate in own {
        claimed.formUnion(Self.names(candidate, convention))
        result.append((convention, candidate))
      }
    }
    let order = Dictionary(
      zip(state.names, 0..<state.count), uniquingKeysWith: { first, _ in first })
    func place(_ entry: (Convention, Candidate)) -> Int {
      Self.names(entry.1, entry.0).compactMap { order[$0] }.min() ?? Int.max
    }
    return result.map { ($0, place($0)) }.enumerated().sorted {
      ($0.element.1, $0.offset) < ($1.element.1, $1.offset)
    }.map(\.element.0)
  }

  /// Whether every tensor of a candidate is in the file with the shape that its table gives.
  private func isWhole(_ candidate: Candidate, _ convention: Convention) -> Bool {
    guard candidate.architecture.layerCount < 1 << 16 else { return false }
    let tensors = try? convention.storedTensors(
      of: candidate.architecture, naming: candidate.naming)
    return tensors?.allSatisfy { stored in
      state[stored.name].map { LayoutFinder.fits($0.shape, stored.shape) } ?? false
    } ?? false
  }

  private static func names(_ candidate: Candidate, _ convention: Convention) -> [Name] {
    guard candidate.architecture.layerCount < 1 << 16 else { return [] }
    return (try? convention.storedTensors(of: candidate.architecture, naming: candidate.naming))?
      .map(\.name) ?? []
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
    var own = Set(result.flatMap { Self.names($0, convention) })
    let singles = cells.filter { cell in
      !own.contains(
        Name(
          convention.layouts[cell.layout].tensors[0].text(
            name: cell.part, part: cell.part, layer: 0, direction: "", gate: nil)))
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
        func name(_ template: TensorTemplate) -> Name {
          Name(template.text(name: part, part: part, layer: 0, direction: "", gate: nil))
        }
        guard let weight = state[name(layout.tensors[0])]?.shape, weight.count == 2 else {
          continue
        }
        let bias = layout.tensors.count > 1 ? state[name(layout.tensors[1])]?.shape : nil
        var naming = Naming(recurrent: "", head: part, embedding: part)
        naming.headSpelling = layout.spelling
        naming.embeddingSpelling = layout.spelling
        let isColumns =
          if case .columns = layout.tensors[0].arrangement { true } else { false }
        return Candidate(
          kind: module.kind, name: module.name,
          architecture: module.kind == .embedding
            ? .embedding(
              tokenCount: weight[0], features: weight[1], paddingIndex: module.paddingIndex)
            : .linear(
              inputs: weight[isColumns ? 0 : 1], outputs: weight[isColumns ? 1 : 0],
              bias: bias != nil),
          naming: naming)
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
  /// Takes over what the file states about the module.
  mutating func adopt(_ module: Structure.Module) {
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
    refusal = refusal ?? module.refusal
    remarks += module.remarks
  }
}

extension Structure {
  /// The convention of the tensors that a structure speaks of.
  var owner: String {
    if modules.contains(where: { $0.parts.contains { !$0.isEmpty } }) {
      return Convention.keras.name
    }
    return convention ?? Convention.torch.name
  }
}
