import CommandSupport
import Recurrent

/// Everything that is known about one file.
struct Inspection {
  /// One tensor with what was found about it.
  struct Row {
    let entry: (name: Name, tensor: Tensor)
    let tie: Name?
    let isForeign: Bool
    let statistics: TensorStatistics?
    let histogram: Histogram?
  }

  let weights: WeightFile
  /// Everything that the file holds; `nil` when its metadata contradict the tensors.
  let list: ModuleList?
  /// The network, when there is exactly one and it can be used.
  let network: Recognition?
  /// Why there is no network.
  let obstacle: RecurrentError?
  let previews: [ConversionPreview]
  let rows: [Row]
  /// What a names file could say, where shapes look like modules under other names.
  let draft: NamesDraft

  var modules: [Module] { list?.modules ?? [] }

  init(_ weights: WeightFile, reading: ReadOptions, statistics: Bool, _ bar: ProgressBar) throws {
    self.weights = weights
    let state = weights.state
    var list: ModuleList?
    var network: Recognition?
    var obstacle: RecurrentError?
    do {
      let found = try ModuleList(state, options: reading)
      list = found
      network = try Recognition(state, found, reading)
    } catch let error as RecurrentError {
      // Tensors that are no network are still worth listing; only say why they are none.
      obstacle = error
    }
    self.list = list
    self.network = network
    self.obstacle = obstacle
    draft = NamesDraft(state, among: list?.others ?? state.names)
    previews = try ConversionPreview.all(of: weights, reading: reading)
    let own = Set((list?.modules ?? []).flatMap(\.tensorNames))
    var numbers: [TensorStatistics] = []
    var histograms: [Histogram] = []
    if statistics {
      // The second pass needs to know from where to where the numbers go.
      let size = state.byteCount
      for entry in try ReadMeter("reading", total: size, bar).watch(state).entries {
        numbers.append(try TensorStatistics(entry.tensor))
      }
      let watched = try ReadMeter("counting", total: size, bar).watch(state).entries
      for (entry, numbers) in zip(watched, numbers) {
        histograms.append(try Histogram(entry.tensor, numbers))
      }
    }
    rows = state.entries.enumerated().map { position, entry in
      Row(
        entry: entry, tie: state.ties[entry.name],
        isForeign: !own.isEmpty && !own.contains(entry.name),
        statistics: statistics ? numbers[position] : nil,
        histogram: statistics ? histograms[position] : nil)
    }
  }

  /// The parameters of all modules that can be used.
  var parameterCount: Int {
    rows.reduce(0) { $0 + ($1.isForeign ? 0 : $1.entry.tensor.elementCount) }
  }
}

// MARK: For people

extension Inspection {
  var text: String {
    let state = weights.state
    var text = escapedForTerminal(weights.file.path) + "\n" + table(facts)
    for line in remarks { text += "  \(escapedForTerminal(line, limit: 1000))\n" }
    text += "\n" + table(rows.map(columns))
    if !state.metadata.isEmpty {
      text += "\n  metadata\n"
      text += table(
        state.metadata.pairs.map {
          [escapedForTerminal($0.key, limit: 200), escapedForTerminal($0.value, limit: 200)]
        }, indent: "    ")
    }
    if !state.skipped.isEmpty {
      text += "\n  also in the file, not weights\n"
      for line in state.skipped { text += "    " + escapedForTerminal(line) + "\n" }
    }
    text += "\n  what a conversion would lose\n"
    if !state.skipped.isEmpty {
      text += "    anywhere: what is listed above as not weights\n"
    }
    text += table(
      previews.map { preview in
        let summary = escapedForTerminal(preview.withFlags, limit: 1000)
        switch preview.target {
        case .container(let format): return [format.name, summary]
        case .convention(let convention): return ["as \(convention.name)", summary]
        }
      }, indent: "    ")
    return text
  }

  /// What was assumed and what a reader should know, one line each.
  private var remarks: [String] {
    var lines: [String] = network?.assumptions.map(\.withFlags) ?? []
    if network == nil {
      for module in modules {
        let owner = modules.count > 1 && !module.name.isEmpty ? "\(module.name): " : ""
        lines += module.assumptions.map { owner + $0.withFlags }
      }
    }
    for module in modules { lines += module.remarks.map { "note: \($0)" } }
    lines += (list?.remarks ?? []).map { "note: \($0)" }
    lines += (list?.surroundings ?? []).map { "note: \($0)" }
    var seen: Set<String> = []
    return lines.filter { seen.insert($0).inserted }
  }

