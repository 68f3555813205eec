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
  public static let flax: Convention = {
    var convention = Convention(
      name: "flax", summary: "Flax Linen (LSTMCell_0.ii.kernel, …)",
      layouts: [
        perGate(.lstm, ["ii", "if", "ig", "io"], ["hi", "hf", "hg", "ho"]),
        perGate(.gru, ["ir", "iz", "in"], ["hr", "hz", "hn"]),
        perGate(.rnnTanh, ["i"], ["h"]),
        .embedding("{part}embedding"), .linear("{part}kernel", "{part}bias", .columns),
      ])
    convention.customaryPart = { architecture, naming, layer, direction in
      if !naming.recurrent.isEmpty {
        // Readers take one "cell" at the end for that of nn.RNN.
        let isCell = naming.recurrent == "cell." || naming.recurrent.hasSuffix(".cell.")
        return "params.\(naming.recurrent)" + (architecture.layerCount > 1 ? "\(layer)." : "")
          + (architecture.bidirectional ? ["forward.", "backward."][direction] : "")
          + (isCell ? "cell." : "")
      }
      let kind = [1: "SimpleCell", 3: "GRUCell", 4: "LSTMCell"][architecture.cell.gateNames.count]
      return "params.\(kind ?? "")_\(layer * architecture.directionCount + direction)."
    }
    convention.root = "params."
    convention.innerComponents = ["cell"]
    convention.settles = [.gruReset]
    convention.refuse = { try refuseForFlax($0, "flax") }
    return convention
  }()

  /// Refuses what neither Linen nor NNX has.
  package static func refuseForFlax(_ architecture: Architecture, _ convention: String) throws {
    try refuseProjection(architecture, "Flax", convention)
    try refuseResetBefore(architecture, "Flax's GRUCell", convention)
    try refuseMissingBias(architecture, "Flax's cells", convention)
  }

  /// A layout with a tensor for each gate. Linen keeps the only bias of an LSTM's gate with the recurrent
  /// product, that of any other with the input's.
  package static func perGate(
    _ cell: Cell, _ inputs: [String], _ recurrents: [String], spelling: String = ""
  ) -> ModuleLayout {
    func tensor(
      _ word: String, _ bands: [TensorTemplate.Band], _ words: [String],
      _ condition: TensorTemplate.Condition = .always
    ) -> TensorTemplate {
      TensorTemplate("{part}{gate}.\(word)", bands, .columns, when: condition, gateWords: words)
    }
    let both: [TensorTemplate.Band] = [.init([.biasIH, .biasHH])]
    var tensors = [tensor("kernel", [.init([.weightIH])], inputs)]
    switch cell {
    case .lstm:
      tensors += [
        tensor("kernel", [.init([.weightHH])], recurrents), tensor("bias", both, recurrents, .bias),
      ]
    case .gru:
      tensors += [
        tensor("bias", resetAfterBands, inputs, .bias),
        tensor("kernel", [.init([.weightHH])], recurrents),
        tensor("bias", [.init([.biasHH], gates: [2])], recurrents, .bias),
      ]
    case .rnnTanh, .rnnRelu:
      tensors += [
        tensor("bias", both, inputs, .bias), tensor("kernel", [.init([.weightHH])], recurrents),
      ]
    }
    return ModuleLayout(
      kind: .recurrent, cells: cell == .rnnTanh ? [.rnnTanh, .rnnRelu] : [cell],
      gruReset: cell == .gru ? .after : nil, spelling: spelling, tensors: tensors)
  }
}
