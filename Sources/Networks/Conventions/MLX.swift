import RNNEngine
import Tensors

// MLX (mlx.nn of Python and Swift): one layer, one direction; matrices lie as in PyTorch since 0.18 and
// transposed before.
//   RNN   {cell}Wxh (H, D)    {cell}Whh (H, H)    {cell}bias (H)
//   LSTM  {cell}Wx (4·H, D)   {cell}Wh (4·H, H)   {cell}bias (4·H)   gates i f g o
//   GRU   {cell}Wx (3·H, D)   {cell}Wh (3·H, H)   {cell}b (3·H)      gates r z n
//         {cell}bhn (H), added to the recurrent part of n
//   {embedding}weight (V, D), {head}weight (C, H), {head}bias (C)
extension Convention {
  /// The parameters of `mlx.nn.RNN`, `LSTM` and `GRU`.
  public static let mlx: Convention = {
    var convention = Convention(
      name: "mlx", summary: "MLX (Wx, Wh, bias; Wxh, Whh; bhn)",
      layouts: mlxLayouts(.rows, "") + mlxLayouts(.columns, mlxTransposed) + [
        .embedding("{part}weight"), .linear("{part}weight", "{part}bias", .rows),
      ])
    convention.customaryPart = { architecture, naming, layer, direction in
      let base = naming.recurrent.isEmpty ? "layers." : naming.recurrent
      return (architecture.layerCount == 1 ? naming.recurrent : "\(base)\(layer).")
        + (architecture.bidirectional ? ["forward.", "backward."][direction] : "")
    }
    convention.settles = [.gruReset]
    convention.refuse = { architecture in
      try refuseProjection(architecture, "MLX", "mlx")
      try refuseResetBefore(architecture, "MLX's GRU", "mlx")
    }
    convention.refine = { candidate, state in
      // Notebooks have Wxh and Whh too, with the biases bh and by.
      let part = candidate.naming.layers.first?.first ?? ""
      candidate.isRejected = state["\(part)Wxh"] != nil && state["\(part)bh"] != nil
      if candidate.naming.spelling == mlxTransposed {
        candidate.remarks.append(.transposedMatrices)
      } else if candidate.architecture.cell.gateNames.count == 1,
        candidate.architecture.inputSize == candidate.architecture.hiddenSize
      {
        candidate.assumptions.append(.mlxOrientation)
      }
    }
    return convention
  }()

  private static let mlxTransposed = "transposed"

  private static func mlxLayouts(_ arrangement: TensorTemplate.Arrangement, _ spelling: String)
    -> [ModuleLayout]
  {
    func matrices(_ input: String, _ recurrent: String) -> [TensorTemplate] {
      [
        TensorTemplate("{part}\(input)", [.init([.weightIH])], arrangement),
        TensorTemplate("{part}\(recurrent)", [.init([.weightHH])], arrangement),
      ]
    }
    func sum(_ name: String) -> TensorTemplate {
      TensorTemplate("{part}\(name)", [.init([.biasIH, .biasHH])], when: .bias)
    }
    return [
      ModuleLayout(
        kind: .recurrent, cells: [.rnnTanh, .rnnRelu], spelling: spelling,
        tensors: matrices("Wxh", "Whh") + [sum("bias")]),
      ModuleLayout(
        kind: .recurrent, cells: [.lstm], spelling: spelling,
        tensors: matrices("Wx", "Wh") + [sum("bias")]),
      ModuleLayout(
        kind: .recurrent, cells: [.gru], gruReset: .after, spelling: spelling,
        tensors: matrices("Wx", "Wh") + [
          TensorTemplate("{part}b", resetAfterBands, when: .bias),
          TensorTemplate("{part}bhn", [.init([.biasHH], gates: [2])], when: .bias),
        ]),
    ]
  }

  /// The bias of a GRU that applies its reset gate after the product: r and z need only the sum of
  /// both biases, n needs the input's alone.
  package static let resetAfterBands: [TensorTemplate.Band] = [
    .init([.biasIH, .biasHH], gates: [0, 1]), .init([.biasIH], gates: [2]),
  ]

  /// Refuses an LSTM with a projection.
  package static func refuseProjection(
    _ architecture: Architecture, _ framework: String, _ convention: String
  ) throws {
    guard architecture.projSize > 0 else { return }
    throw inexpressible(
      convention, "an LSTM with a projection",
      hint: "\(framework) has no projected LSTM; keep the torch convention.")
  }

  /// Refuses a GRU that applies its reset gate before the product.
  package static func refuseResetBefore(
    _ architecture: Architecture, _ framework: String, _ convention: String
  ) throws {
    guard architecture.layerCount > 0, architecture.cell == .gru, architecture.gruReset == .before
    else { return }
    throw inexpressible(
      convention, "a GRU that applies its reset gate before the product",
      hint: "\(framework) applies it after the product, which is another function.")
  }

  /// Refuses layers without biases.
  package static func refuseMissingBias(
    _ architecture: Architecture, _ framework: String, _ convention: String
  ) throws {
    guard architecture.layerCount > 0, !architecture.bias else { return }
    throw inexpressible(
      convention, "layers without biases",
      hint: "\(framework) always have biases; give the layers biases of zeros first.")
  }
}
