import CommandSupport
import Recurrent

/// What is said about two files.
struct DifferenceReport {
  private let paths: (String, String)
  private let difference: FileDifference
  private let first: StateDict
  /// Where the gates of the first file's tensors lie, as far as its modules are known.
  private let stored: [Name: (stored: StoredTensor, architecture: Architecture)]

  init(_ path: String, _ other: String, _ difference: FileDifference, _ first: StateDict) {
    paths = (path, other)
    self.difference = difference
    self.first = first
    stored = (try? ModuleList(first))?.storedTensors ?? [:]
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
      return words(
        deviation, elements: first[tensor.name]?.elementCount ?? 0,
        at: place(deviation, tensor.name))
    }
  }

  private func place(_ deviation: FileDifference.Deviation, _ name: Name) -> ElementPlace? {
    deviation.index.map {
      ElementPlace(
        offset: $0, shape: first[name]?.shape ?? [], stored: stored[name]?.stored,
        in: stored[name]?.architecture)
    }
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
      members += deviation.members(
        elements: first[tensor.name]?.elementCount ?? 0, at: place(deviation, tensor.name))
      members.append(.init(key: "at", value: deviation.index.map { .number($0) } ?? .null))
    }
    return .object(members)
  }
}
