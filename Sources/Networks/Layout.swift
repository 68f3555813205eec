import RNNEngine
import Tensors

/// How a convention stores one kind of module: a table of name templates.
///
/// Decoding, encoding, recognition and the printed plan are all derived from it.
package struct ModuleLayout: Sendable {
  /// What kind of module it describes.
  package var kind: ModuleKind
  /// The cells that have this layout; empty for embeddings and linear layers.
  package var cells: [Cell]
  /// The form of a GRU that has this layout; `nil` where the tensors are the same for both.
  package var gruReset: GRUReset?
  /// The templates of its tensors. The first holds the input weights (or the matrix), by which modules
  /// are found.
  package var tensors: [TensorTemplate]
  /// The words that stand for the directions, forward first; one word for layouts of a single direction.
  package var directions: [String]
  /// Whether the names number the layers; where they do not, each layer is a module of its own file-wise and
  /// layers are put together by ``Naming/layers``.
  package var numbersLayers: Bool
  /// Which spelling this is, of a convention that has several.
  package var spelling: String

  /// Describes a layout.
  package init(
    kind: ModuleKind, cells: [Cell] = [], gruReset: GRUReset? = nil,
    directions: [String] = [""],
    numbersLayers: Bool = false, spelling: String = "", tensors: [TensorTemplate]
  ) {
    self.kind = kind
    self.cells = cells
    self.gruReset = gruReset
    self.tensors = tensors
    self.directions = directions
    self.numbersLayers = numbersLayers
    self.spelling = spelling
  }
}

/// One row of a layout: the name of a tensor, and what stands in it.
package struct TensorTemplate: Sendable {
  /// Blocks of one or several roles for some gates, next to each other along the gates' axis.
  package struct Band: Sendable {
    /// The roles whose sum is stored.
    package var roles: [Slot.Role]
    /// The gates in stored order, as PyTorch numbers them; `nil` for all in PyTorch's order.
    package var gates: [Int]?
    /// What the framework adds to a gate when it runs.
    package var addends: [Int: Double]

    /// Describes a band.
    package init(_ roles: [Slot.Role], gates: [Int]? = nil, addends: [Int: Double] = [:]) {
      self.roles = roles
      self.gates = gates
      self.addends = addends
    }
  }

  /// How matrices lie, and how bands follow one another.
  package enum Arrangement: Sendable {
    /// (gates × outputs, inputs), as PyTorch; bands of vectors end to end.
    case rows
    /// (inputs, gates × outputs), as row-vector code.
    case columns
    /// As `columns`, with the bands above each other: (all inputs, gates × outputs).
    case columnsAbove
    /// Vectors as the rows of a matrix: (bands, gates × outputs).
    case bandRows
    /// A vector as (1, n).
    case singleRow
    /// Both directions in one tensor, as ONNX: (directions, bands × gates × outputs[, inputs]).
    case directions
  }

  /// When the tensor is there.
  package enum Condition: Sendable { case always, bias, projection }

  /// The name: text with `{name}` (before the name of a module, dot included), `{part}` (of a layer and
  /// direction), `{layer}`, `{direction}` and `{gate}`.
  package let name: String
  /// What stands in it.
  package var bands: [Band]
  /// How.
  package var arrangement: Arrangement
  /// When.
  package var condition: Condition
  /// The words for `{gate}`, in PyTorch's order of gates; a tensor for each.
  package var gateWords: [String]
  /// The name in pieces, for comparing it with names of files.
  package let tokens: [Token]

  /// A piece of a template.
  package enum Token: Sendable {
    case literal(String)
    case word(String)
  }

  /// Describes a tensor.
  package init(
    _ name: String, _ bands: [Band], _ arrangement: Arrangement = .rows,
    when condition: Condition = .always, gateWords: [String] = []
  ) {
    self.name = name
    tokens = Self.tokens(name)
    self.bands = bands
    self.arrangement = arrangement
    self.condition = condition
    self.gateWords = gateWords
  }

  package var isPerGate: Bool { !gateWords.isEmpty }
  package var isMatrix: Bool {
    bands.contains { band in
      band.roles.contains { [.weightIH, .weightHH, .weightHR, .weight].contains($0) }
    }
  }
}

// MARK: From an architecture to tensors

extension ModuleLayout {
  /// Whether the layout can hold the recurrent layers of an architecture.
  package func holds(_ architecture: Architecture) -> Bool {
    guard cells.contains(where: { $0.gateNames.count == architecture.cell.gateNames.count }) else {
      return false
    }
    guard let gruReset, architecture.cell == .gru else { return true }
    return gruReset == architecture.gruReset
  }

  /// The stored tensors of recurrent layers; `part` gives what `{name}` and `{part}` stand for.
  package func recurrentTensors(
    of architecture: Architecture, name: String,
    part: (_ layer: Int, _ direction: Int) -> String
  ) -> [StoredTensor] {
    var result: [StoredTensor] = []
    for layer in 0..<architecture.layerCount {
      for direction in 0..<architecture.directionCount {
        for template in tensors where template.applies(to: architecture) {
          if case .directions = template.arrangement, direction > 0 { continue }
          // A table may have a tensor for some gates only, as the bias of Linen's hn.
          let words: [Int?] =
            template.isPerGate
            ? template.gateWords.indices.filter { gate in
              template.bands.contains { $0.gates?.contains(gate) ?? true }
            } : [nil]
          for gate in words {
            let text = template.text(
              name: name, part: part(layer, direction), layer: layer,
              direction: direction < directions.count ? directions[direction] : "", gate: gate)
            result.append(
              template.stored(
                Name(text), .recurrent(layer: layer, direction: direction), gate, architecture))
          }
        }
      }
    }
    return result
  }

