import RNNEngine
import Tensors
import WeightFormats

// ONNX's recurrent operators; D directions, G gates; LSTM gates i o f c, GRU gates z r h:
//   {embedding}weight      (V, I)
//   {prefix}W_l{k}         (D, G·H, inputs of layer k)
//   {prefix}R_l{k}         (D, G·H, H)
//   {prefix}B_l{k}         (D, 2·G·H): the input biases of all gates, then the recurrent ones
//   {head}weight           (C, D·H)
//   {head}bias             (C)
// Everything that shapes do not say stands in the graph, and in metadata as `ONNXModule` describes it.
extension Convention {
  /// The weights of ONNX's RNN, LSTM and GRU nodes, with Gather and Gemm or MatMul around them.
  public static let onnx = Convention(
    name: "onnx", summary: "ONNX operators (W, R and B of RNN, LSTM and GRU nodes)",
    candidates: { state in
      if let text = state.metadata[ONNXModule.metadataKey] {
        return try ONNXModule.parse(text).map { candidate($0, state) }
      }
      return ONNXKey.prefixes(in: state).compactMap { prefix in
        ONNXKey.module(prefix, in: state).map { module in
          var candidate = candidate(module, state)
          candidate.known = []
          return candidate
        }
      }
    },
    table: { architecture, naming in
      guard architecture.projSize == 0 else {
        throw inexpressible(
          "onnx", "an LSTM with a projection",
          hint: "ONNX's LSTM operator has no projection; keep the torch convention.")
      }
      var tensors: [StoredTensor] = []
      if architecture.embedding != nil {
        tensors.append(
          .matrix("\(naming.embedding)weight", .embedding, .weight, in: architecture))
      }
      for layer in 0..<architecture.layerCount {
        func key(_ role: String) -> Name { "\(naming.recurrent)\(role)_l\(layer)" }
        tensors.append(stacked(key("W"), [.weightIH], layer, architecture))
        tensors.append(stacked(key("R"), [.weightHH], layer, architecture))
        if architecture.bias {
          tensors.append(stacked(key("B"), [.biasIH, .biasHH], layer, architecture))
        }
      }
      if let head = architecture.head {
        tensors.append(.matrix("\(naming.head)weight", .head, .weight, in: architecture))
        if head.bias {
          tensors.append(.vector("\(naming.head)bias", .head, [.bias], in: architecture))
        }
      }
      return tensors
    },
    structure: { architecture, naming in
      var module = ONNXModule(prefix: naming.recurrent, operation: architecture.cell.onnxOperation)
      module.layerCount = architecture.layerCount
      module.bidirectional = architecture.bidirectional
      module.bias = architecture.bias
      module.relu = architecture.cell == .rnnRelu
      module.linearBeforeReset = architecture.cell == .gru && architecture.gruReset == .after
      module.batchFirst = architecture.batchFirst
      module.head = architecture.head == nil ? nil : naming.head
      module.embedding = architecture.embedding == nil ? nil : naming.embedding
      return [(ONNXModule.metadataKey, ONNXModule.text([module]))]
    })

  /// The roles of all gates of all directions, one after the other.
  private static func stacked(
    _ name: Name, _ roles: [Slot.Role], _ layer: Int, _ architecture: Architecture
  ) -> StoredTensor {
    let order = architecture.cell.onnxGateOrder
    let directions = architecture.directionCount
    let first = Slot(part: .recurrent(layer: layer, direction: 0), role: roles[0], gate: 0)
    let (rows, columns) = first.size(in: architecture)
    var placements: [Placement] = []
    for direction in 0..<directions {
      for role in roles {
        for gate in order {
          let slot = Slot(
            part: .recurrent(layer: layer, direction: direction), role: role, gate: gate)
          placements.append(
            Placement(
              slots: [slot], offset: placements.count * rows * columns, rowStride: columns,
              columnStride: 1))
        }
      }
    }
    let height = roles.count * order.count * rows
    let isMatrix = roles == [.weightIH] || roles == [.weightHH]
    return StoredTensor(
      name: name, shape: isMatrix ? [directions, height, columns] : [directions, height],
      placements: placements)
  }

  /// The candidate of a module; sizes come from its tensors and are checked with the table.
  private static func candidate(_ module: ONNXModule, _ state: StateDict) -> Candidate {
    func shape(_ name: Name, axes: Int) -> [Int] {
      let shape = state[name]?.shape ?? []
      return shape.count == axes ? shape : [Int](repeating: 0, count: axes)
    }
    var architecture = Architecture(
      cell: module.cell, inputSize: shape(module.tensorName("W", layer: 0), axes: 3)[2],
      hiddenSize: shape(module.tensorName("R", layer: 0), axes: 3)[2],
      layerCount: module.layerCount, bidirectional: module.bidirectional, bias: module.bias,
      batchFirst: module.batchFirst,
      gruReset: module.operation == .gru && !module.linearBeforeReset ? .before : .after)
    var naming = Naming(recurrent: module.prefix)
    if let prefix = module.embedding {
      naming.embedding = prefix
      architecture.embedding = .init(tokenCount: shape("\(prefix)weight", axes: 2)[0])
    }
    if let prefix = module.head {
      naming.head = prefix
      architecture.head = .init(
        classCount: shape("\(prefix)weight", axes: 2)[0], bias: state["\(prefix)bias"] != nil)
    }
    var candidate = Candidate(
      architecture: architecture, naming: naming, known: [.cell, .gruReset, .batchFirst])
    candidate.refusal = module.refusal ?? contradiction(module, naming, state)
    if module.sequenceLengths {
      candidate.remarks = [
        "the model takes the lengths of its sequences (sequence_lens); pack sequences in PyTorch"
      ]
    }
    return candidate
  }
}

