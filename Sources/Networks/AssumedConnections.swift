import RNNEngine
import Tensors

/// What names and shapes suggest about connections, and nothing contradicts (the page "What a proof proves").
extension ConnectionFinder {
  static func items(_ modules: [Module], _ state: StateDict) -> [Item] {
    if let structure = state.structure, !structure.modules.isEmpty, !structure.statesConnections {
      return structure.modules.compactMap { stated in
        guard stated.kind != .other || !stated.isTransparent else { return nil }
        let index = modules.firstIndex { $0.name == stated.name }
        return Item(
          name: stated.name, kind: index.map { modules[$0].kind } ?? stated.kind, module: index)
      }
    }
    var items: [Item] = []
    var owners: [Name: Int] = [:]
    for (index, module) in modules.enumerated() {
      for name in module.tensorNames { owners[name] = index }
    }
    var seen: Set<Int> = []
    var last: String?
    for name in state.names {
      if let owner = owners[name] {
        last = nil
        guard seen.insert(owner).inserted else { continue }
        items.append(Item(name: modules[owner].name, kind: modules[owner].kind, module: owner))
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
      items.append(Item(name: module, kind: .other, module: nil))
    }
    for (index, module) in modules.enumerated() where module.refusal != nil && !seen.contains(index)
    {
      items.append(Item(name: module.name, kind: module.kind, module: index))
    }
    return items
  }

  mutating func assume(_ index: Int) throws {
    let module = modules[index]
    guard module.refusal == nil else { return }
    let metadata = self.metadata(of: module)
    let declared = try metadata.hasHead()
    if module.convention.statesHead {
      if declared != false,
        let head = modules.first(where: {
          $0.kind == .linear && $0.refusal == nil && $0.convention.name == module.convention.name
        })
      {
        connections.append(
          Connection(
            from: module.name, to: head.name, reads: try metadata.headReads() ?? .sequence,
            evidence: .stated))
      }
    } else if declared != false, !isObstructed(module, .behind),
      let head = head(of: index, isDeclared: declared == true)
    {
      let reads = try metadata.headReads()
      if reads == nil { openHeads.insert(modules[head].name) }
      connections.append(
        Connection(
          from: module.name, to: modules[head].name, reads: reads ?? .sequence,
          evidence: declared == true ? .stated : .assumed))
    }
    if declared == true, !connections.contains(where: { $0.from == module.name }) {
      throw RecurrentError(
        .metadataHead, at: "metadata \"head\"", found: "linear",
        expected: "a linear layer with \(module.architecture.outputSize)"
          + " input features among the tensors")
    }
    if !isObstructed(module, .before), let table = embedding(of: index) {
      connections.append(
        Connection(
          from: modules[table].name, to: module.name, reads: .sequence, evidence: .assumed))
    }
  }

  /// Whether an earlier conversion left something behind on that side of a module.
  func isObstructed(_ module: Module, _ side: Structure.Obstacle.Side) -> Bool {
    ModuleMetadata.leftBehind(state.metadata).contains {
      $0.hasSuffix(" \(side.rawValue) \(Assumption.name(module.name))")
    }
  }

  /// The scopes of a name: everything before its last component.
  static func scope(_ name: String) -> [Substring] {
    Array(name.split(whereSeparator: { $0 == "." || $0 == "/" }).dropLast())
  }

  /// How many scopes two modules share.
  static func depth(_ one: [Substring], _ other: [Substring]) -> Int {
    zip(one, other).prefix { $0 == $1 }.count
  }

  func nearestRecurrent(to index: Int) -> [Int] {
    let depths = recurrent.map { Self.depth(scopes[index], scopes[$0]) }
    let deepest = depths.max()
    return zip(recurrent, depths).filter { $0.1 == deepest }.map(\.0)
  }

  /// Whether no other recurrent module is nearer to a module than `owner`, or as near and fits too.
  func isOwned(_ index: Int, by owner: Int, fits: (Module) -> Bool) -> Bool {
    let near = neighbours[index] ?? []
    return near.contains(owner)
      && near.allSatisfy { modules[$0].name == modules[owner].name || !fits(modules[$0]) }
  }

  func head(of index: Int, isDeclared: Bool) -> Int? {
    let width = modules[index].architecture.outputSize
    var fitting = modules.indices.filter { other in
      modules[other].kind == .linear && modules[other].refusal == nil
        && modules[other].architecture.inputSize == width
        && isOwned(other, by: index, fits: { $0.architecture.outputSize == width })
    }
    if isDeclared {
      let named = fitting.filter { DenseNames.isHead(modules[$0].name) }
      return fitting.count == 1 ? fitting[0] : named.count == 1 ? named[0] : nil
    }
    guard let own = places[index] else { return nil }
    if state.keepsOrder { fitting = fitting.filter { (places[$0] ?? -1) > own } }
    guard fitting.count == 1, let position = places[fitting[0]] else { return nil }
    let scope = scopes[fitting[0]]
    let head = modules[fitting[0]]
    let reach = Self.depth(scopes[index], scope)
    let isHidden = modules.indices.contains { other in
      modules[other].kind == .linear && modules[other].name != head.name
        && modules[other].refusal == nil
        && modules[other].architecture.inputSize == head.architecture.head?.classCount
        && (!state.keepsOrder || (places[other] ?? 0) > position)
        && Self.depth(scopes[other], scope) >= reach
    }
    guard !isHidden else { return nil }
    if state.keepsOrder {
      let between = items[(own + 1)..<max(own + 1, position)]
      return between.allSatisfy { $0.kind == .embedding } ? fitting[0] : nil
    }
    // Without an order nothing else may be there that could lie between, and the layer must not fit before as well.
    let others = items.indices.contains { item in
      items[item].module != index && items[item].module != fitting[0]
        && items[item].kind != .embedding && Self.depth(itemScopes[item], scopes[index]) >= reach
    }
    let couldPrecede = head.architecture.head?.classCount == modules[index].architecture.inputSize
    return !others && (!couldPrecede || DenseNames.isHead(head.name)) ? fitting[0] : nil
  }

  func embedding(of index: Int) -> Int? {
    let width = modules[index].architecture.inputSize
    let fitting = modules.indices.filter { other in
      modules[other].kind == .embedding && modules[other].refusal == nil
        && modules[other].architecture.inputSize == width
        && isOwned(other, by: index, fits: { $0.architecture.inputSize == width })
    }
    guard fitting.count == 1, let own = places[index], let position = places[fitting[0]] else {
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
