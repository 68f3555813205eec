import RNNEngine
import Tensors

// PyTorch state dicts (torch.nn.RNN, "Variables"):
//   {name}weight_ih_l{k}{_reverse}  (gates × H, inputs of layer k)
//   {name}weight_hh_l{k}{_reverse}  (gates × H, H or P)
//   {name}bias_ih_l{k}{_reverse}    (gates × H)
//   {name}bias_hh_l{k}{_reverse}    (gates × H)
//   {name}weight_hr_l{k}{_reverse}  (P, H), LSTMs with a projection only
// nn.LSTMCell, GRUCell and RNNCell, libtorch and tinygrad: the same without _l{k}.
//   {name}weight                    (V, D) of an nn.Embedding, (C, features) of an nn.Linear
//   {name}bias                      (C)
extension Convention {
  /// The state dict of PyTorch's `nn.RNN`, `nn.LSTM`, `nn.GRU`, their cells, `nn.Embedding` and `nn.Linear`.
  public static let torch: Convention = {
    var convention = Convention(
      name: "torch", summary: "PyTorch state dict (weight_ih_l0, …)",
      layouts: [
        ModuleLayout(
          kind: .recurrent, cells: Cell.allCases, directions: ["", "_reverse"], numbersLayers: true,
          tensors: torchTensors("_l{layer}{direction}") + [
            TensorTemplate(
              "{name}weight_hr_l{layer}{direction}", [.init([.weightHR])], when: .projection)
          ]),
        ModuleLayout(
          kind: .cell, cells: Cell.allCases, spelling: "cell", tensors: torchTensors("")),
        .embedding("{name}weight"), .linear("{name}weight", "{name}bias", .rows),
      ])
    return convention
  }()

  private static func torchTensors(_ ending: String) -> [TensorTemplate] {
    [
      TensorTemplate("{name}weight_ih\(ending)", [.init([.weightIH])]),
      TensorTemplate("{name}weight_hh\(ending)", [.init([.weightHH])]),
      TensorTemplate("{name}bias_ih\(ending)", [.init([.biasIH])], when: .bias),
      TensorTemplate("{name}bias_hh\(ending)", [.init([.biasHH])], when: .bias),
    ]
  }
}

extension ModuleLayout {
  /// The layout of an embedding: one table (V, D).
  package static func embedding(_ name: String, spelling: String = "") -> ModuleLayout {
    ModuleLayout(
      kind: .embedding, spelling: spelling, tensors: [TensorTemplate(name, [.init([.weight])])])
  }

  /// The layout of a linear layer.
  package static func linear(
    _ weight: String, _ bias: String, _ arrangement: TensorTemplate.Arrangement,
    spelling: String = ""
  ) -> ModuleLayout {
    ModuleLayout(
      kind: .linear, spelling: spelling,
      tensors: [
        TensorTemplate(weight, [.init([.weight])], arrangement),
        TensorTemplate(bias, [.init([.bias])], when: .bias),
      ])
  }
}
