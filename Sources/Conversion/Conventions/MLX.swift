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
  public static let mlx = Convention(
    name: "mlx", summary: "MLX (Wx, Wh, bias; Wxh, Whh; bhn)",
    candidates: { MLXNames.candidates(in: $0) }, table: { try MLXNames.table($0, $1) })
}

private enum MLXNames {
  static let dense = DenseNames(weights: ["weight"], transposed: false, embeddings: nil)
  static let transposed = "transposed"

  static func candidates(in state: StateDict) -> [Candidate] {
    var cells: [FoundCell] = []
    var own: Set<Name> = []
    for name in state.names {
      guard let found = rnn(name, state) ?? gated(name, state) else { continue }
      cells.append(found)
      for word in ["Wxh", "Whh", "Wx", "Wh", "b", "bhn", "bias"] {
        own.insert("\(found.prefix)\(word)")
      }
    }
    let layers = DenseLayers(dense, in: state, except: own)
    let stacks = CellStacks(linearWidths: layers.widths)
    return stacks.candidates(cells).map { candidate in
      var candidate = layers.complete(candidate)
      candidate.known = [.gruReset]
      if candidate.naming.spelling == transposed {
        candidate.remarks.append("matrices lie as in MLX before 0.18, transposed")
      } else if candidate.architecture.cell.gateNames.count == 1,
        candidate.architecture.inputSize == candidate.architecture.hiddenSize
      {
        candidate.remarks.append(
          "square matrices: assumed that MLX 0.18 or later wrote them; before, they lay transposed")
      }
      return candidate
    }
  }

  private static func rnn(_ name: Name, _ state: StateDict) -> FoundCell? {
    guard let prefix = DenseNames.prefix(name, ["Wxh"]), let input = state[name],
      let recurrent = state["\(prefix)Whh"], input.shape.count == 2, recurrent.shape.count == 2,
      // Notebooks have Wxh and Whh too, with the biases bh and by.
      state["\(prefix)bh"] == nil
    else { return nil }
    let hidden = recurrent.shape[0]
    guard hidden > 0, recurrent.shape[1] == hidden else { return nil }
    let isOld = input.shape[0] != hidden && input.shape[1] == hidden
    return FoundCell(
      prefix: prefix, cell: .rnnTanh, inputSize: input.shape[isOld ? 0 : 1], hiddenSize: hidden,
      bias: state["\(prefix)bias"] != nil, spelling: isOld ? transposed : "")
  }

  private static func gated(_ name: Name, _ state: StateDict) -> FoundCell? {
    guard let prefix = DenseNames.prefix(name, ["Wx"]), let input = state[name],
      let recurrent = state["\(prefix)Wh"], input.shape.count == 2, recurrent.shape.count == 2
    else { return nil }
    let (rows, columns) = (recurrent.shape[0], recurrent.shape[1])
    let hidden = min(rows, columns)
    guard hidden > 0, max(rows, columns) % hidden == 0,
      let cell = [3: Cell.gru, 4: .lstm][max(rows, columns) / hidden]
    else { return nil }
    let isOld = columns > rows
    return FoundCell(
      prefix: prefix, cell: cell, inputSize: input.shape[isOld ? 0 : 1], hiddenSize: hidden,
      bias: state["\(prefix)\(cell == .gru ? "b" : "bias")"] != nil,
      spelling: isOld ? transposed : "")
  }

  static func table(_ architecture: Architecture, _ naming: Naming) throws -> [StoredTensor] {
    try Convention.refuseProjection(architecture, "MLX", "mlx")
    try Convention.refuseResetBefore(architecture, "MLX's GRU", "mlx")
    let isOld = naming.spelling == transposed
    var tensors: [StoredTensor] = []
    if architecture.embedding != nil {
      tensors.append(.matrix("\(naming.embedding)weight", .embedding, .weight, in: architecture))
    }
    let base = naming.recurrent.isEmpty ? "layers." : naming.recurrent
    let single = architecture.layerCount == 1
    let cells = naming.cells(of: architecture) { layer, direction in
      (single ? naming.recurrent : "\(base)\(layer).")
        + (architecture.bidirectional ? ["forward.", "backward."][direction] : "")
    }
    for (layer, direction, prefix) in cells {
      let part = Slot.Part.recurrent(layer: layer, direction: direction)
      let (input, recurrent) =
        architecture.cell.gateNames.count == 1 ? ("Wxh", "Whh") : ("Wx", "Wh")
      tensors.append(
        .matrix("\(prefix)\(input)", part, .weightIH, in: architecture, transposed: isOld))
      tensors.append(
        .matrix("\(prefix)\(recurrent)", part, .weightHH, in: architecture, transposed: isOld))
      guard architecture.bias else { continue }
      if architecture.cell == .gru {
        tensors.append(.resetAfterBias("\(prefix)b", part, in: architecture))
        tensors.append(.vector("\(prefix)bhn", part, [.biasHH], in: architecture, order: [2]))
      } else {
        tensors.append(.vector("\(prefix)bias", part, [.biasIH, .biasHH], in: architecture))
      }
    }
    if let head = architecture.head {
      tensors.append(.matrix("\(naming.head)weight", .head, .weight, in: architecture))
      if head.bias {
        tensors.append(.vector("\(naming.head)bias", .head, [.bias], in: architecture))
      }
    }
    return tensors
  }
}

extension Naming {
  /// Layer, direction and prefix of every cell: as found in the file, or as `customary` names them.
  func cells(
    of architecture: Architecture, _ customary: (Int, Int) -> String
  ) -> [(layer: Int, direction: Int, prefix: String)] {
    (0..<architecture.layerCount).flatMap { layer in
      (0..<architecture.directionCount).map { direction in
        let isFound = layer < layers.count && direction < layers[layer].count
        return (
          layer, direction, isFound ? layers[layer][direction] : customary(layer, direction)
        )
      }
    }
  }
}

extension StoredTensor {
  /// The bias of a GRU that applies its reset gate after the product: r and z need only the sum of
  /// both biases, n needs the input's alone.
  static func resetAfterBias(
    _ name: Name, _ part: Slot.Part, in architecture: Architecture, gates: [Int] = [0, 1, 2]
  ) -> StoredTensor {
    let size = architecture.hiddenSize
    let placements = gates.enumerated().map { position, gate in
      let roles: [Slot.Role] = gate == 2 ? [.biasIH] : [.biasIH, .biasHH]
      return Placement(
        slots: roles.map { Slot(part: part, role: $0, gate: gate) }, offset: position * size,
        rowStride: 1, columnStride: 1)
    }
    return StoredTensor(name: name, shape: [gates.count * size], placements: placements)
  }
}

extension Convention {
  /// Refuses an LSTM with a projection.
  static func refuseProjection(
    _ architecture: Architecture, _ framework: String, _ convention: String
  ) throws {
    guard architecture.projSize > 0 else { return }
    throw inexpressible(
      convention, "an LSTM with a projection",
      hint: "\(framework) has no projected LSTM; keep the torch convention.")
  }

  /// Refuses a GRU that applies its reset gate before the product.
  static func refuseResetBefore(
    _ architecture: Architecture, _ framework: String, _ convention: String
  ) throws {
    guard architecture.cell == .gru, architecture.gruReset == .before else { return }
    throw inexpressible(
      convention, "a GRU that applies its reset gate before the product",
      hint: "\(framework) applies it after the product, which is another function.")
  }
}
