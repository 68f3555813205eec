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
    let source = plan.network?.recognition.convention.name
    var text = side(input, plan.input.format, source) + " -> "
    text += side(output, plan.outputFormat, plan.convention?.name) + "\n"
    if let network = plan.network { text += "  " + network.architecture.summary + "\n" }
    return text
  }

  private var notes: String {
    ConversionLoss.report(plan.losses).map { "  " + $0 + "\n" }.joined()
      + plan.notes.map { "  note: \(escapedForTerminal($0))\n" }.joined()
  }

  /// A few lines: what became what, what was assumed or lost, what was proven.
  var summary: String {
    header + notes + (proof.map { "  " + $0.summary + "\n" } ?? "")
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
        step.actions.isEmpty ? "unchanged" : step.actions.joined(separator: ", "),
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
        value: plan.network.map { .string($0.recognition.convention.name) } ?? .null),
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
              .init(key: "actions", value: .strings(step.actions)),
            ])
          })),
      .init(
        key: "notes", value: .strings(ConversionLoss.report(plan.losses) + plan.notes)),
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
    case .sameParameters(let count, _)?:
      members.append(.init(key: "proof", value: .string("same_parameters")))
      members.append(.init(key: "parameters", value: .number(count)))
    case ConversionProof.none?, nil: members.append(.init(key: "proof", value: .string("none")))
    }
    return members
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
