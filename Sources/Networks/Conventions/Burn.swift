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
  public static let burn: Convention = {
    var convention = Convention(
      name: "burn", summary: "Burn (input_gate.input_transform.weight, …)",
      layouts: [
        layout([.lstm], ["input_gate", "forget_gate", "cell_gate", "output_gate"]),
        layout([.gru], ["reset_gate", "update_gate", "new_gate"]),
        layout([.rnnTanh, .rnnRelu], ["gate"]),
        .embedding("{part}weight"), .linear("{part}weight", "{part}bias", .columns),
      ])
    convention.customaryPart = { architecture, naming, layer, direction in
      let kind = ["rnn.", "gru.", "lstm."][max(0, architecture.cell.gateNames.count - 2)]
      return (naming.recurrent.isEmpty ? kind : naming.recurrent)
        + (architecture.layerCount > 1 ? "\(layer)." : "")
        + (architecture.bidirectional ? ["forward.", "reverse."][direction] : "")
    }
    convention.refuse = { try refuseProjection($0, "Burn", "burn") }
    return convention
  }()

  private static func layout(_ cells: [Cell], _ gates: [String]) -> ModuleLayout {
    func tensor(_ side: String, _ role: Slot.Role, _ isBias: Bool) -> TensorTemplate {
      TensorTemplate(
        "{part}{gate}.\(side)_transform.\(isBias ? "bias" : "weight")", [.init([role])], .columns,
        when: isBias ? .bias : .always, gateWords: gates)
    }
    return ModuleLayout(
      kind: .recurrent, cells: cells,
      tensors: [
        tensor("input", .weightIH, false), tensor("input", .biasIH, true),
        tensor("hidden", .weightHH, false), tensor("hidden", .biasHH, true),
      ])
  }
}