extension Convention {
  /// Sizes that contradict each other, found before a table is made of them: their products need not
  /// fit, and a forged number of layers would make a table of its size.
  private static func contradiction(
    _ module: ONNXModule, _ naming: Naming, _ state: StateDict
  ) -> RecurrentError? {
    func mismatch(_ name: Name, _ expected: String) -> RecurrentError {
      RecurrentError(
        .malformed, state[name] == nil ? "weights.missing" : "weights.shape",
        at: "tensor \"\(name)\"",
        found: state[name].map { "shape \($0.shape)" } ?? "no such tensor", expected: expected)
    }
    let directions = module.bidirectional ? 2 : 1
    let names = (module.tensorName("W", layer: 0), module.tensorName("R", layer: 0))
    guard let recurrent = state[names.1]?.shape, recurrent.count == 3, recurrent[2] > 0,
      recurrent[0] == directions, recurrent[1] % module.operation.gateCount == 0,
      recurrent[1] / module.operation.gateCount == recurrent[2]
    else {
      return mismatch(names.1, "(\(directions), \(module.operation.gateCount)·H, H)")
    }
    guard let input = state[names.0]?.shape, input.count == 3, input[0] == directions,
      input[1] == recurrent[1], input[2] > 0
    else { return mismatch(names.0, "(\(directions), \(recurrent[1]), I)") }
    let features = directions * recurrent[2]
    if module.head != nil {
      let name = Name("\(naming.head)weight")
      guard let shape = state[name]?.shape, shape.count == 2, shape[1] == features else {
        return mismatch(name, "(C, \(features))")
      }
    }
    if module.embedding != nil {
      let name = Name("\(naming.embedding)weight")
      guard let shape = state[name]?.shape, shape.count == 2, shape[1] == input[2] else {
        return mismatch(name, "(V, \(input[2]))")
      }
    }
    let last = module.tensorName("W", layer: module.layerCount - 1)
    guard module.layerCount <= state.count, state[last] != nil else {
      return mismatch(last, "a tensor for each of \(module.layerCount) layers")
    }
    return nil
  }
}

extension Cell {
  /// ONNX's operator.
  fileprivate var onnxOperation: ONNXModule.Operation {
    switch self {
    case .rnnTanh, .rnnRelu: .rnn
    case .lstm: .lstm
    case .gru: .gru
    }
  }

  /// PyTorch's gates in ONNX's order.
  fileprivate var onnxGateOrder: [Int] {
    switch self {
    case .rnnTanh, .rnnRelu: [0]
    case .lstm: [0, 3, 1, 2]
    case .gru: [1, 0, 2]
    }
  }
}

extension ONNXModule {
  fileprivate var cell: Cell {
    switch operation {
    case .rnn: relu ? .rnnRelu : .rnnTanh
    case .lstm: .lstm
    case .gru: .gru
    }
  }
}

/// Keys `{prefix}W_l{k}` in a file that kept the tensors but not the metadata.
private enum ONNXKey {
  /// The prefixes of all first layers, in file order.
  static func prefixes(in state: StateDict) -> [String] {
    state.entries.compactMap { entry in
      let name = entry.name.string
      guard name == "W_l0" || name.hasSuffix(".W_l0"), entry.tensor.shape.count == 3 else {
        return nil
      }
      return String(name.dropLast(4))
    }
  }

  /// What names and shapes say about a module.
  static func module(_ prefix: String, in state: StateDict) -> ONNXModule? {
    guard let recurrent = state["\(prefix)R_l0"]?.shape, recurrent.count == 3, recurrent[2] > 0,
      recurrent[1] % recurrent[2] == 0,
      let operation = [ONNXModule.Operation.rnn, .gru, .lstm].first(where: {
        $0.gateCount == recurrent[1] / recurrent[2]
      })
    else { return nil }
    var module = ONNXModule(prefix: prefix, operation: operation)
    while state[module.tensorName("W", layer: module.layerCount)] != nil { module.layerCount += 1 }
    module.bidirectional = recurrent[0] == 2
    module.bias = state[module.tensorName("B", layer: 0)] != nil
    module.linearBeforeReset = operation == .gru
    let features = recurrent[0] * recurrent[2]
    if state["classifier.weight"]?.shape.last == features { module.head = "classifier." }
    let inputs = state[module.tensorName("W", layer: 0)]?.shape.last
    if let inputs, state["embedding.weight"]?.shape.last == inputs {
      module.embedding = "embedding."
    }
    return module
  }
}
