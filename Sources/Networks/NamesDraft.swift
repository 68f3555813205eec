import Containers
import Frameworks
import RNNEngine
import Tensors

/// A draft of a names file for tensors whose shapes look like modules under names that nobody knows.
///
/// It is a suggestion for a person to check: shapes tell neither tanh from relu nor the order of gates. What is a guess
/// stands in `"assumed"`, and whoever reads weights through the draft is told of it until a person takes it out.
package struct NamesDraft: Sendable {
  /// One module that shapes suggest.
  package struct Entry: Sendable {
    /// A name made from what its tensors' names share.
    package let name: String
    /// The cell; `nil` for an embedding or a linear layer.
    package let cell: Cell?
    /// What it is.
    package let kind: ModuleKind
    /// Whether matrices are (gates × H, inputs).
    package let isRows: Bool
    /// Tensors by the keys of a names file.
    package let tensors: [(key: String, name: Name)]
    /// `gru, input 4, hidden 6`.
    package let summary: String
    /// The keys of the entry that neither shapes nor names settle.
    package let assumed: [String]
  }

  /// The modules that shapes suggest, recurrent ones first.
  package let entries: [Entry]

  /// Looks at the tensors of a file that no known module claims.
  package init(_ state: StateDict, among names: [Name]) {
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
  package var json: JSON {
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
            if !entry.assumed.isEmpty {
              members.append(
                .init(key: "assumed", value: .array(entry.assumed.map { .string($0) })))
            }
            return .init(key: entry.name, value: .object(members))
          })),
    ])
  }

  /// Two matrices that can be input and recurrent weights.
  private struct Pair {
    let input: Name
    let hidden: Name
    let isRows: Bool
    let cell: Cell
    /// D, H and the outputs of all gates.
    let sizes: (inputs: Int, hidden: Int, height: Int)
    /// 3 where the names say which is which and nothing else differs in them, 2 where they say it, 1 where the matrices
    /// only stand next to each other.
    let certainty: Int
  }

  /// Beyond this many matrices only neighbours are looked at.
  private static let largestSearch = 400

  /// The most certain pair of matrices, with the vectors that fit.
  private static func recurrent(_ state: StateDict, _ names: [Name]) -> Entry? {
    let matrices = names.indices.filter { state[names[$0]]?.shape.count == 2 }
    var best: Pair?
    for position in matrices {
      let others =
        matrices.count <= largestSearch
        ? matrices : [position - 1, position + 1].filter(matrices.contains)
      for other in others where other != position {
        for isRows in [true, false] {
          guard let pair = pair(state, names, other, position, isRows) else { continue }
          if pair.certainty > best?.certainty ?? 0 { best = pair }
        }
      }
      if best?.certainty == 3 { break }
    }
    return best.map { entry($0, state, names) }
  }

  private static func pair(
    _ state: StateDict, _ names: [Name], _ input: Int, _ hidden: Int, _ isRows: Bool
  ) -> Pair? {
    guard let own = state[names[hidden]]?.shape, let other = state[names[input]]?.shape else {
      return nil
    }
    let (height, size) = isRows ? (own[0], own[1]) : (own[1], own[0])
    let (same, inputs) = isRows ? (other[0], other[1]) : (other[1], other[0])
    guard size > 1, height % size == 0, same == height,
      let cell = [4: Cell.lstm, 3: .gru, 1: .rnnTanh][height / size]
    else { return nil }
    let words = DraftWords.compare(names[input], names[hidden])
    let isNear = abs(input - hidden) == 1
    let certainty: Int
    switch words.isInputFirst {
    case true? where words.isAllElseEqual: certainty = 3
    case true? where isNear: certainty = 2
    // Of equal shapes the first one is the input, as everybody writes them.
    case nil where isNear && (inputs != size || input < hidden): certainty = 1
    default: return nil
    }
    return Pair(
      input: names[input], hidden: names[hidden], isRows: isRows, cell: cell,
      sizes: (inputs, size, height), certainty: certainty)
  }

  private static func entry(_ pair: Pair, _ state: StateDict, _ names: [Name]) -> Entry {
    let (inputs, hidden, height) = pair.sizes
    let fitting = names.filter { candidate in
      guard let shape = state[candidate]?.shape else { return false }
      return shape.filter { $0 != 1 } == [height] && shape.count <= 2
    }
    let sharing = fitting.filter { shares($0, pair.hidden) }
    // The only vectors that fit belong to the matrices even under other first words.
    var vectors = sharing.isEmpty && fitting.count <= 2 ? fitting : sharing
    let numbered = vectors.filter { DraftWords.numbers($0) == DraftWords.numbers(pair.hidden) }
    if !numbered.isEmpty { vectors = numbered }
    var assumed = [pair.cell.gateNames.count > 1 ? "gates" : "cell"]
    if pair.cell.gateNames.count == 1, inputs == hidden { assumed.append("orientation") }
    if pair.certainty < 3 { assumed += ["weight_ih", "weight_hh"] }
    var tensors: [(key: String, name: Name)] = [
      ("weight_ih", pair.input), ("weight_hh", pair.hidden),
    ]
    switch vectors.count {
    case 0: break
    case 1: tensors.append(("bias", vectors[0]))
    default:
      let words = DraftWords.compare(vectors[0], vectors[1])
      let sorted = words.isInputFirst == false ? [vectors[1], vectors[0]] : vectors
      tensors += [("bias_ih", sorted[0]), ("bias_hh", sorted[1])]
      if words.isInputFirst == nil || vectors.count > 2 { assumed.append("bias_ih") }
    }
    return Entry(
      name: common(tensors.map(\.name.string)) ?? "rnn", cell: pair.cell, kind: .recurrent,
      isRows: pair.isRows, tensors: tensors,
      summary: "\(pair.cell.rawValue), input \(inputs), hidden \(hidden)", assumed: assumed)
  }

  private static func dense(_ state: StateDict, _ names: [Name]) -> [Entry] {
    names.compactMap { name in
      guard let shape = state[name]?.shape, shape.count == 2 else { return nil }
      func bias(_ count: Int) -> Name? {
        names.first { state[$0]?.shape == [count] && shares($0, name) }
      }
      let isRows = bias(shape[0]) != nil || bias(shape[1]) == nil
      let bias = bias(isRows ? shape[0] : shape[1])
      let isEmbedding = EmbeddingNames.suggest(name.string) && bias == nil
      var assumed: [String] = []
      if bias == nil { assumed.append("kind") }
      if !isEmbedding, bias == nil || shape[0] == shape[1] { assumed.append("orientation") }
      let (outputs, inputs) = isRows ? (shape[0], shape[1]) : (shape[1], shape[0])
      return Entry(
        name: common([name.string, bias?.string].compactMap { $0 }) ?? name.string, cell: nil,
        kind: isEmbedding ? .embedding : .linear, isRows: isRows,
        tensors: [("weight", name)] + (bias.map { [("bias", $0)] } ?? []),
        summary: isEmbedding
          ? "embedding \(shape[0]), \(shape[1]) features" : "linear \(inputs) -> \(outputs)",
        assumed: assumed)
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

/// The words by which people tell what multiplies the input from what multiplies the state.
private enum DraftWords {
  private static let recurrent: Set<String> = [
    "hh", "h2h", "recurrent", "rec", "rkernel", "rk", "u", "wh", "whh", "hidden", "h", "r", "state",
    "bh", "bhh", "bu", "uh", "wr", "rw", "rb",
  ]
  private static let input: Set<String> = [
    "ih", "i2h", "x2h", "xh", "input", "in", "x", "wx", "wxh", "wih", "w", "kernel", "i", "k", "wi",
    "bx", "bw", "bi", "bih", "bxh", "inp", "inputs",
  ]

  /// Whether the first of two names is that of the input, as far as words say it, and whether they differ in nothing else.
  static func compare(_ one: Name, _ other: Name) -> (isInputFirst: Bool?, isAllElseEqual: Bool) {
    let (first, second) = (words(one.string), words(other.string))
    let own = [first.subtracting(second), second.subtracting(first)]
    let isEqual = own.allSatisfy { $0.count <= 1 } && numbers(one) == numbers(other)
    let isRecurrent = own.map { !$0.isDisjoint(with: recurrent) }
    if isRecurrent[0] != isRecurrent[1] { return (isRecurrent[1], isEqual) }
    let isInput = own.map { !$0.isDisjoint(with: input) }
    // One word for the input and an unknown one beside it settle nothing (q, k, v, o).
    if isInput[0] != isInput[1] { return (isInput[0], false) }
    return (nil, isEqual)
  }

  /// The numbers of layers in a name.
  static func numbers(_ name: Name) -> [String] {
    let plain = ["h2h", "i2h", "x2h"].reduce(name.string.lowercased()) { text, word in
      text.split(separator: word, omittingEmptySubsequences: false).joined(separator: " ")
    }
    return plain.split { !$0.isNumber }.map(String.init)
  }

  /// The words of a name, without the numbers of layers.
  private static func words(_ name: String) -> Set<String> {
    let pieces = name.lowercased().split { !$0.isLetter && !$0.isNumber }
    return Set(
      pieces.map { piece in
        // `h2h` keeps its number, `w1` does not.
        var word = piece
        while let last = word.last, last.isNumber { word = word.dropLast() }
        return String(word)
      }.filter { !$0.isEmpty && $0 != "l" })
  }
}
