import RNNEngine
import Tensors

extension TensorTemplate {
  /// What a tensor's name says about its place, if it is this template's: `encoder.rnn.weight_hh_l1_reverse`.
  ///
  /// A name that begins with a module's ends that at a dot.
  package func matched(_ text: String, _ layout: ModuleLayout) -> (
    prefix: String, layer: Int, direction: Int
  )? {
    var rest = text[...]
    var layer = 0
    var direction = 0
    var hasPrefix = false
    for token in tokens.reversed() {
      switch token {
      case .literal(let word):
        guard rest.hasSuffix(word) else { return nil }
        rest = rest.dropLast(word.count)
      case .word("layer"):
        let digits = rest.reversed().prefix { $0.isASCII && $0.isNumber }.count
        let number = rest.suffix(digits)
        guard digits > 0, let value = Int(number), digits == 1 || number.first != "0" else {
          return nil
        }
        layer = value
        rest = rest.dropLast(digits)
      case .word("direction"):
        let words = layout.directions.enumerated().sorted { $0.element.count > $1.element.count }
        guard let (index, word) = words.first(where: { rest.hasSuffix($0.element) }) else {
          return nil
        }
        direction = index
        rest = rest.dropLast(word.count)
      case .word("gate"):
        // The first gate finds the module; its siblings are looked up by name.
        guard let word = gateWords.first, rest.hasSuffix(word) else { return nil }
        rest = rest.dropLast(word.count)
      case .word: hasPrefix = true
      }
    }
    guard rest.isEmpty || (hasPrefix && rest.last == ".") else { return nil }
    return (String(rest), layer, direction)
  }

  package static func tokens(_ name: String) -> [Token] {
    var result: [Token] = []
    var rest = name[...]
    while let open = rest.firstIndex(of: "{") {
      if open > rest.startIndex { result.append(.literal(String(rest[..<open]))) }
      guard let close = rest[open...].firstIndex(of: "}") else { break }
      result.append(.word(String(rest[rest.index(after: open)..<close])))
      rest = rest[rest.index(after: close)...]
    }
    if !rest.isEmpty { result.append(.literal(String(rest))) }
    return result
  }

  /// H and the columns (inputs or state; both together where they stand above each other) of a stored matrix.
  func matrixSizes(_ shape: [Int], _ cell: Cell, _ role: Slot.Role) -> (Int, Int)? {
    let all = cell.gateNames.count
    let gates = isPerGate ? 1 : bands.first { $0.roles == [role] }?.gates?.count ?? all
    let rank = if case .directions = arrangement { 3 } else { 2 }
    guard shape.count == rank else { return nil }
    if rank == 3, !(1...2).contains(shape[0]) { return nil }
    let isColumns =
      switch arrangement {
      case .columns, .columnsAbove: true
      default: false
      }
    let (height, columns) =
      isColumns ? (shape[1], shape[0]) : (shape[rank - 2], shape[rank - 1])
    guard gates > 0, height > 0, height % gates == 0 else { return nil }
    if isPerGate, gateWords.count != all { return nil }
    // A square block tells the number of gates; a joined matrix says it only by its name.
    return (height / gates, columns)
  }
}
