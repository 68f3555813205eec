import RNNEngine
import Tensors

// Burn: two linear layers per gate, matrices transposed (inputs, outputs); one layer.
//   Lstm  {cell}{input,forget,cell,output}_gate.{input,hidden}_transform.{weight,bias}
//   Gru   {cell}{reset,update,new}_gate.…
//   Rnn   {cell}gate.…
//   BiLstm, BiGru, BiRnn  {layer}forward.…, {layer}reverse.…
//   {embedding}weight (V, D), {head}weight (H, C), {head}bias (C)
//
// Burn's safetensors store reads and writes these names.
extension Convention {
  /// The parameters of Burn's `Rnn`, `Lstm` and `Gru`.
  public static let burn = Convention(
    name: "burn", summary: "Burn (input_gate.input_transform.weight, …)",
    candidates: { BurnNames.candidates(in: $0) }, table: { try BurnNames.table($0, $1) })
}

private enum BurnNames {
  static let dense = DenseNames(weights: ["weight"], transposed: true, embeddings: nil)

  static func gates(_ cell: Cell) -> [String] {
    switch cell {
    case .rnnTanh, .rnnRelu: ["gate"]
    case .lstm: ["input_gate", "forget_gate", "cell_gate", "output_gate"]
    case .gru: ["reset_gate", "update_gate", "new_gate"]
    }
  }

  static func candidates(in state: StateDict) -> [Candidate] {
    var cells: [FoundCell] = []
    var own: Set<Name> = []
    for entry in state.entries where entry.tensor.shape.count == 2 {
      for cell in [Cell.lstm, .gru, .rnnTanh] {
        let gates = gates(cell)
        guard
          let prefix = DenseNames.prefix(entry.name, ["\(gates[0]).input_transform.weight"])
        else { continue }
        for gate in gates {
          for transform in ["input_transform", "hidden_transform"] {
            own.formUnion(
              ["weight", "bias"].map { Name("\(prefix)\(gate).\(transform).\($0)") })
          }
        }
        cells.append(
          FoundCell(
            prefix: prefix, cell: cell, inputSize: entry.tensor.shape[0],
            hiddenSize: entry.tensor.shape[1],
            bias: state["\(prefix)\(gates[0]).input_transform.bias"] != nil))
      }
    }
    let layers = DenseLayers(dense, in: state, except: own)
    let stacks = CellStacks(linearWidths: layers.widths)
    return stacks.candidates(cells).map { layers.complete($0) }
  }

  static func table(_ architecture: Architecture, _ naming: Naming) throws -> [StoredTensor] {
    try Convention.refuseProjection(architecture, "Burn", "burn")
    var tensors: [StoredTensor] = []
    if architecture.embedding != nil {
      tensors.append(.matrix("\(naming.embedding)weight", .embedding, .weight, in: architecture))
    }
    let kind = ["rnn.", "gru.", "lstm."][max(0, architecture.cell.gateNames.count - 2)]
    let base = naming.recurrent.isEmpty ? kind : naming.recurrent
    let cells = naming.cells(of: architecture) { layer, direction in
      base + (architecture.layerCount > 1 ? "\(layer)." : "")
        + (architecture.bidirectional ? ["forward.", "reverse."][direction] : "")
    }
    for (layer, direction, prefix) in cells {
      let part = Slot.Part.recurrent(layer: layer, direction: direction)
      for (gate, name) in gates(architecture.cell).enumerated() {
        let roles: [(String, Slot.Role, Slot.Role)] = [
          ("input_transform", .weightIH, .biasIH), ("hidden_transform", .weightHH, .biasHH),
        ]
        for (transform, weight, bias) in roles {
          let path = "\(prefix)\(name).\(transform)."
          tensors.append(
            .matrix(
              "\(path)weight", part, weight, in: architecture, order: [gate], transposed: true))
          if architecture.bias {
            tensors.append(.vector("\(path)bias", part, [bias], in: architecture, order: [gate]))
          }
        }
      }
    }
    if let head = architecture.head {
      tensors.append(
        .matrix("\(naming.head)weight", .head, .weight, in: architecture, transposed: true))
      if head.bias {
        tensors.append(.vector("\(naming.head)bias", .head, [.bias], in: architecture))
      }
    }
    return tensors
  }
}