  var facts: [[String]] {
    let state = weights.state
    var facts = [["container", weights.format.summary]]
    let conventions = modules.map(\.convention.name).reduce(into: [String]()) {
      if !$0.contains($1) { $0.append($1) }
    }
    if !conventions.isEmpty {
      facts.append(["convention", conventions.joined(separator: ", ")])
    }
    if let network {
      facts.append(["network", network.architecture.summary])
    } else if let obstacle {
      let what = (list?.recurrent.count ?? 0) > 1 ? "" : "not recognised: "
      facts.append(["network", what + obstacle.message])
      if let hint = obstacle.advice { facts.append(["hint", hint.withFlags]) }
    }
    if !modules.isEmpty {
      facts.append(["modules", "\(modules.count)"])
      for module in modules {
        let name = module.name.isEmpty ? "(no name)" : escapedForTerminal(module.name)
        let what =
          module.refusal.map { "cannot be used: \($0.message)" } ?? module.architecture.summary
        facts.append([
          "  \(name)",
          (module.kind == .cell ? "cell, " : "") + escapedForTerminal(what, limit: 1000),
        ])
      }
    }
    for connection in list?.connections ?? [] {
      facts.append(["connection", connection.summary])
    }
    if list?.recurrent.isEmpty != false, draft.entries.contains(where: { $0.cell != nil }) {
      for entry in draft.entries.prefix(8) {
        facts.append([
          "looks like",
          "\(escapedForTerminal(entry.name)): \(entry.summary)"
            + (entry.assumed.isEmpty
              ? "" : "; to be checked: \(entry.assumed.joined(separator: ", "))"),
        ])
      }
      facts.append(["", "rnn-inspect --json drafts a names file (--names) in \"names_draft\""])
    }
    if let list, !list.others.isEmpty, !modules.isEmpty {
      facts.append([
        "parameters",
        "\(grouped(parameterCount)) of the modules;"
          + " \(counted(list.others.count, "tensor")) of no module",
      ])
    }
    let elements = state.entries.reduce(0) { $0 + $1.tensor.elementCount }
    facts.append([
      "tensors",
      "\(grouped(state.count)), \(counted(elements, "element")),"
        + " \(counted(state.byteCount, "byte")), \(types)",
    ])
    return facts
  }

  /// `f32`, or with several types how many bytes each has.
  private var types: String {
    let sizes = DType.allCases.compactMap { type -> (DType, Int)? in
      let own = weights.state.entries.filter { $0.tensor.dtype == type }
      return own.isEmpty ? nil : (type, own.reduce(0) { $0 + $1.tensor.byteCount })
    }
    guard sizes.count > 1 else { return sizes.first?.0.rawValue ?? "none" }
    return sizes.map { "\($0.0.rawValue) (\(counted($0.1, "byte")))" }.joined(separator: " ")
  }

  private func columns(_ row: Row) -> [String] {
    var cells = [
      escapedForTerminal(row.entry.name.string), row.entry.tensor.dtype.rawValue,
      "\(row.entry.tensor.shape)",
    ]
    if let statistics = row.statistics {
      cells += [
        "min \(short(statistics.minimum))", "max \(short(statistics.maximum))",
        "mean \(short(statistics.mean))", "norm \(short(statistics.norm))",
        "nan \(grouped(statistics.nanCount))",
      ]
      if rows.contains(where: { ($0.statistics?.infinityCount ?? 0) > 0 }) {
        cells.append("inf \(grouped(statistics.infinityCount))")
      }
      if Output.isTerminal, let histogram = row.histogram {
        let levels = Output.drawsUnicode ? Histogram.blocks : Histogram.letters
        cells.append("|" + histogram.drawn(with: levels) + "|")
      }
    }
    var remarks: [String] = []
    if let tie = row.tie { remarks.append("shares storage with \(tie)") }
    if row.isForeign { remarks.append("of no module") }
    cells.append(escapedForTerminal(remarks.joined(separator: ", ")))
    return cells
  }
}

// MARK: For programs

