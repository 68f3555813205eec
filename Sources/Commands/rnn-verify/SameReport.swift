import Bytes
import CommandSupport
import Parity
import Recurrent

extension RNNVerify {
  /// `--same A B`: do two files hold the same network?
  func compareNetworks() throws -> Int32 {
    let comparison = try NetworkComparison(
      paths[0], paths[1], format: reading.from.map(WeightFormat.named),
      options: reading.options(), rounded: rounded)
    if json {
      Output.line(
        JSON.object([
          .init(key: "same", value: .bool(comparison.areSame)),
          .init(key: "same_network", value: .bool(comparison.areSameNetwork)),
          .init(key: "modules", value: .strings(comparison.modules)),
          .init(
            key: "reservations",
            value: .object([
              .init(key: "first", value: .strings(comparison.reservations.first.map(\.withFlags))),
              .init(
                key: "second", value: .strings(comparison.reservations.second.map(\.withFlags))),
            ])),
          .init(key: "parameters", value: .number(comparison.parameterCount)),
          .init(
            key: "rounded_to",
            value: comparison.roundedTo.map { .string($0.rawValue) } ?? .null),
          .init(
            key: "equal_when_rounded_to",
            value: comparison.equalWhenRoundedTo.map { .string($0.rawValue) } ?? .null),
          .init(key: "allowances", value: .strings(comparison.allowances)),
          .init(
            key: "differences",
            value: .array(
              comparison.differences.map { difference in
                .object(
                  [
                    .init(key: "place", value: .string(difference.place)),
                    .init(key: "first", value: .string(difference.first)),
                    .init(key: "second", value: .string(difference.second)),
                  ]
                    + (difference.elements.map {
                      $0.deviation.members(elements: $0.count, at: $0.place)
                    } ?? []))
              })),
        ]).serialized(pretty: true))
    } else {
      for difference in comparison.differences {
        let line =
          "\(difference.place): "
          + (difference.elements.map { words($0.deviation, elements: $0.count, at: $0.place) }
            ?? "\(difference.first) against \(difference.second)")
        Output.line("  \(escapedForTerminal(line, limit: 1000))")
      }
      if !comparison.loneModules.isEmpty {
        Output.line("  note: --module NAME compares one module of each file and nothing else")
      }
      if let narrow = comparison.equalWhenRoundedTo {
        Output.line(
          "  note: rounded to \(narrow.rawValue) their parameters are equal: --rounded compares so")
      }
      for allowance in comparison.allowances { Output.line("  note: \(allowance)") }
      if comparison.areSame {
        let (first, second) = comparison.reservations
        let sides = [
          (paths[0], first.filter { !second.contains($0) }),
          (paths[1], second.filter { !first.contains($0) }),
          ("both files", first.filter(second.contains)),
        ]
        for (path, lines) in sides {
          for line in lines {
            Output.line("  \(escapedForTerminal("\(path): \(line.withFlags)", limit: 1000))")
          }
        }
      }
      let count = counted(comparison.parameterCount, "parameter")
      let equal =
        "equal bit for bit"
        + (comparison.roundedTo.map { " after rounding to \($0.rawValue)" } ?? "")
      let names = comparison.modules.map { $0.isEmpty ? "the recurrent module" : $0 }
      Output.line(
        !comparison.areSame
          ? "different networks"
          : comparison.areSameNetwork
            ? "same network: \(count) \(equal)"
            : "same modules (\(escapedForTerminal(names.joined(separator: ", ")))):"
              + " \(count) \(equal); whether all else is the same, the files do not say")
    }
    return comparison.areSame ? 0 : 1
  }
}
