import Containers
import Frameworks
import Networks
import RNNEngine
import Tensors

/// What an output says beside its tensors, and what it cannot say.
struct OutputMetadata {
  private let draft: PlanDraft
  private let format: WeightFormat
  private let reading: ReadOptions
  /// The modules of the input that are in the output.
  private let kept: [ConversionPlan.ModuleFate]

  init(_ draft: PlanDraft, _ format: WeightFormat, _ reading: ReadOptions) {
    self.draft = draft
    self.format = format
    self.reading = reading
    kept = draft.fates.filter { $0.fate != .leftBehind }
  }

  /// Writes down what the container can say; gives what it cannot, and the keys that it has no place for.
  func write(to state: inout StateDict) -> (leftBehind: [String], dropped: [String]) {
    guard format.carriesMetadata else { return drop(from: &state) }
    guard draft.convention != nil else { return ([], []) }
    state.metadata["format"] = state.metadata["format"] ?? "rnn-state-dict"
    state.metadata["format_version"] = state.metadata["format_version"] ?? "1"
    let names = names(in: state)
    for (name, kind) in names.kinds { state.metadata["\(name).kind"] = kind.rawValue }
    for (name, module) in names.stacks {
      let prefix = name.asPrefix
      state.metadata["\(prefix)num_layers"] = "\(module.architecture.layerCount)"
      if module.architecture.bidirectional { state.metadata["\(prefix)direction"] = "both" }
    }
    let count = zip(kept, names.names).reduce(0) { $0 + ($1.0.module.isRecurrent ? $1.1.count : 0) }
    for (fate, own) in zip(kept, names.names) where fate.module.isRecurrent {
      write(fate.module, own, isOnlyOne: count == 1, to: &state.metadata)
    }
    if reading.head == ReadOptions.Neighbour.none, count == 1 { state.metadata["head"] = "none" }
    let connections = connections(names.names)
    // A document's class says by its names what follows what.
    state.metadata["connections"] =
      connections.isEmpty || draft.convention?.statesHead == true
      ? nil : ModuleMetadata.text(connections)
    ModuleMetadata.write(leftBehind: draft.surroundings, to: &state.metadata)
    return ([], [])
  }

  private func write(
    _ module: Module, _ names: [String], isOnlyOne: Bool, to metadata: inout Metadata
  ) {
    var architecture = module.architecture
    var certain = module.known
    if reading.cell != nil { certain.insert(.cell) }
    if reading.gruReset != nil { certain.insert(.gruReset) }
    if reading.batchFirst != nil { certain.insert(.batchFirst) }
    if format.isKeras {
      architecture.batchFirst = true
      certain.insert(.batchFirst)
    }
    architecture.head = head(of: module)
    for (position, name) in names.enumerated() {
      if position == 1 {
        (architecture.head, architecture.dropout) = (nil, 0)
        architecture.storesInitialState = false
      }
      ModuleMetadata.write(
        architecture, module: name, isOnlyOne: isOnlyOne, isCertain: certain, to: &metadata)
    }
  }

  /// The linear layer behind a module, with what it reads and what stands behind it.
  private func head(of module: Module) -> Architecture.Head? {
    if let network = draft.network, network.recognition.recurrent.name == module.name {
      return network.architecture.head
    }
    for connection in draft.connections where connection.from == module.name {
      let linear = kept.first {
        $0.module.name == connection.to && $0.module.kind == .linear
      }?.module
      guard let linear, var head = linear.architecture.head else { continue }
      head.reads = connection.reads
      head.activation = linear.stated?.activation ?? head.activation
      return head
    }
    return nil
  }

  // MARK: Names

