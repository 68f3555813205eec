import RNNEngine
import Tensors

// ONNX: one RNN, LSTM or GRU node per layer, both directions in one tensor; gates i o f c and z r h.
//   {name}W_l{k}         (D, G·H, inputs of layer k)
//   {name}R_l{k}         (D, G·H, H)
//   {name}B_l{k}         (D, 2·G·H): the input biases of all gates, then the recurrent ones
//   {name}weight         (V, I) of an embedding, (C, D·H) of a linear layer
//   {name}bias           (C)
// What shapes do not say stands in the graph, which the reader of ONNX files states.
extension Convention {
  /// The weights of ONNX's RNN, LSTM and GRU nodes, with Gather and Gemm or MatMul around them.
  public static let onnx: Convention = {
    var convention = Convention(
      name: "onnx", summary: "ONNX operators (W, R and B of RNN, LSTM and GRU nodes)",
      layouts: [
        layout([.rnnTanh, .rnnRelu], [0]), layout([.lstm], [0, 3, 1, 2]),
        layout([.gru], [1, 0, 2]),
        .embedding("{name}weight"), .linear("{name}weight", "{name}bias", .rows),
      ])
    convention.refuse = { architecture in
      guard architecture.projSize == 0 else {
        throw inexpressible(
          "onnx", "an LSTM with a projection",
          hint: "ONNX's LSTM operator has no projection; keep the torch convention.")
      }
    }
    return convention
  }()

  private static func layout(_ cells: [Cell], _ gates: [Int]) -> ModuleLayout {
    func band(_ role: Slot.Role) -> TensorTemplate.Band { .init([role], gates: gates) }
    return ModuleLayout(
      kind: .recurrent, cells: cells, directions: ["", ""], numbersLayers: true,
      tensors: [
        TensorTemplate("{name}W_l{layer}", [band(.weightIH)], .directions),
        TensorTemplate("{name}R_l{layer}", [band(.weightHH)], .directions),
        TensorTemplate(
          "{name}B_l{layer}", [band(.biasIH), band(.biasHH)], .directions, when: .bias),
      ])
  }
}
