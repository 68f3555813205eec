import RNNEngine
import Tensors
import WeightFormats

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
  public static let keras = Convention(
    name: "keras", summary: "Keras layers (layers/lstm/cell/vars/0, …)",
    candidates: { try KerasModules($0).candidates() }, table: kerasTable,
    structure: { architecture, _ in
      try refuseInKeras(architecture)
      return [(KerasMetadata.config, kerasConfiguration(of: architecture).serialized())]
    })

  /// The name of a variable under a prefix.
  static func kerasName(_ prefix: String, _ index: Int, _ word: String) -> Name {
    Name(String(prefix.flatMap { $0 == "#" ? String(index) : $0 == "*" ? word : String($0) }))
  }

  /// The paths of a layer's objects where Keras numbers them itself.
  static func kerasPath(_ architecture: Architecture, layer: Int, direction: Int) -> String {
    let number = layer == 0 ? "" : "_\(layer)"
    guard architecture.bidirectional else {
      return "layers/\(kerasClass(architecture.cell).path)\(number)/cell/vars/#"
    }
    return "layers/bidirectional\(number)/\(["forward", "backward"][direction])_layer/cell/vars/#"
  }

  static func kerasClass(_ cell: Cell) -> (name: String, path: String) {
    switch cell {
    case .rnnTanh, .rnnRelu: ("SimpleRNN", "simple_rnn")
    case .lstm: ("LSTM", "lstm")
    case .gru: ("GRU", "gru")
    }
  }

  private static func refuseInKeras(_ architecture: Architecture) throws {
    guard architecture.projSize == 0 else {
      throw inexpressible(
        "keras", "an LSTM with a projection (proj_size \(architecture.projSize))",
        hint: "No layer of Keras has one; keep the torch convention.")
    }
  }

  private static func kerasTable(
    _ architecture: Architecture, _ naming: Naming
  ) throws -> [StoredTensor] {
    try refuseInKeras(architecture)
    let isOwn = !naming.layers.isEmpty
    var tensors: [StoredTensor] = []
    if architecture.embedding != nil {
      let prefix = isOwn ? naming.embedding : "layers/embedding/vars/#"
      tensors.append(
        .matrix(kerasName(prefix, 0, "embeddings"), .embedding, .weight, in: architecture))
    }
    for layer in 0..<architecture.layerCount {
      for direction in 0..<architecture.directionCount {
        let part = Slot.Part.recurrent(layer: layer, direction: direction)
        let prefix =
          isOwn
          ? naming.layers[layer][direction]
          : kerasPath(architecture, layer: layer, direction: direction)
        tensors += kerasLayer(prefix, part, architecture)
      }
    }
    if let head = architecture.head {
      let prefix = isOwn ? naming.head : "layers/dense/vars/#"
      tensors.append(
        .matrix(
          kerasName(prefix, 0, "kernel"), .head, .weight, in: architecture, transposed: true))
      if head.bias {
        tensors.append(.vector(kerasName(prefix, 1, "bias"), .head, [.bias], in: architecture))
      }
    }
    return tensors
  }

  private static func kerasLayer(
    _ prefix: String, _ part: Slot.Part, _ architecture: Architecture
  ) -> [StoredTensor] {
    let isGRU = architecture.cell == .gru
    // Keras has z r h, PyTorch r z n; i f c o are the same.
    let order = isGRU ? [1, 0, 2] : nil
    var tensors: [StoredTensor] = [
      .matrix(
        kerasName(prefix, 0, "kernel"), part, .weightIH, in: architecture, order: order,
        transposed: true),
      .matrix(
        kerasName(prefix, 1, "recurrent_kernel"), part, .weightHH, in: architecture, order: order,
        transposed: true),
    ]
    guard architecture.bias else { return tensors }
    let name = kerasName(prefix, 2, "bias")
    guard isGRU, architecture.gruReset == .after else {
      tensors.append(
        .vector(name, part, [.biasIH, .biasHH], in: architecture, order: order))
      return tensors
    }
    let rows = [Slot.Role.biasIH, .biasHH].map {
      StoredTensor.vector(name, part, [$0], in: architecture, order: order)
    }
    let width = 3 * architecture.hiddenSize
    let second = rows[1].placements.map {
      Placement(
        slots: $0.slots, offset: $0.offset + width, rowStride: $0.rowStride,
        columnStride: $0.columnStride)
    }
    tensors.append(
      StoredTensor(name: name, shape: [2, width], placements: rows[0].placements + second))
    return tensors
  }
}
