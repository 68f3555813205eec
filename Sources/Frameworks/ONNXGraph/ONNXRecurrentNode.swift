// The recurrent operators (versions 1 to 22 of RNN, LSTM and GRU); D directions, G gates, H hidden,
// I inputs, all weights with their outputs first:
//
//   inputs      0 X (T, N, I)       1 W (D, G·H, I)     2 R (D, G·H, H)    3 B (D, 2·G·H) = Wb, Rb
//               4 sequence_lens (N)  5 initial_h (D, N, H)  6 initial_c     7 P (D, 3·H), peepholes
//   outputs     0 Y (T, D, N, H)     1 Y_h (D, N, H)     2 Y_c
//   attributes  hidden_size, direction (forward | reverse | bidirectional), activations (f [g [h]] per
//               direction), activation_alpha, activation_beta, clip, layout (1: batch before time and
//               before direction), linear_before_reset (GRU, default 0), input_forget (LSTM),
//               output_sequence (version 1)
//
// Gate orders: LSTM i o f c, GRU z r h.
import Containers
import Tensors

/// One recurrent node of a graph, checked against what PyTorch's modules can do.
struct ONNXRecurrentNode {
  let index: Int
  let node: ONNXNode
  let operation: ONNXModule.Operation
  let bidirectional: Bool
  let relu: Bool
  let linearBeforeReset: Bool
  /// Whether batch comes before time in X and Y.
  let batchMajor: Bool
  let sequenceLengths: Bool
  /// W, R and B; `nil` when they cannot be read.
  let weights: (w: Tensor, r: Tensor, b: Tensor?)?
  /// Why PyTorch has no such layer.
  let refusal: RecurrentError?

  var directionCount: Int { bidirectional ? 2 : 1 }
  var hiddenSize: Int { weights?.r.shape[2] ?? 0 }
  var inputSize: Int { weights?.w.shape[2] ?? 0 }

  /// `forward`, `reverse` or `both`.
  var direction: String {
    if bidirectional { return "both" }
    return node.attribute("direction")?.string?.lowercased() == "reverse" ? "reverse" : "forward"
  }

  /// The activations where they are not the cell's own: `hard_sigmoid tanh tanh`, arguments in brackets.
  var activations: String? {
    guard let names = node.attribute("activations")?.strings, !names.isEmpty,
      refusal?.reason == .onnxActivation
    else { return nil }
    var alphas = (node.attribute("activation_alpha")?.floats ?? [])[...]
    var betas = (node.attribute("activation_beta")?.floats ?? [])[...]
    return names.map { name in
      let lower = name.lowercased()
      let word = Self.words[lower] ?? lower
      var arguments: [Float] = []
      let takesBoth = ["affine", "scaledtanh", "hardsigmoid"].contains(lower)
      if takesBoth || ["leakyrelu", "thresholdedrelu", "elu"].contains(lower) {
        if let alpha = alphas.popFirst() { arguments.append(alpha) }
        if takesBoth, let beta = betas.popFirst() { arguments.append(beta) }
      }
      return arguments.isEmpty
        ? word : "\(word)(\(arguments.map { "\($0)" }.joined(separator: ",")))"
    }.joined(separator: " ")
  }

  private static let words = [
    "hardsigmoid": "hard_sigmoid", "leakyrelu": "leaky_relu", "scaledtanh": "scaled_tanh",
    "thresholdedrelu": "thresholded_relu",
  ]

  /// `nil` for a node that is not recurrent.
  init?(_ index: Int, _ values: ONNXValues) {
    let node = values.graph.nodes[index]
    guard node.isStandard, let operation = ONNXModule.Operation(rawValue: node.operation) else {
      return nil
    }
    self.index = index
    self.node = node
    self.operation = operation
    let direction = node.attribute("direction")?.string?.lowercased() ?? "forward"
    bidirectional = direction == "bidirectional"
    relu =
      operation == .rnn
      && node.attribute("activations")?.strings.first?.lowercased() == "relu"
    linearBeforeReset = operation == .gru && (node.integer("linear_before_reset") ?? 0) != 0
    batchMajor = node.integer("layout") == 1
    sequenceLengths = node.input(4) != nil
    var refusal = Self.refusal(node, operation, direction)
    do {
      weights = try Self.weights(node, operation, bidirectional ? 2 : 1, values)
    } catch let error as RecurrentError {
      weights = nil
      // A file that cannot be read matters more than a layer that cannot be expressed.
      refusal = error.place == nil ? error.within(node.place) : error
    } catch {
      weights = nil
    }
    self.refusal = refusal
  }

