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
  public static let tensorFlow = Convention(
    name: "tensorflow", summary: "TensorFlow checkpoint variables (cell.kernel, …)",
    candidates: { TensorFlowNames.candidates(in: $0) },
    table: { try TensorFlowNames.table($0, $1) })
}

private enum TensorFlowNames {
  static let legacy = "tf1"
  static let privateNames = "keras3"
  static let dense = DenseNames(
    weights: ["_kernel", "kernel"], transposed: true, embeddings: ["_embeddings", "embeddings"])

  static func candidates(in state: StateDict) -> [Candidate] {
    var cells: [FoundCell] = []
    var own: Set<Name> = []
    for name in state.names {
      guard let found = keras(name, state) ?? legacyCell(name, state) else { continue }
      cells.append(found)
      let words =
        found.spelling == legacy
        ? [
          "kernel", "bias", "gates.kernel", "gates.bias", "candidate.kernel", "candidate.bias",
        ] : ["kernel", "recurrent_kernel", "bias"]
      for word in words { own.insert("\(found.prefix)\(word)") }
    }
    let layers = DenseLayers(dense, in: state, except: own)
    let stacks = CellStacks(
      innerComponents: ["cell", "basic_lstm_cell", "lstm_cell", "gru_cell", "basic_rnn_cell"],
      linearWidths: layers.widths)
    return stacks.candidates(cells).map { candidate in
      var candidate = layers.complete(candidate)
      if candidate.architecture.bias { candidate.known = [.gruReset] }
      let naming = candidate.naming
      if naming.spelling == legacy {
        if candidate.architecture.cell == .lstm {
          candidate.remarks.append(
            "TensorFlow 1 adds forget_bias when it runs; assumed 1.0, its default, which a checkpoint"
              + " does not hold")
        }
      } else if state["\(naming.head)_kernel"] != nil
        || state["\(naming.embedding)_embeddings"] != nil
      {
        candidate.naming.spelling = privateNames
      }
      return candidate
    }
  }

  private static func keras(_ name: Name, _ state: StateDict) -> FoundCell? {
    guard let prefix = DenseNames.prefix(name, ["recurrent_kernel"]), let recurrent = state[name],
      let input = state["\(prefix)kernel"], input.shape.count == 2, recurrent.shape.count == 2,
      recurrent.shape[0] > 0, recurrent.shape[1] % recurrent.shape[0] == 0,
      let cell = [1: Cell.rnnTanh, 3: .gru, 4: .lstm][recurrent.shape[1] / recurrent.shape[0]]
    else { return nil }
    let hidden = recurrent.shape[0]
    let bias = state["\(prefix)bias"]?.shape
    var found = FoundCell(
      prefix: prefix, cell: cell, inputSize: input.shape[0], hiddenSize: hidden,
      bias: bias != nil, gruReset: cell == .gru && bias == [3 * hidden] ? .before : .after)
    if bias == [8 * hidden] || bias == [6 * hidden] {
      found.refusal = RecurrentError(
        .unsupported, "tf.cudnn", at: "tensor \"\(prefix)bias\"",
        found: "the two biases of a CuDNN layer in one row", expected: "the bias of a Keras layer",
        hint: "Load it in Keras into the layer without CuDNN in its name and save that.")
    }
    return found
  }

  private static func legacyCell(_ name: Name, _ state: StateDict) -> FoundCell? {
    let kinds: [(String, String, Cell, Int)] = [
      ("basic_lstm_cell.kernel", "kernel", .lstm, 4), ("lstm_cell.kernel", "kernel", .lstm, 4),
      ("gru_cell.candidate.kernel", "candidate.kernel", .gru, 1),
      ("basic_rnn_cell.kernel", "kernel", .rnnTanh, 1),
    ]
    for (ending, kernel, cell, gates) in kinds
    where DenseNames.prefix(name, [ending]) != nil {
      let prefix = String(name.string.dropLast(kernel.count))
      guard let shape = state[name]?.shape, shape.count == 2, shape[1] % gates == 0,
        shape[0] > shape[1] / gates, state["\(prefix)recurrent_kernel"] == nil
      else { return nil }
      let hidden = shape[1] / gates
      var found = FoundCell(
        prefix: prefix, cell: cell, inputSize: shape[0] - hidden, hiddenSize: hidden,
        spelling: legacy, gruReset: cell == .gru ? .before : .after)
      found.refusal = refusal(prefix, state)
      return found
    }
    return nil
  }

  private static func refusal(_ prefix: String, _ state: StateDict) -> RecurrentError? {
    let additions = [
      ("w_i_diag", "peephole connections"), ("w_f_diag", "peephole connections"),
      ("projection.kernel", "a projection"),
    ]
    for (name, what) in additions where state["\(prefix)\(name)"] != nil {
      return RecurrentError(
        .unsupported, "tf.cell", at: "tensor \"\(prefix)\(name)\"",
        found: "an LSTMCell with \(what)", expected: "a plain cell",
        hint: "PyTorch's LSTM has no such form of it; the cell cannot be converted.")
    }
    return nil
  }