  /// The stored tensors of an embedding or a linear layer.
  package func denseTensors(of architecture: Architecture, part: Slot.Part, prefix: String)
    -> [StoredTensor]
  {
    let hasBias = architecture.head?.bias ?? false
    return tensors.filter { $0.condition == .always || (part == .head && hasBias) }.map {
      $0.stored($0.name(at: prefix), part, nil, architecture)
    }
  }
}

extension TensorTemplate {
  fileprivate func applies(to architecture: Architecture) -> Bool {
    switch condition {
    case .always: true
    case .bias: architecture.bias
    case .projection: architecture.projSize > 0
    }
  }

  /// The name in a module that is found at a prefix: of a matrix, or of a layer that names do not number.
  package func name(at prefix: String, direction: String = "", gate: Int? = nil) -> Name {
    Name(text(name: prefix, part: prefix, layer: 0, direction: direction, gate: gate))
  }

  /// The name for one layer, direction and gate. A part may hold the places `#` and `*` of Keras's variables, which
  /// the template fills by `{part:0:kernel}`.
  package func text(name: String, part: String, layer: Int, direction: String, gate: Int?) -> String
  {
    var result = ""
    var rest = self.name[...]
    while let open = rest.firstIndex(of: "{") {
      result += rest[..<open]
      guard let close = rest[open...].firstIndex(of: "}") else { break }
      let word = rest[rest.index(after: open)..<close]
      switch word {
      case "name": result += name
      case "part": result += part
      case "layer": result += String(layer)
      case "direction": result += direction
      case "gate": result += gate.map { gateWords[$0] } ?? ""
      default:
        // {part:0:kernel}
        let pieces = word.split(separator: ":")
        if pieces.count == 3, pieces[0] == "part" {
          for character in part {
            switch character {
            case "#": result += pieces[1]
            case "*": result += pieces[2]
            default: result.append(character)
            }
          }
        }
      }
      rest = rest[rest.index(after: close)...]
    }
    return result + rest
  }

  /// The tensor, with every block in its place.
  fileprivate func stored(
    _ name: Name, _ part: Slot.Part, _ gate: Int?, _ architecture: Architecture
  ) -> StoredTensor {
    let all = Self.gates(part, bands[0].roles[0], architecture)
    func gates(_ band: Band) -> [Int] {
      if let gate { return band.gates.map { $0.contains(gate) ? [gate] : [] } ?? [gate] }
      // A band for other gates than the cell's is for the cells that have them.
      return (band.gates ?? all).filter { all.contains($0) }
    }
    if case .directions = arrangement {
      return together(name, part, architecture, gates)
    }
    let rows = Slot(part: part, role: bands[0].roles[0], gate: 0).size(in: architecture).rows
    let counts = bands.map { gates($0).count }
    let isAbove = if case .columnsAbove = arrangement { true } else { false }
    let isColumns = if case .columns = arrangement { true } else { isAbove }
    let width = (isAbove ? counts[0] : counts.reduce(0, +)) * rows
    var placements: [Placement] = []
    var position = 0
    var inputs = 0
    var columns = 1
    for (index, band) in bands.enumerated() {
      columns = Slot(part: part, role: band.roles[0], gate: 0).size(in: architecture).columns
      if isAbove { position = 0 }
      for gate in gates(band) {
        let offset =
          isAbove
          ? inputs * width + position * rows
          : isColumns ? position * rows : position * rows * columns
        placements.append(
          Placement(
            slots: band.roles.map { Slot(part: part, role: $0, gate: gate) }, offset: offset,
            rowStride: isMatrix ? (isColumns ? 1 : columns) : 1,
            columnStride: isMatrix ? (isColumns ? width : 1) : 1,
            addend: band.addends[gate] ?? 0))
        position += 1
      }
      if index < bands.count { inputs += columns }
    }
    let shape: [Int]
    switch arrangement {
    case .rows, .directions: shape = isMatrix ? [width, columns] : [width]
    case .columns: shape = isMatrix ? [columns, width] : [width]
    case .columnsAbove: shape = [inputs, width]
    case .bandRows: shape = [bands.count, width / bands.count]
    case .singleRow: shape = [1, width]
    }
    return StoredTensor(name: name, shape: shape, placements: placements)
  }

  private func together(
    _ name: Name, _ part: Slot.Part, _ architecture: Architecture, _ gates: (Band) -> [Int]
  ) -> StoredTensor {
    guard case .recurrent(let layer, _) = part else {
      return StoredTensor(name: name, shape: [], placements: [])
    }
    let (rows, columns) = Slot(part: part, role: bands[0].roles[0], gate: 0).size(in: architecture)
    var placements: [Placement] = []
    for direction in 0..<architecture.directionCount {
      for band in bands {
        for gate in gates(band) {
          let own = Slot.Part.recurrent(layer: layer, direction: direction)
          placements.append(
            Placement(
              slots: band.roles.map { Slot(part: own, role: $0, gate: gate) },
              offset: placements.count * rows * columns, rowStride: columns, columnStride: 1))
        }
      }
    }
    let directions = architecture.directionCount
    let height = placements.count / max(1, directions) * rows
    return StoredTensor(
      name: name, shape: isMatrix ? [directions, height, columns] : [directions, height],
      placements: placements)
  }

  private static func gates(_ part: Slot.Part, _ role: Slot.Role, _ architecture: Architecture)
    -> [Int]
  {
    guard case .recurrent = part, role != .weightHR else { return [0] }
    return Array(architecture.cell.gateNames.indices)
  }
}
