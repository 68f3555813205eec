// The graph that is written for a recurrent network, with L layers and D directions:
//
//   inputs      x (T, N, I), or (N, T, I) batch first; with an embedding int64 ids without the last axis;
//               h_0, c_0 (L·D, N, H) only where the network takes them
//   outputs     output (T, N, D·H), h_n, c_n (L·D, N, H); with a head logits (T, N, C), or (N, C) where it
//               reads the last step or the final states; behind an activation probabilities, or its word
//
// onnxruntime has no layout 1 on a CPU, so batch first is a Transpose before and after. States of zeros
// are what a node takes without any; stored ones are initializers that Expand brings to the batch.
import Containers
import Tensors

/// Nodes, inputs and outputs for a network and the shapes of its tensors.
struct ONNXNetworkGraph {
  let network: ONNXNetwork
  private(set) var builder = ONNXGraphBuilder()
  private(set) var inputs: [ProtobufMessage] = []
  private(set) var outputs: [ProtobufMessage] = []
  /// The names of the inputs and outputs.
  private(set) var ends: Set<Name> = []
  let dtype: DType
  private let inputSize: Int
  private let hiddenSize: Int
  private let classCount: Int
  private let hasHeadBias: Bool
  /// The number of rows that every stored state has, 1 or N.
  private let stateBatches: [Int]
  private let scope: String

  private typealias Dimension = ONNXGraphBuilder.Dimension

  /// Builds the graph; throws `onnx.weights` when the network's tensors are not there.
  init(_ network: ONNXNetwork, _ state: StateDict) throws {
    self.network = network
    func tensor(_ name: Name, axes: Int) throws -> Tensor {
      guard let tensor = state[name], tensor.shape.count == axes else {
        throw RecurrentError(
          .onnxWeightsInexpressible, at: "tensor \"\(name)\"",
          found: state[name].map { "shape \($0.shape)" } ?? "no such tensor",
          expected: "\(axes) axes")
      }
      return tensor
    }
    let first = try tensor(network.tensorName("W", layer: 0), axes: 3)
    dtype = first.dtype
    inputSize = first.shape[2]
    let hidden = try tensor(network.tensorName("R", layer: 0), axes: 3).shape[2]
    hiddenSize = hidden
    classCount =
      try network.head.map { try tensor(Name("\($0)weight"), axes: 2).shape[0] } ?? 0
    hasHeadBias = network.head.map { state[Name("\($0)bias")] != nil } ?? false
    let count = network.layerCount * (network.bidirectional ? 2 : 1)
    stateBatches = try network.storedStates.map { name in
      guard let name else { return 0 }
      let shape = try tensor(name, axes: 3).shape
      guard shape[0] == count, shape[2] == hidden, shape[1] > 0 else {
        throw RecurrentError(
          .onnxWeightsInexpressible, at: "tensor \"\(name)\"", found: "shape \(shape)",
          expected: "(\(count), 1 or N, \(hidden))")
      }
      return shape[1]
    }
    scope = try Self.scope(network.prefix)
    let headScope = try network.head.map(Self.scope) ?? ""
    build(headScope, try network.embedding.map(Self.scope) ?? "")
  }

  /// "/encoder/rnn" for "encoder.rnn."; readers find the prefix again in the names of the nodes.
  private static func scope(_ prefix: String) throws -> String {
    let path = prefix.dropLast(prefix.hasSuffix(".") ? 1 : 0)
    guard prefix.isEmpty || (prefix.hasSuffix(".") && !path.isEmpty), !path.utf8.contains(47) else {
      throw RecurrentError(
        .onnxPrefix, at: "prefix \"\(prefix)\"", found: "a name that no module has",
        expected: "names joined by dots, without a slash")
    }
    return path.isEmpty
      ? ""
      : "/"
        + path.split(separator: ".", omittingEmptySubsequences: false)
        .joined(separator: "/")
  }

  private var directionCount: Int { network.bidirectional ? 2 : 1 }
  private var stateCount: Int { network.layerCount * directionCount }
  private var isLSTM: Bool { network.operation == .lstm }