  static func table(_ architecture: Architecture, _ naming: Naming) throws -> [StoredTensor] {
    try Convention.refuseProjection(architecture, "Keras", "tensorflow")
    var tensors: [StoredTensor] = []
    let isFound = !naming.layers.isEmpty
    if architecture.embedding != nil {
      tensors.append(
        .matrix(
          spelled(naming.embedding, "embeddings", naming), .embedding, .weight, in: architecture))
    }
    let base = naming.recurrent.isEmpty ? "rnn." : naming.recurrent
    let cells = naming.cells(of: architecture) { layer, direction in
      base + (architecture.layerCount > 1 ? "\(layer)." : "")
        + (architecture.bidirectional ? ["forward_layer.", "backward_layer."][direction] : "")
        + "cell."
    }
    for (layer, direction, prefix) in cells {
      let part = Slot.Part.recurrent(layer: layer, direction: direction)
      tensors +=
        isFound && naming.spelling == legacy
        ? legacyTensors(architecture, part, prefix) : kerasTensors(architecture, part, prefix)
    }
    if let head = architecture.head {
      tensors.append(
        .matrix(
          spelled(naming.head, "kernel", naming), .head, .weight, in: architecture,
          transposed: true))
      if head.bias {
        tensors.append(.vector("\(naming.head)bias", .head, [.bias], in: architecture))
      }
    }
    return tensors
  }

  /// Keras 3 keeps the variables of `Dense` and `Embedding` under private names.
  private static func spelled(_ prefix: String, _ word: String, _ naming: Naming) -> Name {
    "\(prefix)\(naming.spelling == privateNames ? "_" : "")\(word)"
  }

  private static func kerasTensors(
    _ architecture: Architecture, _ part: Slot.Part, _ prefix: String
  ) -> [StoredTensor] {
    let order = architecture.cell == .gru ? [1, 0, 2] : nil
    var tensors: [StoredTensor] = [
      .matrix(
        "\(prefix)kernel", part, .weightIH, in: architecture, order: order, transposed: true),
      .matrix(
        "\(prefix)recurrent_kernel", part, .weightHH, in: architecture, order: order,
        transposed: true),
    ]
    guard architecture.bias else { return tensors }
    if architecture.cell == .gru, architecture.gruReset == .after {
      let size = architecture.hiddenSize
      let placements = [Slot.Role.biasIH, .biasHH].enumerated().flatMap { row, role in
        [1, 0, 2].enumerated().map { position, gate in
          Placement(
            slots: [Slot(part: part, role: role, gate: gate)],
            offset: (3 * row + position) * size, rowStride: 1, columnStride: 1)
        }
      }
      tensors.append(
        StoredTensor(name: "\(prefix)bias", shape: [2, 3 * size], placements: placements))
    } else {
      tensors.append(
        .vector("\(prefix)bias", part, [.biasIH, .biasHH], in: architecture, order: order))
    }
    return tensors
  }

  private static func legacyTensors(
    _ architecture: Architecture, _ part: Slot.Part, _ prefix: String
  ) -> [StoredTensor] {
    switch architecture.cell {
    case .gru:
      return joined(architecture, part, "\(prefix)gates.", [0, 1])
        + joined(architecture, part, "\(prefix)candidate.", [2])
    case .lstm: return joined(architecture, part, prefix, [0, 2, 1, 3], forgetBias: 1)
    case .rnnTanh, .rnnRelu: return joined(architecture, part, prefix, [0])
    }
  }

  /// A matrix with the rows of the input above those of the state, and one bias.
  private static func joined(
    _ architecture: Architecture, _ part: Slot.Part, _ prefix: String, _ gates: [Int],
    forgetBias: Double = 0
  ) -> [StoredTensor] {
    let size = architecture.hiddenSize
    let width = gates.count * size
    var inputs = 0
    if case .recurrent(let layer, _) = part { inputs = architecture.inputSize(ofLayer: layer) }
    let placements = gates.enumerated().flatMap { position, gate in
      [(Slot.Role.weightIH, 0), (.weightHH, inputs)].map { role, row in
        Placement(
          slots: [Slot(part: part, role: role, gate: gate)],
          offset: row * width + position * size, rowStride: 1, columnStride: width)
      }
    }
    let biases = gates.enumerated().map { position, gate in
      Placement(
        slots: [Slot.Role.biasIH, .biasHH].map { Slot(part: part, role: $0, gate: gate) },
        offset: position * size, rowStride: 1, columnStride: 1,
        addend: gate == 1 ? forgetBias : 0)
    }
    return [
      StoredTensor(
        name: "\(prefix)kernel", shape: [inputs + size, width], placements: placements),
      StoredTensor(name: "\(prefix)bias", shape: [width], placements: biases),
    ]
  }
}
