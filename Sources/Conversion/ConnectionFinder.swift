import RNNEngine
import Tensors

/// Works out how the modules of a file are connected: as the file states, as the caller says, or by the one rule for what
/// may be assumed (design, section 7).
struct ConnectionFinder {
  private(set) var connections: [Connection] = []
  private(set) var doubts: [String] = []
  private let modules: [Module]
  private let state: StateDict
  private let options: ReadOptions
  private let items: [Item]
  /// Every module is compared with every other; nobody has so many and means one network.
  private static let largestFile = 1000

  /// One thing in the file's order that has parameters or a class of its own.
  private struct Item {
    let name: String
    let kind: Structure.Kind
    let module: Int?
  }

  init(_ modules: [Module], _ state: StateDict, _ options: ReadOptions) throws {
    self.modules = modules
    self.state = state
    self.options = options
    items = Self.items(modules, state)
    if let structure = state.structure, structure.statesConnections {
      connections = structure.connections.filter { connection in
        [connection.from, connection.to].allSatisfy { name in
          modules.contains { $0.name == name && $0.refusal == nil }
        }
      }.map {
        Connection(from: $0.from, to: $0.to, reads: $0.reads, evidence: .stated)
      }
    } else if let fixed = modules.first?.convention.fixed {
      connections = fixed.connections
    } else if let kept = try ModuleMetadata.connections(state.metadata) {
      connections = kept.filter { connection in
        connection.evidence != .unknown
          && [connection.from, connection.to].allSatisfy { name in
            modules.contains { $0.name == name }
          }
      }
    } else if modules.count <= Self.largestFile {
      for index in modules.indices where modules[index].isRecurrent { try assume(index) }
    } else {
      doubts.append(
        "more than \(Self.largestFile) modules: nothing is assumed about their connections")
    }
    try applyOptions()
  }

  // MARK: What the caller says

  private mutating func applyOptions() throws {
    let recurrent = modules.filter(\.isRecurrent)
    let asked = options.module.map { $0.hasSuffix(".") ? String($0.dropLast()) : $0 }
    let target =
      recurrent.first { $0.name == asked } ?? (recurrent.count == 1 ? recurrent[0] : nil)
      ?? recurrent.first { module in asked.map { module.name.hasPrefix($0 + ".") } ?? false }
    guard let target else { return }
    let kinds = modules
    func isKind(_ name: String, _ kind: Structure.Kind) -> Bool {
      kinds.contains { $0.name == name && $0.kind == kind }
    }
    switch options.head {
    case nil: break
    case .some(.none):
      connections.removeAll { $0.from == target.name && isKind($0.to, .linear) }
    case .named(let name)?:
      let head = try given(name, .linear, "a linear layer")
      let width = target.architecture.outputSize
      guard head.architecture.inputSize == width else {
        throw mismatch(
          head, "\(head.architecture.inputSize) inputs", "\(width), the output of \(target.name)")
      }
      connections.removeAll { $0.from == target.name && isKind($0.to, .linear) }
      connections.append(
        Connection(
          from: target.name, to: head.name, reads: options.headReads ?? .sequence, evidence: .given)
      )
    }
    switch options.embedding {
    case nil: break
    case .some(.none):
      connections.removeAll { $0.to == target.name && isKind($0.from, .embedding) }
    case .named(let name)?:
      let table = try given(name, .embedding, "a table of vectors")
      let width = target.architecture.inputSize
      guard table.architecture.inputSize == width else {
        throw mismatch(
          table, "vectors of \(table.architecture.inputSize) features",
          "\(width), the input of \(target.name)")
      }
      connections.removeAll { $0.to == target.name && isKind($0.from, .embedding) }
      connections.append(
        Connection(from: table.name, to: target.name, reads: .sequence, evidence: .given))
    }
    if let reads = options.headReads {
      for index in connections.indices
      where connections[index].from == target.name && isKind(connections[index].to, .linear) {
        guard connections[index].evidence != .stated || connections[index].reads == reads else {
          throw RecurrentError(
            .malformed, "network.head-reads", at: "module \"\(connections[index].to)\"",
            found: "head_reads \(reads.rawValue)",
            expected: "\(connections[index].reads.rawValue), as the file says")
        }
        connections[index].reads = reads
      }
    }
  }

