import CommandSupport
import Recurrent

/// What is said about two files.
struct DifferenceReport {
  private let paths: (String, String)
  private let difference: FileDifference
  private let first: StateDict

  init(_ path: String, _ other: String, _ difference: FileDifference, _ first: StateDict) {
    paths = (path, other)
    self.difference = difference
    self.first = first
  }

  private var differing: Int {
    difference.tensors.filter { if case .equal = $0.outcome { false } else { true } }.count
  }

  /// A line per tensor, and the verdict.
  var text: String {
    let names = (escapedForTerminal(paths.0), escapedForTerminal(paths.1))
    var text = "A  \(names.0)\nB  \(names.1)\n"
    text += table(difference.tensors.map { [escapedForTerminal($0.name.string), phrase($0)] })
    for line in difference.metadata {
      text += "  metadata \(escapedForTerminal(line, limit: 200))\n"
    }
    let count = counted(difference.tensors.count, "tensor")
    text +=
      difference.areEqual
      ? "equal: \(count), bit for bit\n" : "different: \(grouped(differing)) of \(count)\n"
    return text
  }

  private func phrase(_ tensor: (name: Name, outcome: FileDifference.Outcome)) -> String {
    switch tensor.outcome {
    case .onlyInFirst: return "only in A"
    case .onlyInSecond: return "only in B"
    case .shape(let one, let other): return "shape \(one) | \(other)"
    case .equal: return "equal"
    case .different(let deviation):
      var parts: [String] = []
      let (one, other) = deviation.types
      if one != other { parts.append("\(one.rawValue) | \(other.rawValue)") }
      if let index = deviation.index {
        let elements = first[tensor.name]?.elementCount ?? 0
        parts.append("\(grouped(deviation.count)) of \(counted(elements, "element")) differ")
        parts.append(
          "at most by \(short(deviation.absolute)) at \(position(index, tensor.name)),"
            + " relative \(short(deviation.relative))")
      } else {
        parts.append(
          one == other
            ? "equal values, other bits (signs of zero or payloads of NaN)" : "equal values")
      }
      return parts.joined(separator: ", ")
    }
  }

  private func position(_ index: Int, _ name: Name) -> String {
    var rest = index
    let reversed = (first[name]?.shape ?? []).reversed().map { size in
      defer { rest /= max(1, size) }
      return rest % max(1, size)
    }
    return "\(Array(reversed.reversed()))"
  }

  /// The object that `--json` prints.
  var json: JSON {
    .object([
      .init(key: "a", value: .string(paths.0)), .init(key: "b", value: .string(paths.1)),
      .init(key: "equal", value: .bool(difference.areEqual)),
      .init(key: "metadata", value: .strings(difference.metadata)),
      .init(key: "tensors", value: .array(difference.tensors.map(report))),
    ])
  }

  private func report(_ tensor: (name: Name, outcome: FileDifference.Outcome)) -> JSON {
    var members: [JSON.Member] = [.init(key: "name", value: .string(tensor.name.string))]
    func outcome(_ word: String) { members.append(.init(key: "outcome", value: .string(word))) }
    switch tensor.outcome {
    case .onlyInFirst: outcome("only_in_a")
    case .onlyInSecond: outcome("only_in_b")
    case .equal: outcome("equal")
    case .shape(let one, let other):
      outcome("shape")
      members.append(.init(key: "shapes", value: .array([.shape(one), .shape(other)])))
    case .different(let deviation):
      outcome("different")
      members += [
        .init(
          key: "dtypes", value: .strings([deviation.types.0.rawValue, deviation.types.1.rawValue])),
        .init(key: "count", value: .number(deviation.count)),
        .init(key: "max_absolute", value: .number(deviation.absolute)),
        .init(key: "max_relative", value: .number(deviation.relative)),
        .init(key: "at", value: deviation.index.map { .number($0) } ?? .null),
      ]
    }
    return .object(members)
  }
}
