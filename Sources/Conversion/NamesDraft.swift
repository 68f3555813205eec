import RNNEngine
import Tensors
import WeightFormats

/// A draft of a names file for tensors whose shapes look like modules under names that nobody knows.
///
/// It is a suggestion for a person to check: shapes tell neither tanh from relu nor the order of gates.
public struct NamesDraft: Sendable {
  /// One module that shapes suggest.
  public struct Entry: Sendable {
    /// A name made from what its tensors' names share.
    public let name: String
    /// The cell; `nil` for an embedding or a linear layer.
    public let cell: Cell?
    /// What it is.
    public let kind: Structure.Kind
    /// Whether matrices are (gates × H, inputs).
    public let isRows: Bool
    /// Tensors by the keys of a names file.
    public let tensors: [(key: String, name: Name)]
    /// `gru, input 4, hidden 6`.
    public let summary: String
  }

  /// The modules that shapes suggest, recurrent ones first.
  public let entries: [Entry]

  /// Looks at the tensors of a file that no known module claims.
  public init(_ state: StateDict, among names: [Name]) {
    var left = names.filter { state[$0]?.dtype.isFloatingPoint == true }
    guard left.count <= 20_000 else {
      entries = []
      return
    }
    var found: [Entry] = []
    while let next = Self.recurrent(state, left) {
      let own = Set(next.tensors.map(\.name))
      left.removeAll(where: own.contains)
      found.append(next)
      if found.count == 64 { break }
    }
    found += Self.dense(state, left)
    entries = found
  }

  /// The JSON of the draft; `null` when nothing looks like a recurrent module.
  public var json: JSON {
    guard entries.contains(where: { $0.cell != nil }) else { return .null }
    return .object([
      .init(key: "schema", value: .number(1)),
      .init(
        key: "modules",
        value: .object(
          entries.map { entry in
            var members: [JSON.Member] = []
            if let cell = entry.cell {
              members.append(.init(key: "cell", value: .string(cell.rawValue)))
              if cell.gateNames.count > 1 {
                members.append(
                  .init(key: "gates", value: .string(cell.gateNames.joined(separator: " "))))
              }
            } else {
              members.append(.init(key: "kind", value: .string(entry.kind.rawValue)))
            }
            if entry.kind != .embedding {
              members.append(
                .init(key: "orientation", value: .string(entry.isRows ? "rows" : "columns")))
            }
            members.append(
              .init(
                key: "tensors",
                value: .object(
                  entry.tensors.map { .init(key: $0.key, value: .string($0.name.string)) })))
            return .init(key: entry.name, value: .object(members))
          })),
    ])
  }

  /// The first pair of matrices that can be input and recurrent weights, with the vectors that fit.
  private static func recurrent(_ state: StateDict, _ names: [Name]) -> Entry? {
    for (position, name) in names.enumerated() {
      guard let shape = state[name]?.shape, shape.count == 2 else { continue }
      for isRows in [true, false] {
        let (height, hidden) = isRows ? (shape[0], shape[1]) : (shape[1], shape[0])
        guard hidden > 1, height % hidden == 0,
          let cell = [4: Cell.lstm, 3: .gru, 1: .rnnTanh][height / hidden]
        else { continue }
        // The input weights stand next to the recurrent ones, before them if there is a choice.
        let near = [position - 1, position + 1].filter(names.indices.contains)
        guard
          let input = near.first(where: { index in
            guard let other = state[names[index]]?.shape, other.count == 2 else { return false }
            return (isRows ? other[0] : other[1]) == height
          }).map({ names[$0] }), let other = state[input]?.shape
        else { continue }
        let inputs = isRows ? other[1] : other[0]
        let vectors = names.filter { candidate in
          guard let shape = state[candidate]?.shape else { return false }
          return shape.filter { $0 != 1 } == [height] && shape.count <= 2
            && shares(candidate, name)
        }
        var tensors: [(key: String, name: Name)] = [("weight_ih", input), ("weight_hh", name)]
        switch vectors.count {
        case 0: break
        case 1: tensors.append(("bias", vectors[0]))
        default: tensors += [("bias_ih", vectors[0]), ("bias_hh", vectors[1])]
        }
        return Entry(
          name: common(tensors.map(\.name.string)) ?? "rnn", cell: cell, kind: .recurrent,
          isRows: isRows, tensors: tensors,
          summary: "\(cell.rawValue), input \(inputs), hidden \(hidden)")
      }
    }
    return nil
  }

  private static func dense(_ state: StateDict, _ names: [Name]) -> [Entry] {
    names.compactMap { name in
      guard let shape = state[name]?.shape, shape.count == 2 else { return nil }
      let isTable = EmbeddingNames.suggest(name.string)
      let bias = names.first { candidate in
        state[candidate]?.shape == [shape[0]] && shares(candidate, name)
      }
      let isEmbedding = isTable && bias == nil
      return Entry(
        name: common([name.string, bias?.string].compactMap { $0 }) ?? name.string, cell: nil,
        kind: isEmbedding ? .embedding : .linear, isRows: true,
        tensors: [("weight", name)] + (bias.map { [("bias", $0)] } ?? []),
        summary: isEmbedding
          ? "embedding \(shape[0]), \(shape[1]) features" : "linear \(shape[1]) -> \(shape[0])")
    }
  }

  /// Whether two names begin alike, up to a separator.
  private static func shares(_ one: Name, _ other: Name) -> Bool {
    func head(_ name: Name) -> Substring {
      name.string.prefix { !"._/|".contains($0) }
    }
    return head(one) == head(other) || !one.string.contains { "._/|".contains($0) }
  }

  /// What names share at their beginning, without the separator; `nil` for nothing.
  private static func common(_ names: [String]) -> String? {
    guard let first = names.first else { return nil }
    var prefix = first[...]
    for name in names.dropFirst() {
      while !name.hasPrefix(prefix) { prefix = prefix.dropLast() }
    }
    while let last = prefix.last, "._/|:".contains(last) { prefix = prefix.dropLast() }
    return prefix.isEmpty ? nil : String(prefix)
  }
}
