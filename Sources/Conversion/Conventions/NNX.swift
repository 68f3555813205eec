import RNNEngine
import Tensors

// Flax NNX: gates side by side in one matrix, transposed (inputs, gates · outputs); one bias.
//   SimpleCell         {cell}dense_i.kernel (D, H)    .bias (H)   {cell}dense_h.kernel (H, H)
//   OptimizedLSTMCell  {cell}dense_i.kernel (D, 4·H)  {cell}dense_h.kernel (H, 4·H) .bias (4·H)  i f g o
//   LSTMCell           as in Linen, with if_ instead of if
//   GRUCell            {cell}dense_i.kernel (D, 3·H)  .bias (3·H)  {cell}dense_h.kernel (H, 3·H)  r z n
//                      and no recurrent bias: a network whose b_hn is not zero has no place here
//   {embedding}embedding (V, D), {head}kernel (H, C), {head}bias (C)
extension Convention {
  /// The parameters of Flax NNX's `SimpleCell`, `OptimizedLSTMCell`, `LSTMCell` and `GRUCell`.
  public static let nnx = Convention(
    name: "nnx", summary: "Flax NNX (cell.dense_i.kernel, …)",
    candidates: { NNXNames.candidates(in: $0) }, table: { try NNXNames.table($0, $1) })
}

private enum NNXNames {
  /// `LSTMCell`, which has a tensor per gate.
  static let perGate = "gates"

  static func candidates(in state: StateDict) -> [Candidate] {
    var cells: [FoundCell] = []
    var own: Set<Name> = []
    for entry in state.entries where entry.tensor.shape.count == 2 {
      let shape = entry.tensor.shape
      if let prefix = DenseNames.prefix(entry.name, ["dense_i.kernel"]),
        let recurrent = state["\(prefix)dense_h.kernel"], recurrent.shape.count == 2,
        recurrent.shape[0] > 0, recurrent.shape[1] % recurrent.shape[0] == 0,
        let cell = [1: Cell.rnnTanh, 3: .gru, 4: .lstm][recurrent.shape[1] / recurrent.shape[0]]
      {
        for name in ["dense_i", "dense_h"] {
          own.formUnion(["\(prefix)\(name).kernel", "\(prefix)\(name).bias"])
        }
        cells.append(
          FoundCell(
            prefix: prefix, cell: cell, inputSize: shape[0], hiddenSize: recurrent.shape[0]))
      } else if let prefix = DenseNames.prefix(entry.name, ["if_.kernel"]) {
        for (input, recurrent) in names {
          own.formUnion(["\(prefix)\(input).kernel", "\(prefix)\(recurrent).kernel"])
          own.insert("\(prefix)\(recurrent).bias")
        }
        cells.append(
          FoundCell(
            prefix: prefix, cell: .lstm, inputSize: shape[0], hiddenSize: shape[1],
            spelling: perGate))
      }
    }
    return FlaxNames.stacked(cells, state, own)
  }

  private static var names: [(input: String, recurrent: String)] {
    FlaxNames.gates(.lstm).map { ($0.input == "if" ? "if_" : $0.input, $0.recurrent) }
  }

  static func table(_ architecture: Architecture, _ naming: Naming) throws -> [StoredTensor] {
    try FlaxNames.refuseInexpressible(architecture, "nnx")
    var tensors = FlaxNames.embedding(architecture, naming.embedding)
    let base = naming.recurrent.isEmpty ? "rnn." : naming.recurrent
    let cells = naming.cells(of: architecture) { layer, direction in
      base + (architecture.layerCount > 1 ? "\(layer)." : "")
        + (architecture.bidirectional ? ["forward_rnn.", "backward_rnn."][direction] : "")
        + "cell."
    }
    for (layer, direction, prefix) in cells {
      let part = Slot.Part.recurrent(layer: layer, direction: direction)
      if naming.spelling == perGate {
        tensors += FlaxNames.cell(architecture, part, prefix, names: names)
        continue
      }
      tensors.append(
        .matrix(
          "\(prefix)dense_i.kernel", part, .weightIH, in: architecture, transposed: true))
      let recurrent = StoredTensor.matrix(
        "\(prefix)dense_h.kernel", part, .weightHH, in: architecture, transposed: true)
      switch architecture.cell {
      case .lstm:
        tensors += [
          recurrent,
          .vector("\(prefix)dense_h.bias", part, [.biasIH, .biasHH], in: architecture),
        ]
      case .gru:
        tensors += [.resetAfterBias("\(prefix)dense_i.bias", part, in: architecture), recurrent]
      case .rnnTanh, .rnnRelu:
        tensors += [
          .vector("\(prefix)dense_i.bias", part, [.biasIH, .biasHH], in: architecture), recurrent,
        ]
      }
    }
    return tensors + FlaxNames.head(architecture, naming.head)
  }
}
