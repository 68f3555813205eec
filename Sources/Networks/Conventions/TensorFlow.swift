import RNNEngine
import Tensors

// Variables of TensorFlow checkpoints; matrices are transposed (inputs, gates · outputs).
//
// Object-based (Keras 2 and 3), suffix removed:
//   {layer}cell.kernel (D, g·H)  {layer}cell.recurrent_kernel (H, g·H)
//   {layer}cell.bias (g·H); (2, 3·H) of a GRU that resets after the product: input, recurrent
//   gates i f c o; z r h.  {layer}forward_layer.cell.…, {layer}backward_layer.cell.…
//   {embedding}embeddings or _embeddings, {head}kernel or _kernel, {head}bias
//
// Name-based (TensorFlow 1), input and state above each other:
//   {cell}basic_lstm_cell.kernel (D+H, 4·H)  .bias (4·H)   gates i j f o; lstm_cell likewise
//     forget_bias, 1 by default, is added when the cell runs and is stored nowhere
//   {cell}gru_cell.gates.kernel (D+H, 2·H)  .bias (2·H)    gates r u; resets before the product
//   {cell}gru_cell.candidate.kernel (D+H, H)  .bias (H)
//   {cell}basic_rnn_cell.kernel (D+H, H)  .bias (H)
//   {scope}fw.…, {scope}bw.…
extension Convention {
  /// The variables of Keras layers and of TensorFlow 1 cells in checkpoints.
  public static let tensorFlow: Convention = {
    var convention = Convention(
      name: "tensorflow", summary: "TensorFlow checkpoint variables (cell.kernel, …)",
      layouts: TensorFlowLayouts.keras + TensorFlowLayouts.legacy + [
        .embedding("{part}embeddings"),
        .embedding("{part}_embeddings", spelling: TensorFlowLayouts.privateNames),
        .linear("{part}kernel", "{part}bias", .columns),
        .linear("{part}_kernel", "{part}bias", .columns, spelling: TensorFlowLayouts.privateNames),
      ])
    convention.customaryPart = { architecture, naming, layer, direction in
      (naming.recurrent.isEmpty ? "rnn." : naming.recurrent)
        + (architecture.layerCount > 1 ? "\(layer)." : "")
        + (architecture.bidirectional ? ["forward_layer.", "backward_layer."][direction] : "")
        + "cell."
    }
    convention.innerComponents = ["cell"]
    convention.refuse = { try refuseProjection($0, "Keras", "tensorflow") }
    convention.refine = TensorFlowLayouts.refine
    return convention
  }()
}

private enum TensorFlowLayouts {
  static let tf1 = "tf1"
  /// Keras 3 keeps the variables of `Dense` and `Embedding` under private names.
  static let privateNames = "keras3"

  static let keras = Convention.kerasLayouts(
    kernel: "{part}kernel", recurrentKernel: "{part}recurrent_kernel", bias: "{part}bias")

  static let legacy: [ModuleLayout] = {
    func joined(_ name: String, _ gates: [Int], _ addends: [Int: Double] = [:]) -> [TensorTemplate]
    {
      [
        TensorTemplate(
          "{part}\(name)kernel",
          [.init([.weightIH], gates: gates), .init([.weightHH], gates: gates)], .columnsAbove),
        TensorTemplate(
          "{part}\(name)bias", [.init([.biasIH, .biasHH], gates: gates, addends: addends)]),
      ]
    }
    func layout(
      _ cells: [Cell], _ tensors: [TensorTemplate], _ reset: GRUReset? = nil, _ ending: String = ""
    ) -> ModuleLayout {
      ModuleLayout(
        kind: .recurrent, cells: cells, gruReset: reset, spelling: tf1 + ending, tensors: tensors)
    }
    return [
      layout([.lstm], joined("basic_lstm_cell.", [0, 2, 1, 3], [1: 1])),
      layout([.lstm], joined("lstm_cell.", [0, 2, 1, 3], [1: 1]), nil, "-lstm_cell"),
      layout(
        [.gru], joined("gru_cell.gates.", [0, 1]) + joined("gru_cell.candidate.", [2]), .before),
      layout([.rnnTanh, .rnnRelu], joined("basic_rnn_cell.", [0])),
    ]
  }()

  /// What TensorFlow's cells do beside their variables.
  static func refine(_ candidate: inout Candidate, _ state: StateDict) {
    let part = candidate.naming.layers.first?.first ?? ""
    if candidate.naming.spelling.hasPrefix(tf1) {
      if candidate.architecture.cell == .lstm {
        candidate.assumptions.append(.forgetBias)
      }
      let additions = ["lstm_cell.", "basic_lstm_cell."].flatMap { cell in
        [
          (cell + "w_i_diag", "peephole connections"), (cell + "w_f_diag", "peephole connections"),
          (cell + "projection.kernel", "a projection"),
        ]
      }
      for (name, what) in additions where state["\(part)\(name)"] != nil {
        candidate.refusal = RecurrentError(
          .tensorFlowCell, at: "tensor \"\(part)\(name)\"",
          found: "an LSTMCell with \(what)", expected: "a plain cell",
          hint: "PyTorch's LSTM has no such form of it; the cell cannot be converted.")
      }
      return
    }
    let hidden = candidate.architecture.hiddenSize
    let bias = state["\(part)bias"]?.shape
    if bias == [8 * hidden] || bias == [6 * hidden] {
      candidate.refusal = RecurrentError(
        .tensorFlowCuDNN, at: "tensor \"\(part)bias\"",
        found: "the two biases of a CuDNN layer in one row", expected: "the bias of a Keras layer",
        hint: "Load it in Keras into the layer without CuDNN in its name and save that.")
    }
    if candidate.architecture.bias { candidate.known.insert(.gruReset) }
  }
}
