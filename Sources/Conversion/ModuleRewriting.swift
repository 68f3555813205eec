import Containers
import Frameworks
import Networks
import RNNEngine
import Tensors

/// Rewrites every module of a file into a convention, each under its own name, and carries everything else along.
struct ModuleRewriting {
  /// What is written.
  private(set) var state = StateDict()
  private(set) var steps: [ConversionPlan.Step] = []
  private(set) var fates: [ConversionPlan.ModuleFate] = []
  /// Tensors of no module, carried along unchanged.
  private(set) var carried: [Name] = []
  /// Tensors and modules that are not in the output.
  private(set) var leftBehind: [String] = []
  /// The modules that were rewritten, with what proves them.
  private(set) var rewritten: [Rewritten] = []

  /// A module with its parameters, and where they are in the output.
  struct Rewritten: Sendable {
    let module: Module
    let weights: CanonicalWeights
    let target: Convention
    let naming: Naming
    let kind: ModuleKind
    let tensors: [StoredTensor]
  }

  /// Works out the output of the modules of `list`; only those in `chosen`, if it is given, with no other tensors.
  ///
  /// `keepsNames` leaves initial states under the names that a program gave them, where no metadata can speak of them.
  ///
  /// Throws a module's refusal, `convention.inexpressible` and `conversion.collision`.
  init(
    _ input: StateDict, _ list: ModuleList, as target: Convention?, chosen: [Module]? = nil,
    keepsNames: Bool = false
  ) throws {
    let modules = chosen ?? list.modules
    let names = Self.outputNames(modules, list, target)
    // A module that cannot be used has no tensors of its own; they must not go along as if they were nobody's.
    if let target {
      for module in modules where module.isRecurrent && module.convention.name != target.name {
        if let refusal = module.refusal { throw refusal }
      }
    }
    var owners: [Name: Int] = [:]
    for (index, module) in modules.enumerated() {
      for name in module.tensorNames { owners[name] = index }
    }
    var order = Self.order(modules, list, input, target)[...]
    var done: Set<Int> = []
    for entry in input.entries {
      guard let index = owners[entry.name] else {
        guard chosen == nil else { continue }
        try carry(entry, target)
        continue
      }
      let module = modules[index]
      guard let target, target.name != module.convention.name else {
        let name = keepsNames ? entry.name : Self.stateName(entry.name, module)
        try append(name, entry.tensor)
        steps.append(.copy(entry.name, entry.tensor, as: name))
        if done.insert(index).inserted {
          fates.append(.init(module: module, fate: .copied, outputName: module.name))
        }
        continue
      }
      guard done.insert(index).inserted, let next = order.popFirst() else { continue }
      try rewrite(modules[next], input, target, names[next])
    }
    // Modules that share all their tensors with others have no entry of their own.
    if let target {
      while let next = order.popFirst() { try rewrite(modules[next], input, target, names[next]) }
    }
    if let chosen {
      let own = Set(chosen.flatMap(\.tensorNames))
      let others = input.names.filter { !own.contains($0) }
      for module in list.modules
      where !chosen.contains(where: { $0.name == module.name && $0.kind == module.kind }) {
        fates.append(.init(module: module, fate: .leftBehind, outputName: ""))
      }
      if !others.isEmpty {
        leftBehind.append(
          "\(others.count) tensor\(others.count == 1 ? "" : "s") outside "
            + chosen.map { $0.name.isEmpty ? "the module" : $0.name }.joined(separator: ", "))
      }
    } else {
      let moved = Set(rewritten.flatMap { $0.module.tensorNames })
      let kept = Set(state.names).subtracting(moved)
      state.ties = input.ties.filter { kept.contains($0.key) && kept.contains($0.value) }
    }
    state.metadata = input.metadata
    state.keepsOrder = input.keepsOrder
  }

  /// The name under which metadata speak of an initial state.
  private static func stateName(_ name: Name, _ module: Module) -> Name {
    let prefix = module.name.asPrefix
    if name == module.initialState.h { return Name(prefix + "h_0") }
    return name == module.initialState.c ? Name(prefix + "c_0") : name
  }

