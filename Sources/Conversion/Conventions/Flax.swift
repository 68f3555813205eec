import RNNEngine
import Tensors

// Flax Linen: one tensor per gate, matrices transposed (inputs, outputs); one layer, one direction.
//   SimpleCell  {cell}i.kernel (D, H)  {cell}i.bias (H)  {cell}h.kernel (H, H)
//   LSTMCell    {cell}ii if ig io .kernel (D, H)  {cell}hi hf hg ho .kernel (H, H) .bias (H)
//               (OptimizedLSTMCell has the same)
//   GRUCell     {cell}ir iz in .kernel (D, H) .bias (H)  {cell}hr hz .kernel (H, H)
//               {cell}hn.kernel (H, H) .bias (H)
//   {embedding}embedding (V, D), {head}kernel (H, C), {head}bias (C)
//
// In flax.serialization's MessagePack and in flattened dictionaries the path begins with "params".
extension Convention {
  /// The parameters of Flax Linen's `SimpleCell`, `LSTMCell`, `OptimizedLSTMCell` and `GRUCell`.
  public static let flax = Convention(
    name: "flax", summary: "Flax Linen (LSTMCell_0.ii.kernel, …)",
    candidates: { FlaxNames.candidates(in: $0) }, table: { try FlaxNames.table($0, $1) })
}

enum FlaxNames {
  static let dense = DenseNames(weights: ["kernel"], transposed: true, embeddings: ["embedding"])

  /// The tensor that only a cell of this kind has, and its other gates.
  private static let marks: [(mark: String, gates: [String], cell: Cell)] = [
    ("ii.kernel", ["ii", "if", "ig", "io", "hi", "hf", "hg", "ho"], .lstm),
    ("ir.kernel", ["ir", "iz", "in", "hr", "hz", "hn"], .gru),
    ("i.kernel", ["i", "h"], .rnnTanh),
  ]

  static func candidates(in state: StateDict) -> [Candidate] {
    var cells: [FoundCell] = []
    var own: Set<Name> = []
    for entry in state.entries {
      for (mark, gates, cell) in marks {
        guard let prefix = DenseNames.prefix(entry.name, [mark]), entry.tensor.shape.count == 2,
          state["\(prefix)\(gates[gates.count / 2]).kernel"] != nil,
          // NNX cannot have an attribute named "if"; its LSTM is another convention.
          cell != .lstm || state["\(prefix)if_.kernel"] == nil
        else { continue }
        for gate in gates { own.formUnion(["\(prefix)\(gate).kernel", "\(prefix)\(gate).bias"]) }
        cells.append(
          FoundCell(
            prefix: prefix, cell: cell, inputSize: entry.tensor.shape[0],
            hiddenSize: entry.tensor.shape[1]))
      }
    }
    return Self.stacked(cells, state, own)
  }

  /// Layers and directions, with embedding and head.
  static func stacked(
    _ cells: [FoundCell], _ state: StateDict, _ own: Set<Name>
  ) -> [Candidate] {
    let layers = DenseLayers(dense, in: state, except: own)
    let stacks = CellStacks(
      innerComponents: ["cell"], linearWidths: layers.widths)
    return stacks.candidates(cells).map { candidate in
      var candidate = layers.complete(candidate)
      candidate.known = [.gruReset]
      return candidate
    }
  }

  static func table(_ architecture: Architecture, _ naming: Naming) throws -> [StoredTensor] {
    try refuseInexpressible(architecture, "flax")
    let isFound = !naming.layers.isEmpty
    var tensors = embedding(architecture, isFound ? naming.embedding : "params.Embed_0.")
    let kind = [1: "SimpleCell", 3: "GRUCell", 4: "LSTMCell"][architecture.cell.gateNames.count]
    let cells = naming.cells(of: architecture) { layer, direction in
      "params.\(kind ?? "")_\(layer * architecture.directionCount + direction)."
    }
    for (layer, direction, prefix) in cells {
      tensors += cell(
        architecture, .recurrent(layer: layer, direction: direction), prefix,
        names: FlaxNames.gates(architecture.cell))
    }
    return tensors + head(architecture, isFound ? naming.head : "params.Dense_0.")
  }

  /// The names of the input and recurrent tensors of each gate, in PyTorch's order of gates.
  static func gates(_ cell: Cell) -> [(input: String, recurrent: String)] {
    switch cell {
    case .rnnTanh, .rnnRelu: [("i", "h")]
    case .lstm: [("ii", "hi"), ("if", "hf"), ("ig", "hg"), ("io", "ho")]
    case .gru: [("ir", "hr"), ("iz", "hz"), ("in", "hn")]
    }
  }

  /// One cell with a tensor per gate.
  static func cell(
    _ architecture: Architecture, _ part: Slot.Part, _ prefix: String,
    names: [(input: String, recurrent: String)]
  ) -> [StoredTensor] {
    var tensors: [StoredTensor] = []
    func bias(_ name: String, _ roles: [Slot.Role], _ gate: Int) {
      tensors.append(
        .vector("\(prefix)\(name).bias", part, roles, in: architecture, order: [gate]))
    }
    for (gate, name) in names.enumerated() {
      tensors.append(
        .matrix(
          "\(prefix)\(name.input).kernel", part, .weightIH, in: architecture, order: [gate],
          transposed: true))
      if architecture.cell == .gru {
        bias(name.input, gate == 2 ? [.biasIH] : [.biasIH, .biasHH], gate)
      } else if architecture.cell != .lstm {
        bias(name.input, [.biasIH, .biasHH], gate)
      }
    }
    for (gate, name) in names.enumerated() {
      tensors.append(
        .matrix(
          "\(prefix)\(name.recurrent).kernel", part, .weightHH, in: architecture, order: [gate],
          transposed: true))
      if architecture.cell == .lstm {
        bias(name.recurrent, [.biasIH, .biasHH], gate)
      } else if architecture.cell == .gru, gate == 2 {
        bias(name.recurrent, [.biasHH], gate)
      }
    }
    return tensors
  }

  static func embedding(_ architecture: Architecture, _ prefix: String) -> [StoredTensor] {
    guard architecture.embedding != nil else { return [] }
    return [.matrix("\(prefix)embedding", .embedding, .weight, in: architecture)]
  }

  static func head(_ architecture: Architecture, _ prefix: String) -> [StoredTensor] {
    guard let head = architecture.head else { return [] }
    let weight = StoredTensor.matrix(
      "\(prefix)kernel", .head, .weight, in: architecture, transposed: true)
    guard head.bias else { return [weight] }
    return [weight, .vector("\(prefix)bias", .head, [.bias], in: architecture)]
  }

  static func refuseInexpressible(_ architecture: Architecture, _ convention: String) throws {
    try Convention.refuseProjection(architecture, "Flax", convention)
    try Convention.refuseResetBefore(architecture, "Flax's GRUCell", convention)
    guard architecture.bias else {
      throw Convention.inexpressible(
        convention, "layers without biases",
        hint: "Flax's cells always have biases; give the layers biases of zeros first.")
    }
  }
}
