import Containers
import Frameworks
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
      layouts: kerasLayouts(
        kernel: "{part:0:kernel}", recurrentKernel: "{part:1:recurrent_kernel}",
        bias: "{part:2:bias}") + [
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
    convention.prefixes = KerasNames.prefixes(in:)
    convention.refine = KerasPrefixes.refine
    return convention
  }()

  /// The layouts of Keras's cells under these names; the form of the bias tells one GRU from the other.
  package static func kerasLayouts(kernel: String, recurrentKernel: String, bias: String)
    -> [ModuleLayout]
  {
    func layout(_ cells: [Cell], _ gates: [Int]?, _ reset: GRUReset? = nil) -> ModuleLayout {
      let biases =
        reset == .after
        ? TensorTemplate(
          bias, [.init([.biasIH], gates: gates), .init([.biasHH], gates: gates)], .bandRows,
          when: .bias)
        : TensorTemplate(bias, [.init([.biasIH, .biasHH], gates: gates)], when: .bias)
      return ModuleLayout(
        kind: .recurrent, cells: cells, gruReset: reset, directions: ["", ""],
        tensors: [
          TensorTemplate(kernel, [.init([.weightIH], gates: gates)], .columns),
          TensorTemplate(recurrentKernel, [.init([.weightHH], gates: gates)], .columns), biases,
        ])
    }
    return [
      layout([.rnnTanh, .rnnRelu], nil), layout([.lstm], nil), layout([.gru], [1, 0, 2], .after),
      layout([.gru], [1, 0, 2], .before),
    ]
  }

  /// The paths of a layer's objects where Keras numbers them itself, or under the module's own name.
  package static func kerasPath(
    _ architecture: Architecture, _ naming: Naming, layer: Int, direction: Int
  )
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

  package static func kerasClassPath(_ cell: Cell) -> String {
    switch cell {
    case .rnnTanh, .rnnRelu: "simple_rnn"
    case .lstm: "lstm"
    case .gru: "gru"
    }
  }
}
