import RNNEngine
import Tensors

/// One cell of a framework that has no stacked layers: it is one layer in one direction.
package struct FoundCell {
  /// Before the names of its tensors, dot included.
  package var prefix: String
  package var cell: Cell
  package var inputSize: Int
  package var hiddenSize: Int
  package var bias = true
  package var projSize = 0
  /// Which spelling of the convention its names have.
  package var spelling = ""
  package var gruReset = GRUReset.after
}

/// Puts the cells of a file together into layers and directions, judging by names and sizes.
package struct CellStacks {
  /// Components at the end of a prefix that only name the cell within its layer ("cell").
  package var innerComponents: Set<String> = []
  /// What stands between the components of a name.
  package var separator: Character = "."
  /// Whether numbers at the end of names count the layers of a stack, and not just layers of one class.
  package var numbersLayers = true
  /// The widths of the linear layers in the file, which tell two layers from two directions.
  package var linearWidths: Set<Int> = []

  /// A cell with what its name says about its place.
  private struct Placed {
    var found: FoundCell
    var path: String
    var number: Int
    var direction: Int?
  }

  /// One module per stack, in file order.
  package func candidates(_ cells: [FoundCell]) -> [Candidate] {
    var order: [String] = []
    var groups: [String: [Placed]] = [:]
    // An empty tensor may claim any size; products of sizes within these bounds fit 63 bits.
    for found in cells
    where (1...1 << 28).contains(found.hiddenSize) && (1...1 << 31).contains(found.inputSize) {
      let (place, key) = placed(found)
      if groups[key] == nil { order.append(key) }
      groups[key, default: []].append(place)
    }
    return order.flatMap { stacks(groups[$0] ?? []) }
  }

  private func placed(_ found: FoundCell) -> (Placed, key: String) {
    var components = found.prefix.split(separator: separator).map(String.init)
    while let last = components.last, innerComponents.contains(last) {
      components.removeLast()
      // Of dotted names only one component is the framework's; another "cell" is a name.
      if separator == "." { break }
    }
    let path = components.joined(separator: String(separator))
    var direction: Int?
    var residue = ""
    for index in components.indices.reversed() where direction == nil {
      guard let (value, rest) = Self.direction(components[index]) else { continue }
      direction = value
      residue = rest
      components.remove(at: index)
    }
    var number = -1
    var base = residue
    if let (value, rest) = Self.number(residue) {
      (number, base) = (value, rest)
    } else if let last = components.last, let (value, rest) = Self.number(last) {
      number = value
      components[components.count - 1] = rest
    }
    let key = [
      components.joined(separator: String(separator)), base, found.cell.rawValue,
      "\(found.hiddenSize)",
      "\(found.bias)", "\(found.projSize)", found.spelling, "\(direction == nil)",
      numbersLayers ? "" : "\(number)",
    ].joined(separator: "|")
    return (Placed(found: found, path: path, number: number, direction: direction), key)
  }

  private func stacks(_ group: [Placed]) -> [Candidate] {
    // Sorting is not stable; the position in the file settles equal numbers.
    let sorted = group.enumerated().sorted {
      ($0.element.number, $0.offset) < ($1.element.number, $1.offset)
    }.map(\.element)
    let size = sorted[0].found.hiddenSize
    let widths = sorted.map(\.found.inputSize)
    if sorted[0].direction != nil {
      let pairs = Dictionary(grouping: sorted, by: \.number).sorted { $0.key < $1.key }.map {
        $0.value.sorted { ($0.direction ?? 0) < ($1.direction ?? 0) }
      }
      let fits = pairs.enumerated().allSatisfy { layer, pair in
        pair.compactMap(\.direction) == [0, 1]
          && pair[0].found.inputSize == pair[1].found.inputSize
          && (layer == 0 || pair[0].found.inputSize == 2 * size)
      }
      if fits { return [candidate(pairs)] }
      return sorted.map { candidate([[$0]]) }
    }
    if sorted.count == 1 { return [candidate([sorted])] }
    let stacked = widths.dropFirst().allSatisfy { $0 == size }
    let paired =
      sorted.count % 2 == 0 && widths[0] == widths[1]
      && widths.dropFirst(2).allSatisfy { $0 == 2 * size }
    let prefersPairs = !stacked || (linearWidths.contains(2 * size) && !linearWidths.contains(size))
    if paired && prefersPairs {
      let layers = stride(from: 0, to: sorted.count, by: 2).map { [sorted[$0], sorted[$0 + 1]] }
      return [candidate(layers)]
    }
    return stacked ? [candidate(sorted.map { [$0] })] : sorted.map { candidate([[$0]]) }
  }

  private func candidate(_ layers: [[Placed]]) -> Candidate {
    let first = layers[0][0]
    let shared = sharedPath(layers.joined().map(\.path))
    var candidate = Candidate(
      kind: .recurrent, name: moduleName(roots.contains(shared) ? lonePath(first) : shared),
      architecture: Architecture(
        cell: first.found.cell, inputSize: first.found.inputSize,
        hiddenSize: first.found.hiddenSize, layerCount: layers.count,
        bidirectional: layers[0].count == 2, bias: first.found.bias,
        projSize: first.found.projSize, gruReset: first.found.gruReset),
      naming: Naming(
        recurrent: first.path.isEmpty ? "" : first.path + ".",
        layers: layers.map { $0.map(\.found.prefix) }))
    candidate.naming.spelling = first.found.spelling
    if layers.count * layers[0].count > 1 {
      candidate.assumptions = [
        .stack(
          module: candidate.name, layers: layers.joined().map(\.path),
          isBidirectional: layers[0].count == 2)
      ]
    }
    return candidate
  }

  /// The components that all cells of a stack share.
  private func sharedPath(_ paths: [String]) -> String {
    let split = paths.map { $0.split(separator: separator) }
    guard let first = split.first else { return "" }
    let count = first.indices.prefix { index in
      split.allSatisfy { index < $0.count && $0[index] == first[index] }
    }.count
    return first.prefix(count).joined(separator: String(separator))
  }

  /// The path of a stack whose cells share none: two directions at the root ("forward", "backward") have no name.
  private func lonePath(_ first: Placed) -> String {
    guard let direction = Self.direction(first.path), direction.rest.isEmpty else {
      return first.path
    }
    return ""
  }

  /// Paths that are the framework's and no module's name.
  private var roots: Set<String> { separator == "/" ? ["", "layers"] : ["", "params"] }

  /// A path as the name of a module: without what the framework puts around every path.
  private func moduleName(_ path: String) -> String {
    var components = path.split(separator: separator).map(String.init)
    // A cell at the root of a Linen file ("params.cell") has no name of its own.
    if components.count > 1 || separator == ".", let first = components.first, roots.contains(first)
    {
      components.removeFirst()
    }
    return components.joined(separator: ".")
  }

  /// The direction that a component names, and the rest of it.
  private static func direction(_ component: String) -> (Int, rest: String)? {
    let words: [(String, Int)] = [
      ("forward", 0), ("backward", 1), ("reverse", 1), ("fwd", 0), ("bwd", 1),
    ]
    if component == "fw" { return (0, "") }
    if component == "bw" { return (1, "") }
    for (word, value) in words {
      guard let start = component.place(of: word) else { continue }
      return (value, String(component[..<start.lowerBound] + component[start.upperBound...]))
    }
    return nil
  }

  /// The digits at the end of a component, and what stands before them.
  private static func number(_ component: String) -> (Int, rest: String)? {
    let digits = component.reversed().prefix { $0.isASCII && $0.isNumber }.count
    guard digits > 0, let value = Int(component.suffix(digits)) else { return nil }
    let rest = component.dropLast(digits)
    return (value, String(rest.last == "_" ? rest.dropLast() : rest))
  }
}

extension String {
  /// The first place where a word stands.
  fileprivate func place(of word: String) -> Range<String.Index>? {
    var start = startIndex
    while start < endIndex {
      if self[start...].hasPrefix(word) {
        return start..<index(start, offsetBy: word.count)
      }
      start = index(after: start)
    }
    return nil
  }
}
