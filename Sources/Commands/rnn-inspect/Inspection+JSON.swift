// What is said of a file to programs.
import CommandSupport
import Parity
import Recurrent

extension Inspection {
  var json: JSON {
    let state = weights.state
    let assumptions = network?.assumptions.map(\.withFlags) ?? []
    let remarks = network?.notes.map(\.description) ?? []
    return .object([
      .init(key: "file", value: .string(weights.file.path)),
      .init(key: "container", value: .string(weights.format.name)),
      .init(
        key: "fixture",
        value: verification.map { .object([.init(key: "run", value: .string($0))]) } ?? .null),
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
      .init(key: "known_by", value: .string(evidence(of: module))),
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
      func number(_ value: Double) -> JSON { statistics.hasNumbers ? .number(value) : .null }
      members += [
        .init(key: "min", value: number(statistics.minimum)),
        .init(key: "max", value: number(statistics.maximum)),
        .init(key: "mean", value: number(statistics.mean)),
        .init(key: "norm", value: number(statistics.norm)),
        .init(key: "nan_count", value: .number(statistics.nanCount)),
        .init(key: "inf_count", value: .number(statistics.infinityCount)),
        .init(
          key: "histogram", value: .array((row.histogram?.counts ?? []).map { .number($0) })),
      ]
    }
    return .object(members)
  }
}