  /// The names under which a reader of the output finds each module, layer by layer where names cannot say that layers
  /// are one stack; and what names and shapes would misread.
  private func names(in state: StateDict) -> OutputNames {
    var result = OutputNames(names: kept.map { [$0.outputName] })
    guard !format.holdsOneNetwork else { return result }
    var bare = state
    bare.metadata = Metadata()
    bare.structure = nil
    guard let list = try? ModuleList(bare) else { return result }
    var owners: [Name: Module] = [:]
    for module in list.modules {
      for name in module.tensorNames { owners[name] = module }
    }
    for (index, fate) in kept.enumerated() {
      let written = draft.rewritten.first {
        $0.module.name == fate.module.name && $0.module.kind == fate.module.kind
      }
      let found = (written?.tensors ?? fate.module.tensors).map { owners[$0.name] }
      let names = found.compactMap { $0?.name }.reduce(into: [String]()) {
        if !$0.contains($1) { $0.append($1) }
      }
      if !found.contains(where: { $0 == nil }), !names.isEmpty {
        result.names[index] = names
      }
      let isMisread = found.contains { $0 == nil || $0?.kind != fate.module.kind }
      let name = result.names[index][0]
      if isMisread, result.names[index].count == 1, !name.isEmpty {
        result.kinds.append((name, fate.module.kind))
      }
      func isGuess(_ module: Module) -> Bool {
        module.assumptions.contains(where: \.isStack)
      }
      if found.contains(where: { $0.map(isGuess) ?? false }), !isGuess(fate.module) {
        result.stacks.append((name, fate.module))
      }
    }
    return result
  }

  private func connections(_ names: [[String]]) -> [Connection] {
    var result: [Connection] = []
    for (fate, own) in zip(kept, names) {
      let isAssumed = fate.module.assumptions.contains(where: \.isStack)
      for (lower, upper) in zip(own, own.dropFirst()) {
        result.append(
          Connection(
            from: lower, to: upper, reads: .sequence, evidence: isAssumed ? .assumed : .stated))
      }
    }
    func place(_ name: String) -> Int? { kept.firstIndex { $0.module.name == name } }
    for connection in draft.connections {
      guard let from = place(connection.from).flatMap({ names[$0].last }),
        let to = place(connection.to).flatMap({ names[$0].first }), from != to
      else { continue }
      var renamed = connection
      (renamed.from, renamed.to) = (from, to)
      result.append(renamed)
    }
    return result
  }

  // MARK: Containers without metadata

  private func drop(from state: inout StateDict) -> ([String], [String]) {
    let pairs = state.metadata.pairs.filter { !$0.key.hasPrefix("format") }
    let reason = "\(format.name) has no metadata"
    var lines = pairs.map { "metadata \($0.key) = \($0.value): \(reason)" }
    func isListed(_ key: String) -> Bool {
      pairs.contains { $0.key == key || $0.key.hasSuffix(".\(key)") }
    }
    let connections = draft.connections.filter { $0.evidence != .assumed }
    if !connections.isEmpty, !isListed("connections") {
      lines.append(
        "how modules are connected (\(connections.map(\.path).joined(separator: "; "))): \(reason)")
    }
    for fate in kept where fate.module.isRecurrent {
      let module = fate.module
      let name = Assumption.name(module.name)
      if module.architecture.cell == .rnnRelu, !isListed("cell") {
        lines.append("that \(name) is an rnn_relu: \(reason)")
      }
      if module.architecture.batchFirst, module.kind != .cell, !isListed("batch_first") {
        lines.append("that \(name) takes (N, T, features): \(reason)")
      }
    }
    state.metadata = Metadata()
    return (lines, pairs.map(\.key))
  }
}

/// How a reader of an output finds its modules.
private struct OutputNames {
  /// For each module its names, layer by layer.
  var names: [[String]]
  /// What names and shapes would make something else of.
  var kinds: [(String, ModuleKind)] = []
  /// The stacks that a reader would have to guess.
  var stacks: [(String, Module)] = []
}

extension WeightFormat {
  /// Whether it is one of Keras's containers, whose layers take (N, T, features).
  var isKeras: Bool { name.hasPrefix("keras") }
}