  private func given(_ text: String, _ kind: Structure.Kind, _ what: String) throws -> Module {
    let name = text.hasSuffix(".") ? String(text.dropLast()) : text
    if let module = modules.first(where: { $0.name == name && $0.kind == kind }) {
      if let refusal = module.refusal { throw refusal }
      return module
    }
    let others = modules.filter { $0.kind == kind }.map(\.name)
    throw RecurrentError(
      .malformed, "network.neighbour", at: "module \"\(name)\"",
      found: modules.contains { $0.name == name } ? "a module of another kind" : "no such module",
      expected: others.isEmpty
        ? what : "\(what): one of " + others.joined(separator: ", "),
      hint: nearest(to: name, among: others).map { "Did you mean \($0)?" })
  }

  private func mismatch(_ module: Module, _ found: String, _ expected: String) -> RecurrentError {
    RecurrentError(
      .malformed, "network.sizes", at: "module \"\(module.name)\"", found: found,
      expected: expected)
  }

  // MARK: What may be assumed

  /// Layers that hand their input on when nothing is being trained, and what is no layer at all.
  private static func isTransparent(_ className: String) -> Bool {
    ["Dropout", "Identity", "Loss", "ModuleList", "ModuleDict", "Sequential"].contains {
      className.contains($0)
    }
  }

  private static func items(_ modules: [Module], _ state: StateDict) -> [Item] {
    var items: [(item: Item, place: Int)] = []
    let order = Dictionary(
      zip(state.names, 0..<state.count), uniquingKeysWith: { first, _ in first })
    var owners: [Name: Int] = [:]
    for (index, module) in modules.enumerated() {
      let names = module.tensorNames
      for name in names { owners[name] = index }
    }
    if let structure = state.structure, !structure.modules.isEmpty, !structure.statesConnections {
      for (place, stated) in structure.modules.enumerated()
      where !(stated.kind == .other && isTransparent(stated.className)) {
        let index = modules.firstIndex { $0.name == stated.name }
        items.append(
          (
            Item(
              name: stated.name, kind: index.map { modules[$0].kind } ?? stated.kind, module: index),
            place
          ))
      }
      return items.map(\.item)
    }
    var seen: Set<Int> = []
    var last: String?
    for name in state.names {
      if let owner = owners[name] {
        last = nil
        guard seen.insert(owner).inserted else { continue }
        items.append(
          (
            Item(name: modules[owner].name, kind: modules[owner].kind, module: owner),
            order[name] ?? 0
          ))
        continue
      }
      // Counters and the like are no parameters.
      guard let tensor = state[name], tensor.dtype.isFloatingPoint, !tensor.shape.isEmpty else {
        continue
      }
      let text = name.string
      let module = text.lastIndex(of: ".").map { String(text[..<$0]) } ?? text
      guard module != last else { continue }
      last = module
      items.append((Item(name: module, kind: .other, module: nil), order[name] ?? 0))
    }
    for (index, module) in modules.enumerated() where module.refusal != nil && !seen.contains(index)
    {
      items.append((Item(name: module.name, kind: module.kind, module: index), Int.max))
    }
    return items.map(\.item)
  }

  private mutating func assume(_ index: Int) throws {
    let module = modules[index]
    guard module.refusal == nil else { return }
    let recurrent = modules.filter(\.isRecurrent)
    let metadata = ModuleMetadata(
      state.metadata, module: module.name, isOnlyOne: recurrent.count == 1)
    let declared = try metadata.hasHead()
    if module.convention.statesHead {
      if declared != false,
        let head = modules.first(where: {
          $0.kind == .linear && $0.refusal == nil && $0.convention.name == module.convention.name
        })
      {
        connections.append(
          Connection(from: module.name, to: head.name, reads: .sequence, evidence: .stated))
      }
    } else if declared != false, let head = head(of: index, isDeclared: declared == true) {
      connections.append(
        Connection(
          from: module.name, to: modules[head].name, reads: try metadata.headReads() ?? .sequence,
          evidence: declared == true ? .stated : .assumed))
    }
    if declared == true, !connections.contains(where: { $0.from == module.name }) {
      throw RecurrentError(
        .malformed, "metadata.head", at: "metadata \"head\"", found: "linear",
        expected: "a linear layer with \(module.architecture.outputSize)"
          + " input features among the tensors")
    }
    if let table = embedding(of: index) {
      connections.append(
        Connection(
          from: modules[table].name, to: module.name, reads: .sequence, evidence: .assumed))
    }
  }

  /// The scopes of a name: everything before its last component.
  private static func scope(_ name: String) -> [Substring] {
    Array(name.split(whereSeparator: { $0 == "." || $0 == "/" }).dropLast())
  }

