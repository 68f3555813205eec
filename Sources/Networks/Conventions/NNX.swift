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
  public static let nnx: Convention = {
    let matrices = ["i", "h"].map { side in
      TensorTemplate(
        "{part}dense_\(side).kernel", [.init([side == "i" ? .weightIH : .weightHH])], .columns)
    }
    func layout(_ cells: [Cell], _ bias: TensorTemplate) -> ModuleLayout {
      ModuleLayout(
        kind: .recurrent, cells: cells, gruReset: cells == [.gru] ? .after : nil,
        tensors: matrices + [bias])
    }
    let sum: [TensorTemplate.Band] = [.init([.biasIH, .biasHH])]
    var convention = Convention(
      name: "nnx", summary: "Flax NNX (cell.dense_i.kernel, …)",
      layouts: [
        layout([.lstm], TensorTemplate("{part}dense_h.bias", sum, when: .bias)),
        layout([.gru], TensorTemplate("{part}dense_i.bias", resetAfterBands, when: .bias)),
        layout([.rnnTanh, .rnnRelu], TensorTemplate("{part}dense_i.bias", sum, when: .bias)),
        perGate(
          .lstm, ["ii", "if_", "ig", "io"], ["hi", "hf", "hg", "ho"], spelling: "gates"),
        .embedding("{part}embedding"), .linear("{part}kernel", "{part}bias", .columns),
      ])
    convention.customaryPart = { architecture, naming, layer, direction in
      (naming.recurrent.isEmpty ? "rnn." : naming.recurrent)
        + (architecture.layerCount > 1 ? "\(layer)." : "")
        + (architecture.bidirectional ? ["forward_rnn.", "backward_rnn."][direction] : "") + "cell."
    }
    convention.innerComponents = ["cell"]
    convention.settles = [.gruReset]
    convention.refuse = { try refuseForFlax($0, "nnx") }
    return convention
  }()
}
