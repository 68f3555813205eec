import RNNEngine
import Tensors

// Keras (KerasNames.swift tells where the names come from); {p} is the prefix of a layer's variables:
//   {p}0, kernel            (inputs of layer k, gates × H), gates i f c o, z r h
//   {p}1, recurrent_kernel  (H, gates × H)
//   {p}2, bias              (gates × H): both of PyTorch's biases added up
//                           (2, gates × H): both biases, a GRU with reset_after only
//   {head}0, kernel         (features, C)
//   {head}1, bias           (C)
//   {embedding}0            (V, D)
// Prefixes are written with a `#` where the number or a `*` where the word stands.
extension Convention {
  /// Keras's `SimpleRNN`, `LSTM` and `GRU` layers with `Bidirectional`, `Embedding` and `Dense`.
  public static let keras: Convention = {
    var convention = Convention(
      name: "keras", summary: "Keras layers (layers/lstm/cell/vars/0, …)",
      layouts: [
        layout([.rnnTanh, .rnnRelu], nil, [sum(nil)]),
        layout([.lstm], nil, [sum(nil)]),
        layout(
          [.gru], [1, 0, 2],
          [
            TensorTemplate(
              "{part:2:bias}",
              [.init([.biasIH], gates: [1, 0, 2]), .init([.biasHH], gates: [1, 0, 2])],
              .bandRows, when: .bias)
          ], .after),
        layout([.gru], [1, 0, 2], [sum([1, 0, 2])], .before),
        .embedding("{part:0:embeddings}"),
        .linear("{part:0:kernel}", "{part:1:bias}", .columns),
      ])
    convention.customaryPart = { architecture, naming, layer, direction in
      kerasPath(architecture, naming, layer: layer, direction: direction)
    }
    convention.refuse = { architecture in
      guard architecture.projSize == 0 else {
        throw inexpressible(
          "keras", "an LSTM with a projection (proj_size \(architecture.projSize))",
          hint: "No layer of Keras has one; keep the torch convention.")
      }
    }
    convention.parts = KerasParts.all(in:)
    convention.refine = KerasParts.refine
    return convention
  }()

  private static func layout(
    _ cells: [Cell], _ gates: [Int]?, _ biases: [TensorTemplate], _ reset: GRUReset? = nil
  ) -> ModuleLayout {
    ModuleLayout(
      kind: .recurrent, cells: cells, gruReset: reset, directions: ["", ""],
      tensors: [
        TensorTemplate("{part:0:kernel}", [.init([.weightIH], gates: gates)], .columns),
        TensorTemplate("{part:1:recurrent_kernel}", [.init([.weightHH], gates: gates)], .columns),
      ] + biases)
  }

  private static func sum(_ gates: [Int]?) -> TensorTemplate {
    TensorTemplate("{part:2:bias}", [.init([.biasIH, .biasHH], gates: gates)], when: .bias)
  }

  /// The paths of a layer's objects where Keras numbers them itself, or under the module's own name.
  static func kerasPath(_ architecture: Architecture, _ naming: Naming, layer: Int, direction: Int)
    -> String
  {
    let name = naming.recurrent.hasSuffix(".") ? naming.recurrent.dropLast() : naming.recurrent[...]
    let number = layer == 0 ? "" : "_\(layer)"
    if architecture.bidirectional {
      let path = name.isEmpty ? "bidirectional" : String(name)
      return "layers/\(path)\(number)/\(["forward", "backward"][direction])_layer/cell/vars/#"
    }
    let path = name.isEmpty ? kerasClassPath(architecture.cell) : String(name)
    return "layers/\(path)\(number)/cell/vars/#"
  }

  static func kerasClassPath(_ cell: Cell) -> String {
    switch cell {
    case .rnnTanh, .rnnRelu: "simple_rnn"
    case .lstm: "lstm"
    case .gru: "gru"
    }
  }
}