  /// How many scopes two modules share.
  private static func depth(_ one: String, _ other: String) -> Int {
    let (one, other) = (scope(one), scope(other))
    return zip(one, other).prefix { $0 == $1 }.count
  }

  /// Whether another recurrent module is nearer to a module, or as near and fits too.
  private func isOwned(_ index: Int, by module: Module, fits: (Module) -> Bool) -> Bool {
    let own = Self.depth(modules[index].name, module.name)
    return modules.allSatisfy { other in
      guard other.isRecurrent, other.name != module.name else { return true }
      let depth = Self.depth(modules[index].name, other.name)
      return depth < own || (depth == own && !fits(other))
    }
  }

  private func place(_ index: Int) -> Int? { items.firstIndex { $0.module == index } }

  private func head(of index: Int, isDeclared: Bool) -> Int? {
    let module = modules[index]
    let width = module.architecture.outputSize
    var fitting: [Int] = []
    for candidate in modules.indices {
      let other = modules[candidate]
      guard other.kind == .linear, other.refusal == nil, other.architecture.inputSize == width,
        isOwned(candidate, by: module, fits: { $0.architecture.outputSize == width })
      else { continue }
      fitting.append(candidate)
    }
    if isDeclared {
      let named = fitting.filter { DenseNames.isHead(modules[$0].name) }
      return fitting.count == 1 ? fitting[0] : named.count == 1 ? named[0] : nil
    }
    guard let own = place(index) else { return nil }
    if state.keepsOrder { fitting = fitting.filter { (place($0) ?? -1) > own } }
    guard fitting.count == 1, let position = place(fitting[0]) else { return nil }
    let head = modules[fitting[0]]
    let isHidden = modules.contains { other in
      other.kind == .linear && other.name != head.name && other.refusal == nil
        && other.architecture.inputSize == head.architecture.head?.classCount
        && (!state.keepsOrder
          || (modules.firstIndex { $0.name == other.name }.flatMap(place) ?? 0) > position)
        && Self.depth(other.name, head.name) >= Self.depth(module.name, head.name)
    }
    guard !isHidden else { return nil }
    if state.keepsOrder {
      let between = items[(own + 1)..<max(own + 1, position)]
      return between.allSatisfy { $0.kind == .embedding } ? fitting[0] : nil
    }
    // Without an order nothing else may be there that could lie between, and the layer must not fit before as well.
    let others = items.contains { item in
      item.module != index && item.module != fitting[0] && item.kind != .embedding
        && Self.depth(item.name, module.name) >= Self.depth(head.name, module.name)
    }
    let couldPrecede = head.architecture.head?.classCount == module.architecture.inputSize
    return !others && (!couldPrecede || DenseNames.isHead(head.name)) ? fitting[0] : nil
  }

  private func embedding(of index: Int) -> Int? {
    let module = modules[index]
    let width = module.architecture.inputSize
    let fitting = modules.indices.filter { candidate in
      let other = modules[candidate]
      return other.kind == .embedding && other.refusal == nil
        && other.architecture.inputSize == width
        && isOwned(candidate, by: module, fits: { $0.architecture.inputSize == width })
    }
    guard fitting.count == 1, let own = place(index), let position = place(fitting[0]) else {
      return nil
    }
    guard state.keepsOrder else {
      let couldLieBetween = items.contains { item in
        guard item.kind == .linear || item.kind == .other else { return false }
        guard let linear = item.module.map({ modules[$0] }), item.kind == .linear else {
          return true
        }
        return linear.architecture.head?.classCount == width && !DenseNames.isHead(linear.name)
      }
      return couldLieBetween ? nil : fitting[0]
    }
    let between =
      position < own ? items[(position + 1)..<own] : items[(own + 1)..<max(own + 1, position)]
    return between.allSatisfy { $0.kind == .embedding || (position > own && $0.kind == .linear) }
      ? fitting[0] : nil
  }
}

/// The names that people give linear layers on top.
enum DenseNames {
  private static let heads: Set<String> = [
    "classifier", "head", "fc", "linear", "decoder", "output", "out", "proj", "dense", "logits",
    "readout", "lm_head", "fc_out", "out_proj",
  ]

  /// Whether a name is one of those; numbers at its end do not count.
  static func isHead(_ name: String) -> Bool {
    guard let last = name.split(whereSeparator: { $0 == "." || $0 == "/" }).last else {
      return false
    }
    var word = last.lowercased()
    while let character = word.last, character.isNumber || character == "_" { word.removeLast() }
    return heads.contains(word)
  }
}