  /// The modules that are rewritten, in the order in which they are written: the file's, or that of the computation where
  /// the file states it, because the readers of a state dict have nothing but the order.
  private static func order(
    _ modules: [Module], _ list: ModuleList, _ input: StateDict, _ target: Convention?
  ) -> [Int] {
    let places = Dictionary(
      zip(input.names, 0..<input.count), uniquingKeysWith: { first, _ in first })
    func place(_ index: Int) -> Int {
      modules[index].tensorNames.compactMap { places[$0] }.min() ?? Int.max
    }
    var order = modules.indices.filter { modules[$0].convention.name != target?.name }
      .map { ($0, place($0)) }.sorted { $0.1 < $1.1 }.map(\.0)
    guard list.structure?.statesConnections == true else { return order }
    // What stands behind a module moves behind it; each pass settles one module at least.
    for _ in order.indices {
      var isSettled = true
      for connection in list.connections {
        guard let from = order.firstIndex(where: { modules[$0].name == connection.from }),
          let to = order.firstIndex(where: { modules[$0].name == connection.to }), to < from
        else { continue }
        order.insert(order.remove(at: to), at: from)
        isSettled = false
      }
      if isSettled { break }
    }
    return order
  }

  private mutating func append(_ name: Name, _ tensor: Tensor) throws {
    guard state[name] == nil else {
      throw RecurrentError(
        .conversionCollision, at: "tensor \"\(name)\"",
        found: "two tensors that would get this name", expected: "distinct names")
    }
    try state.append(name, tensor)
  }

  private mutating func carry(_ entry: (name: Name, tensor: Tensor), _ target: Convention?) throws {
    // Paths of an archive's objects become the dotted names that everybody else has.
    let isPath =
      target != nil && target?.name != Convention.keras.name && entry.name.string.contains("/vars/")
    let name =
      isPath ? Name(String(entry.name.string.map { $0 == "/" ? "." : $0 })) : entry.name
    try append(name, entry.tensor)
    carried.append(entry.name)
    steps.append(
      .copy(entry.name, entry.tensor, as: name, [.carried]))
  }

  private mutating func rewrite(
    _ module: Module, _ input: StateDict, _ target: Convention, _ name: String
  ) throws {
    if let refusal = module.refusal { throw refusal }
    let prefix = name.asPrefix
    let dense = target.prefixes == nil ? target.root + prefix : "layers/\(name)/vars/#"
    var naming = Naming(recurrent: prefix, head: dense, embedding: dense)
    if module.kind == .cell, target.layouts.contains(where: { $0.kind == .cell }) {
      naming.spelling = "cell"
    }
    let tensors = try target.storedTensors(of: module.architecture, naming: naming)
    let weights = try CanonicalWeights(
      input, architecture: module.architecture, tensors: module.tensors)
    for entry in try weights.encoded(as: tensors).entries { try append(entry.name, entry.tensor) }
    steps += tensors.map { ConversionPlan.Step($0, from: module.tensors, weights) }
    for (name, role) in [(module.initialState.h, "h_0"), (module.initialState.c, "c_0")] {
      guard let name, let tensor = input[name] else { continue }
      let target = Name(prefix + role)
      try append(target, tensor)
      steps.append(.copy(name, tensor, as: target))
    }
    fates.append(.init(module: module, fate: .converted, outputName: name))
    rewritten.append(
      Rewritten(
        module: module, weights: weights, target: target, naming: naming, kind: module.kind,
        tensors: tensors))
  }

  /// The names of modules in the output: their own; those of modules without any are PyTorch users' customary ones, unless
  /// a module is alone.
  static func outputNames(_ modules: [Module], _ list: ModuleList, _ target: Convention?)
    -> [String]
  {
    var used = Set(modules.map(\.name))
    let isAlone = modules.count == 1
    return modules.map { module in
      guard module.name.isEmpty, !isAlone, module.convention.name != target?.name else {
        return module.name
      }
      let base =
        switch module.kind {
        case .embedding: "embedding"
        case .linear: "classifier"
        case .recurrent, .cell, .other: "rnn"
        }
      var name = base
      var number = 1
      while !used.insert(name).inserted {
        name = "\(base)_\(number)"
        number += 1
      }
      return name
    }
  }
}
