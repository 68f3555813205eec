import Bytes
import CommandSupport
import Recurrent

/// What is said about one conversion, for people and for programs.
struct ConversionReport {
  let input: String
  let output: String
  let plan: ConversionPlan
  /// `nil` when nothing was written.
  let proof: ConversionProof?

  private var header: String {
    func side(_ path: String, _ format: WeightFormat, _ convention: String?) -> String {
      let words = [format.name] + [convention].compactMap { $0 }
      return "\(escapedForTerminal(path)) (\(words.joined(separator: ", ")))"
    }
    var text = side(input, plan.input.format, plan.modules.first?.module.convention.name) + " -> "
    text += side(output, plan.outputFormat, plan.convention?.name) + "\n"
    return text + table(plan.modules.map(row))
  }

  /// One line per module: its name, what it is, what became of it.
  private func row(_ fate: ConversionPlan.ModuleFate) -> [String] {
    let name = fate.module.name.isEmpty ? "(no name)" : escapedForTerminal(fate.module.name)
    let isRenamed = fate.fate == .converted && fate.outputName != fate.module.name
    return [
      name, escapedForTerminal(fate.module.what),
      fate.fate.rawValue
        + (isRenamed && !fate.outputName.isEmpty
          ? " as \(escapedForTerminal(fate.outputName))" : ""),
    ]
  }

  /// One line per connection that is known, per assumption, and per kind of thing that is not in the output.
  private var notes: String {
    var lines = plan.assumptions.map(\.withFlags)
    let stated = plan.connections.filter { $0.evidence != .assumed }
    lines += stated.map { "connected: \($0.summary)" }
    if !plan.carried.isEmpty {
      lines.append(
        "carried along unchanged: \(counted(plan.carried.count, "tensor")) of no module: "
          + plan.carried.prefix(3).map(\.string).joined(separator: ", ")
          + (plan.carried.count > 3 ? ", …" : ""))
    }
    lines += plan.leftBehind.map { "left behind: \($0)" }
    if plan.roundsSums { lines.append("rounded: pairs of biases become their sums") }
    lines += plan.roundings.map { "rounded: \($0)" }
    lines += plan.notes.map { "note: \($0)" }
    return lines.map { "  \(escapedForTerminal($0, limit: 1000))\n" }.joined()
  }

  /// A few lines: what became what, what was assumed or lost, what was proven.
  var summary: String {
    header + notes + (proof.map { "  \(escapedForTerminal($0.summary, limit: 1000))\n" } ?? "")
  }

  /// What goes where, tensor by tensor.
  var steps: String {
    let rows = plan.steps.map { step in
      [
        escapedForTerminal(step.target.string), "\(step.dtype.rawValue) \(step.shape)",
        "<- "
          + (step.sources.isEmpty
            ? "nothing"
            : step.sources.map { escapedForTerminal($0.string) }.joined(separator: " + ")),
        step.actions.isEmpty
          ? "unchanged" : step.actions.map(\.description).joined(separator: ", "),
      ]
    }
    return header + table(rows) + notes + "  plan only, nothing was written\n"
  }

  /// The members of the object that `--json` prints.
  var json: [JSON.Member] {
    var members: [JSON.Member] = [
      .init(key: "input", value: .string(input)), .init(key: "output", value: .string(output)),
      .init(key: "from", value: .string(plan.input.format.name)),
      .init(key: "to", value: .string(plan.outputFormat.name)),
      .init(
        key: "read_as",
        value: plan.modules.first.map { .string($0.module.convention.name) } ?? .null),
      .init(key: "as", value: plan.convention.map { .string($0.name) } ?? .null),
      .init(
        key: "architecture",
        value: plan.network.map { .architecture($0.architecture) } ?? .null),
      .init(
        key: "tensors",
        value: .array(
          plan.steps.map { step in
            .object([
              .init(key: "name", value: .string(step.target.string)),
              .init(key: "dtype", value: .string(step.dtype.rawValue)),
              .init(key: "shape", value: .shape(step.shape)),
              .init(key: "sources", value: .strings(step.sources.map(\.string))),
              .init(key: "actions", value: .strings(step.actions.map(\.description))),
            ])
          })),
      .init(
        key: "notes",
        value: .strings(plan.roundings + plan.notes)),
      .init(key: "modules", value: .array(plan.modules.map(module))),
      .init(key: "connections", value: .array(plan.connections.map { .connection($0) })),
      .init(key: "assumptions", value: .array(plan.assumptions.map { .assumption($0) })),
      .init(key: "carried", value: .strings(plan.carried.map(\.string))),
      .init(
        key: "left_behind",
        value: .strings(
          plan.unusedTensors.map(\.string)
            + plan.modules.filter { $0.fate == .leftBehind }.map { "module \($0.module.name)" }
            + plan.leftBehind)),
      .init(key: "losses", value: .array(plan.losses.map(loss))),
      .init(key: "written", value: .bool(proof != nil)),
    ]
    switch proof {
    case .identical?: members.append(.init(key: "proof", value: .string("identical")))
    case .asPlanned?: members.append(.init(key: "proof", value: .string("as_planned")))
    case .sameNetwork(let forward, let gradients)?:
      members.append(.init(key: "proof", value: .string("same_network")))
      members.append(.init(key: "forward_deviation", value: .number(forward)))
      members.append(.init(key: "gradient_deviation", value: .number(gradients)))
    case .sameModules(let names, let forward, let gradients)?:
      members.append(.init(key: "proof", value: .string("same_modules")))
      members.append(.init(key: "proven_modules", value: .strings(names)))
      members.append(.init(key: "forward_deviation", value: .number(forward)))
      members.append(.init(key: "gradient_deviation", value: .number(gradients)))
    case .sameParameters(let count, _)?:
      members.append(.init(key: "proof", value: .string("same_parameters")))
      members.append(.init(key: "parameters", value: .number(count)))
    case ConversionProof.none?, nil: members.append(.init(key: "proof", value: .string("none")))
    }
    return members
  }

  private func module(_ fate: ConversionPlan.ModuleFate) -> JSON {
    .object([
      .init(key: "name", value: .string(fate.module.name)),
      .init(key: "kind", value: .string(fate.module.kind.rawValue)),
      .init(key: "convention", value: .string(fate.module.convention.name)),
      .init(key: "architecture", value: .architecture(fate.module.architecture)),
      .init(key: "fate", value: .string(fate.fate.rawValue)),
      .init(key: "output_name", value: .string(fate.outputName)),
    ])
  }

  private func loss(_ entry: (name: Name, loss: ConversionLoss)) -> JSON {
    let loss = entry.loss
    func index(_ value: Int?) -> JSON { value.map { .number($0) } ?? .null }
    return .object([
      .init(key: "name", value: .string(entry.name.string)),
      .init(key: "largest_relative_change", value: .number(loss.largestRelativeChange)),
      .init(key: "largest_relative_change_at", value: index(loss.largestRelativeChangeIndex)),
      .init(key: "overflows", value: .number(loss.overflows)),
      .init(key: "first_overflow_at", value: index(loss.firstOverflowIndex)),
      .init(key: "underflows", value: .number(loss.underflows)),
      .init(key: "changed_nans", value: .number(loss.changedNaNs)),
    ])
  }
}