  private static func weights(
    _ node: ONNXNode, _ operation: ONNXModule.Operation, _ directions: Int, _ values: ONNXValues
  ) throws -> (w: Tensor, r: Tensor, b: Tensor?) {
    guard let first = node.input(1), let second = node.input(2) else {
      throw RecurrentError(
        .onnxWeights, at: node.place, found: "no W or no R", expected: "both")
    }
    let w = try values.tensor(first)
    let r = try values.tensor(second)
    let b = try node.input(3).map { try values.tensor($0) }
    let gates = operation.gateCount
    let hidden = r.shape.last ?? 0
    let (rows, overflow) = hidden.multipliedReportingOverflow(by: 2 * gates)
    guard !overflow, r.shape == [directions, rows / 2, hidden], hidden > 0, w.shape.count == 3,
      w.shape[0] == directions, w.shape[1] == rows / 2, b == nil || b?.shape == [directions, rows],
      node.integer("hidden_size") ?? hidden == hidden
    else {
      throw RecurrentError(
        .onnxWeights, at: node.place,
        found: "W \(w.shape), R \(r.shape), B \(b?.shape ?? []), hidden_size "
          + "\(node.integer("hidden_size") ?? hidden)",
        expected: "(\(directions), \(gates)·H, I), (\(directions), \(gates)·H, H), "
          + "(\(directions), \(2 * gates)·H)")
    }
    return (w, r, b)
  }

  /// What PyTorch's modules cannot do, most telling first.
  private static func refusal(
    _ node: ONNXNode, _ operation: ONNXModule.Operation, _ direction: String
  ) -> RecurrentError? {
    func refused(_ reason: RecurrentError.Reason, _ found: String, _ expected: String)
      -> RecurrentError
    {
      RecurrentError(reason, at: node.place, found: found, expected: expected)
    }
    guard ["forward", "bidirectional"].contains(direction) else {
      return refused(
        .onnxDirection, "direction \(direction)", "forward or bidirectional")
    }
    if node.input(7) != nil {
      return refused(.onnxPeepholes, "peephole weights P", "an LSTM without peepholes")
    }
    if let clip = node.attribute("clip")?.float, clip != 0 {
      return refused(.onnxClip, "cell clip \(clip)", "no clipping")
    }
    if let coupled = node.integer("input_forget"), coupled != 0 {
      return refused(
        .onnxInputForget, "input and forget gate coupled", "input_forget 0")
    }
    return activationRefusal(node, operation, direction == "bidirectional" ? 2 : 1)
  }

  private static func activationRefusal(
    _ node: ONNXNode, _ operation: ONNXModule.Operation, _ directions: Int
  ) -> RecurrentError? {
    let names = node.attribute("activations")?.strings.map { $0.lowercased() } ?? []
    guard !names.isEmpty else { return nil }
    let choices: [[String]] =
      switch operation {
      case .rnn: [["tanh"], ["relu"]]
      case .gru: [["sigmoid", "tanh"]]
      case .lstm: [["sigmoid", "tanh", "tanh"]]
      }
    // One set for each direction; some writers give a single one for both.
    let fits = choices.contains { choice in
      names == choice || names == Array([[String]](repeating: choice, count: directions).joined())
    }
    guard !fits else { return nil }
    return RecurrentError(
      .onnxActivation, at: node.place,
      found: "activations \(names.joined(separator: ", "))",
      expected: choices.map { $0.joined(separator: ", ") }.joined(separator: " or "))
  }
}