  private mutating func addInput(_ name: String, _ dtype: DType, _ shape: [Dimension]) {
    inputs.append(ONNXGraphBuilder.value(name, dtype, shape))
    ends.insert(Name(name))
  }

  private mutating func addOutput(_ name: String, _ shape: [Dimension]) {
    outputs.append(ONNXGraphBuilder.value(name, dtype, shape))
    ends.insert(Name(name))
  }

  private mutating func build(_ headScope: String, _ embeddingScope: String) {
    var x = "x"
    let steps: [Dimension] = network.batchFirst ? [.any("N"), .any("T")] : [.any("T"), .any("N")]
    if let embedding = network.embedding {
      addInput("x", .i64, steps)
      x = builder.add("Gather", in: embeddingScope, ["\(embedding)weight", x])[0]
    } else {
      addInput("x", dtype, steps + [.size(inputSize)])
    }
    if network.batchFirst {
      x = builder.add("Transpose", in: scope, [x], ["perm": .integers([1, 0, 2])])[0]
    }
    let initial = addInitialStates(x)
    let (top, final) = addLayers(x, initial)
    addOutputs(top, final, steps)
    addHead(top, final, steps, headScope)
  }

  // MARK: Initial states

  /// The states of all layers for the batch; `nil` for zeros.
  private mutating func addInitialStates(_ x: String) -> [String?] {
    let names = isLSTM ? ["h_0", "c_0"] : ["h_0"]
    switch network.initialState {
    case .zeros, .computed: return names.map { _ in nil }
    case .fed:
      for name in names {
        addInput(name, dtype, [.size(stateCount), .any("N"), .size(hiddenSize)])
      }
      return names
    case .stored:
      var batch: String?
      return network.storedStates.prefix(names.count).enumerated().map { index, name in
        guard let name else { return nil }
        guard stateBatches[index] == 1 else { return name.string }
        let shape = batch ?? batchShape(x)
        batch = shape
        return builder.add("Expand", in: scope, number: index, [name.string, shape])[0]
      }
    }
  }

  /// (1, N, 1), which Expand brings a state of one row to.
  private mutating func batchShape(_ x: String) -> String {
    let shape = builder.add("Shape", in: scope, [x])[0]
    let axis = builder.constant([1], in: scope, "batch_axis")
    let batch = builder.add("Gather", in: scope, [shape, axis], ["axis": .integer(0)])[0]
    let one = builder.constant([1], in: scope, "one")
    return builder.add("Concat", in: scope, [one, batch, one], ["axis": .integer(0)])[0]
  }

  /// The part of a state that is a layer's.
  private mutating func layerState(_ value: String, _ layer: Int, _ index: Int, _ count: Int)
    -> String
  {
    guard network.layerCount > 1 else { return value }
    func constant(_ number: Int, _ name: String) -> String {
      let output = "\(scope)/\(name)"
      return builder.values.contains(Name(output))
        ? output : builder.constant([number], in: scope, name)
    }
    let start = constant(layer * directionCount, "start_\(layer)")
    let end = constant((layer + 1) * directionCount, "end_\(layer)")
    let axes = constant(0, "state_axis")
    return builder.add(
      "Slice", in: scope, number: layer * count + index, [value, start, end, axes])[0]
  }

  // MARK: Layers

  private mutating func addLayers(_ x: String, _ initial: [String?]) -> (String, [[String]]) {
    var x = x
    var final = [[String]](repeating: [], count: initial.count)
    let shape = builder.constant([0, 0, -1], in: scope, "joined_shape")
    for layer in 0..<network.layerCount {
      func name(_ role: String) -> String { network.tensorName(role, layer: layer).string }
      var weights = [x, name("W"), name("R"), network.bias ? name("B") : "", ""]
      for (index, value) in initial.enumerated() {
        weights.append(value.map { layerState($0, layer, index, initial.count) } ?? "")
      }
      while weights.last == "" { weights.removeLast() }
      let result = builder.add(
        network.operation.rawValue, in: scope, number: layer, weights,
        outputCount: 1 + initial.count, attributes)
      for index in final.indices { final[index].append(result[1 + index]) }
      let joined = builder.add(
        "Transpose", in: scope, number: layer + (network.batchFirst ? 1 : 0), [result[0]],
        ["perm": .integers([0, 2, 1, 3])])[0]
      x = builder.add("Reshape", in: scope, number: layer, [joined, shape])[0]
    }
    return (x, final)
  }

