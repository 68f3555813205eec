// What is said of a file to people.
import CommandSupport
import Parity
import Recurrent

extension TensorStatistics {
  /// The smallest and the largest number, the mean and the norm; a dash for each where there is no number.
  var words: [String] {
    hasNumbers ? [minimum, maximum, mean, norm].map(short) : Array(repeating: "–", count: 4)
  }
}

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
        let summary = escapedForTerminal(self.summary(preview), limit: 1000)
        switch preview.target {
        case .container(let format): return [format.name, summary]
        case .convention(let convention): return ["as \(convention.name)", summary]
        }
      }, indent: "    ")
    return text
  }

  /// What a conversion would lose; that nothing was recognised is said once, above.
  private func summary(_ preview: ConversionPreview) -> String {
    guard let refusal = preview.refusal, refusal.reason == .weightsUnrecognized,
      refusal.found == obstacle?.found
    else { return preview.withFlags }
    return "refused: not recognised, as said above"
  }

  /// What was assumed and what a reader should know, one line each.
  var remarks: [String] {
    var lines: [String] = network?.assumptions.map(\.withFlags) ?? []
    if network == nil {
      for module in modules {
        // Most lines name their module.
        for line in module.assumptions.map(\.withFlags) {
          let isNamed = modules.count == 1 || module.name.isEmpty || line.contains(module.name)
          lines.append(isNamed ? line : "\(module.name): \(line)")
        }
      }
    }
    for module in modules { lines += module.remarks.map { "note: \($0)" } }
    lines += (list?.remarks ?? []).map { "note: \($0)" }
    lines += (list?.surroundings ?? []).map { "note: \($0)" }
    var seen: Set<String> = []
    return lines.filter { seen.insert($0).inserted }
  }

  var facts: [[String]] { factsBefore + moduleFacts + factsBehind }

  /// What to run, where the file is a fixture.
  var verification: String? {
    Fixture.isFixture(weights.state)
      && weights.state.names.contains { $0.string.hasPrefix("weights/") }
      ? "rnn-verify \(quotedForShell(weights.file.path))" : nil
  }

  private var hasDraft: Bool {
    list?.recurrent.isEmpty != false && draft.entries.contains { $0.cell != nil }
  }

  /// The container, the convention and the network.
  var factsBefore: [[String]] {
    var facts = [["container", weights.format.summary]]
    if let verification {
      facts.append([
        "fixture",
        "weights, inputs and what a reference computed; \(verification) compares them",
      ])
    }
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
      // What is wrong with a module stands beside its name.
      let isBelow = modules.contains { $0.refusal?.found == obstacle.found }
      facts.append(["network", what + (isBelow ? "the module cannot be used" : obstacle.message)])
      if let hint = hint(obstacle) { facts.append(["hint", hint]) }
    }
    return facts
  }

  /// The way out, unless it stands below with what shapes suggest.
  private func hint(_ obstacle: RecurrentError) -> String? {
    let isDraft = obstacle.advice?.parts.contains(.means(.namesDraft, nil)) == true
    return isDraft && hasDraft ? nil : obstacle.advice?.withFlags
  }

  /// One row per module.
  private var moduleFacts: [[String]] {
    var facts: [[String]] = []
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
    return facts
  }

  /// How a module is known: what its tensors mean, somebody said or their names and shapes say.
  func evidence(of module: Module) -> String {
    if module.convention.fixed != nil { return "the names file" }
    if module.stated != nil { return "the file" }
    return "names and shapes"
  }

  /// The connections, what shapes suggest, and how much there is.
  var factsBehind: [[String]] {
    let state = weights.state
    var facts: [[String]] = []
    for connection in list?.connections ?? [] {
      facts.append(["connection", connection.summary])
    }
    if hasDraft {
      for entry in draft.entries.prefix(8) {
        facts.append([
          "looks like",
          "\(escapedForTerminal(entry.name)): \(entry.summary)"
            + (entry.assumed.isEmpty
              ? "" : "; to be checked: \(entry.assumed.joined(separator: ", "))"),
        ])
      }
      facts.append([
        "hint",
        "Describe it in a names file (--names FILE); rnn-inspect --json drafts one in \"names_draft\".",
      ])
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
      cells += zip(["min", "max", "mean", "norm"], statistics.words).map { "\($0) \($1)" }
      cells.append("nan \(grouped(statistics.nanCount))")
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
