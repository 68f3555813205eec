import Containers
import Frameworks
import RNNEngine
import Tensors

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
      innerComponents: convention.prefixes == nil
        ? convention.innerComponents : KerasPrefixes.innerComponents,
      separator: convention.prefixes == nil ? "." : "/", numbersLayers: convention.prefixes == nil,
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
        ?? (convention.prefixes == nil ? nil : candidate.naming.head)
      {
        candidate.stated = structure.modules.first { $0.prefixes.joined().contains(part) }
        if let name = candidate.stated?.name {
          candidate.name = KerasPrefixes.layerName(ofPrefix: name) ?? name
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
    let prefix = module.name.asPrefix
    switch module.kind {
    case .recurrent, .cell:
      if !module.prefixes.isEmpty { return stated(parts: module, finder) }
      for layout in convention.layouts
      where layout.kind == module.kind || (layout.kind == .recurrent && layout.numbersLayers) {
        if let candidate = finder.numbered(prefix, layout) { return candidate }
      }
      return Self.unreadable(module)
    case .embedding, .linear:
      let part = module.prefixes.first?.first ?? prefix
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
        .weightsMissing, at: "module \"\(module.name)\"",
        found: "no tensors that fit each other",
        expected:
          "the weights of \(module.className.isEmpty ? module.kind.rawValue : module.className)")
    return candidate
  }

  private func stated(parts module: Structure.Module, _ finder: LayoutFinder) -> Candidate? {
    guard let first = module.prefixes.first?.first, let cell = finder.cell(first) else {
      return Self.unreadable(module)
    }
    var architecture = cell.architecture
    architecture.layerCount = module.prefixes.count
    architecture.bidirectional = module.prefixes[0].count == 2
    var naming = Naming(
      recurrent: module.name.asPrefix, layers: module.prefixes)
    naming.spelling = finder.convention.layouts[cell.layout].spelling
    return Candidate(
      kind: module.kind, name: module.name, architecture: architecture, naming: naming)
  }
}