  private var attributes: KeyValuePairs<String, ONNXGraphBuilder.Attribute> {
    let direction = ONNXGraphBuilder.Attribute.string(
      network.bidirectional ? "bidirectional" : "forward")
    let size = ONNXGraphBuilder.Attribute.integer(hiddenSize)
    switch network.operation {
    case .gru:
      return [
        "hidden_size": size, "direction": direction,
        "linear_before_reset": .integer(network.linearBeforeReset ? 1 : 0),
      ]
    case .rnn:
      let names = [String](repeating: network.relu ? "Relu" : "Tanh", count: directionCount)
      return ["hidden_size": size, "direction": direction, "activations": .strings(names)]
    case .lstm: return ["hidden_size": size, "direction": direction]
    }
  }

  // MARK: Outputs

  private mutating func addOutputs(_ top: String, _ final: [[String]], _ steps: [Dimension]) {
    if network.batchFirst {
      builder.add(
        "Transpose", in: "/output", [top], outputs: ["output"], ["perm": .integers([1, 0, 2])])
    } else {
      builder.add("Identity", in: "/output", [top], outputs: ["output"])
    }
    addOutput("output", steps + [.size(directionCount * hiddenSize)])
    for (name, values) in zip(["h_n", "c_n"], final) {
      builder.add("Concat", in: "/\(name)", values, outputs: [name], ["axis": .integer(0)])
      addOutput(name, [.size(stateCount), .any("N"), .size(hiddenSize)])
    }
  }

  private mutating func addHead(
    _ top: String, _ final: [[String]], _ steps: [Dimension], _ scope: String
  ) {
    guard let head = network.head else { return }
    let weight = "\(head)weight"
    let bias = hasHeadBias ? ["\(head)bias"] : []
    var shape: [Dimension] = [.any("N"), .size(classCount)]
    if let row = rows(top, final, scope) {
      // Gemm takes a matrix of rows, and the weight as it is.
      builder.add(
        "Gemm", in: scope, [row, weight] + bias, outputs: ["logits"], ["transB": .integer(1)])
    } else {
      let turned = builder.add("Transpose", in: scope, [weight], ["perm": .integers([1, 0])])[0]
      let product = builder.add(
        "MatMul", in: scope, ["output", turned], outputs: bias.isEmpty ? ["logits"] : nil)[0]
      if !bias.isEmpty { builder.add("Add", in: scope, [product] + bias, outputs: ["logits"]) }
      shape = steps + [.size(classCount)]
    }
    addOutput("logits", shape)
    guard let word = network.activation, let operation = ONNXNetwork.activations[word] else {
      return
    }
    let name = ["softmax", "sigmoid"].contains(word) ? "probabilities" : word
    if word.hasSuffix("softmax") {
      builder.add(operation, in: scope, ["logits"], outputs: [name], ["axis": .integer(-1)])
    } else {
      builder.add(operation, in: scope, ["logits"], outputs: [name])
    }
    addOutput(name, shape)
  }

  /// What the head reads, (N, features), where that is not every step.
  private mutating func rows(_ top: String, _ final: [[String]], _ scope: String) -> String? {
    switch network.headReads {
    case .sequence: return nil
    case .last:
      let last = builder.constant(-1, in: scope, "last_step")
      return builder.add("Gather", in: scope, [top, last], ["axis": .integer(0)])[0]
    case .final:
      let states = final[0][network.layerCount - 1]
      let turned = builder.add("Transpose", in: scope, [states], ["perm": .integers([1, 0, 2])])[0]
      let shape = builder.constant([0, -1], in: scope, "joined_states")
      return builder.add("Reshape", in: scope, [turned, shape])[0]
    }
  }
}

extension ONNXNetwork {
  /// The names of the stored states, h before c.
  fileprivate var storedStates: [Name?] {
    guard case .stored(let h, let c) = initialState else { return [nil, nil] }
    return [h, c]
  }
}