extension Inspection {
  var json: JSON {
    let state = weights.state
    let assumptions = network?.assumptions.map(\.withFlags) ?? []
    let remarks = network?.notes.map(\.description) ?? []
    return .object([
      .init(key: "file", value: .string(weights.file.path)),
      .init(key: "container", value: .string(weights.format.name)),
      .init(key: "convention", value: network.map { .string($0.convention.name) } ?? .null),
      .init(
        key: "architecture", value: network.map { .architecture($0.architecture) } ?? .null),
      .init(key: "assumptions", value: .strings(assumptions)),
      .init(key: "remarks", value: .strings(remarks)),
      .init(key: "not_recognized", value: obstacle?.json ?? .null),
      .init(key: "modules", value: .array(modules.map(module))),
      .init(
        key: "connections", value: .array((list?.connections ?? []).map { .connection($0) })),
      .init(
        key: "obstacles",
        value: .array(
          (list?.structure?.obstacles ?? []).map { obstacle in
            .object([
              .init(key: "module", value: .string(obstacle.module)),
              .init(key: "side", value: .string(obstacle.side.rawValue)),
              .init(key: "operations", value: .strings(obstacle.operations)),
              .init(key: "branch", value: .bool(obstacle.isBranch)),
            ])
          })),
      .init(key: "names_draft", value: draft.json),
      .init(
        key: "parameters",
        value: .number(state.entries.reduce(0) { $0 + $1.tensor.elementCount })),
      .init(key: "network_parameters", value: .number(parameterCount)),
      .init(key: "bytes", value: .number(state.byteCount)),
      .init(
        key: "metadata",
        value: .object(
          state.metadata.pairs.map { .init(key: $0.key, value: .string($0.value)) })),
      .init(key: "tensors", value: .array(rows.map(report))),
      .init(key: "skipped", value: .strings(state.skipped)),
      .init(key: "conversions", value: .array(previews.map(report))),
    ])
  }

  private func module(_ module: Module) -> JSON {
    var members: [JSON.Member] = [
      .init(key: "prefix", value: .string(module.name)),
      .init(key: "name", value: .string(module.name)),
      .init(key: "kind", value: .string(module.kind.rawValue)),
      .init(key: "convention", value: .string(module.convention.name)),
    ]
    if let refusal = module.refusal {
      members.append(.init(key: "refusal", value: refusal.json))
    } else {
      members.append(.init(key: "architecture", value: .architecture(module.architecture)))
      members.append(
        .init(key: "assumptions", value: .strings(module.assumptions.map(\.withFlags))))
      members.append(.init(key: "remarks", value: .strings(module.remarks)))
      members.append(.init(key: "tensors", value: .strings(module.tensorNames.map(\.string))))
    }
    return .object(members)
  }

  private func report(_ preview: ConversionPreview) -> JSON {
    let target: JSON.Member =
      switch preview.target {
      case .container(let format): .init(key: "to", value: .string(format.name))
      case .convention(let convention): .init(key: "as", value: .string(convention.name))
      }
    return .object([
      target, .init(key: "losses", value: .strings(preview.losses)),
      .init(key: "refusal", value: preview.refusal?.json ?? .null),
    ])
  }

  private func report(_ row: Row) -> JSON {
    var members: [JSON.Member] = [
      .init(key: "name", value: .string(row.entry.name.string)),
      .init(key: "dtype", value: .string(row.entry.tensor.dtype.rawValue)),
      .init(key: "shape", value: .shape(row.entry.tensor.shape)),
      .init(key: "bytes", value: .number(row.entry.tensor.byteCount)),
      .init(key: "tied_to", value: row.tie.map { .string($0.string) } ?? .null),
      .init(key: "foreign", value: .bool(row.isForeign)),
    ]
    if let statistics = row.statistics {
      members += [
        .init(key: "min", value: .number(statistics.minimum)),
        .init(key: "max", value: .number(statistics.maximum)),
        .init(key: "mean", value: .number(statistics.mean)),
        .init(key: "norm", value: .number(statistics.norm)),
        .init(key: "nan_count", value: .number(statistics.nanCount)),
        .init(key: "inf_count", value: .number(statistics.infinityCount)),
        .init(
          key: "histogram", value: .array((row.histogram?.counts ?? []).map { .number($0) })),
      ]
    }
    return .object(members)
  }
}
