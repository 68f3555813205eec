// The graph that is written for a recurrent network, with L layers and D directions:
//
//   inputs      x (T, N, I), or (N, T, I) batch first; with an embedding int64 ids without the last axis
//               h_0, c_0 (L·D, N, H); zeros when they are not given
//   outputs     output (T, N, D·H), h_n, c_n (L·D, N, H), with a head logits (T, N, C)
//
// onnxruntime has no layout 1 on a CPU, so batch first is a Transpose before and after. The zeros of
// h_0 are an initializer (L·D, 1, H) that Expand brings to the batch, and that a caller overrides.
import Tensors

/// Nodes, inputs and outputs for a module and the shapes of its tensors.
struct ONNXNetworkGraph {
  let module: ONNXModule
  private(set) var builder = ONNXGraphBuilder()
  private(set) var inputs: [ProtobufMessage] = []
  private(set) var outputs: [ProtobufMessage] = []
  /// The initial states that have a default, with its shape.
  private(set) var states: [(name: String, shape: [Int])] = []
  let dtype: DType
  private let inputSize: Int
  private let hiddenSize: Int
  private let classCount: Int
  private let scope: String

  private typealias Dimension = ONNXGraphBuilder.Dimension

  /// Builds the graph; throws `onnx.weights` when the module's tensors are not there.
  init(_ module: ONNXModule, _ state: StateDict) throws {
    self.module = module
    func tensor(_ name: Name, axes: Int) throws -> Tensor {
      guard let tensor = state[name], tensor.shape.count == axes else {
        throw RecurrentError(
          .malformed, "onnx.weights", at: "tensor \"\(name)\"",
          found: state[name].map { "shape \($0.shape)" } ?? "no such tensor",
          expected: "\(axes) axes")
      }
      return tensor
    }
    let first = try tensor(module.tensorName("W", layer: 0), axes: 3)
    dtype = first.dtype
    inputSize = first.shape[2]
    hiddenSize = try tensor(module.tensorName("R", layer: 0), axes: 3).shape[2]
    classCount =
      try module.head.map { try tensor(Name("\($0)weight"), axes: 2).shape[0] } ?? 0
    scope = try Self.scope(module.prefix)
    build(
      hasHeadBias: module.head.map { state[Name("\($0)bias")] != nil } ?? false,
      headScope: try module.head.map(Self.scope) ?? "",
      embeddingScope: try module.embedding.map(Self.scope) ?? "")
  }

  /// "/encoder/rnn" for "encoder.rnn."; readers find the prefix again in the names of the nodes.
  private static func scope(_ prefix: String) throws -> String {
    let path = prefix.dropLast(prefix.hasSuffix(".") ? 1 : 0)
    guard prefix.isEmpty || (prefix.hasSuffix(".") && !path.isEmpty), !path.utf8.contains(47) else {
      throw RecurrentError(
        .malformed, "onnx.prefix", at: "prefix \"\(prefix)\"", found: "a name that no module has",
        expected: "names joined by dots, without a slash")
    }
    return path.isEmpty
      ? ""
      : "/"
        + path.split(separator: ".", omittingEmptySubsequences: false)
        .joined(separator: "/")
  }

  private var directionCount: Int { module.bidirectional ? 2 : 1 }
  private var stateCount: Int { module.layerCount * directionCount }
  private var isLSTM: Bool { module.operation == .lstm }

  private mutating func build(hasHeadBias: Bool, headScope: String, embeddingScope: String) {
    var x = "x"
    let steps: [Dimension] = module.batchFirst ? [.any("N"), .any("T")] : [.any("T"), .any("N")]
    if let embedding = module.embedding {
      inputs.append(ONNXGraphBuilder.value("x", .i64, steps))
      x = builder.add("Gather", in: embeddingScope, ["\(embedding)weight", x])[0]
    } else {
      inputs.append(ONNXGraphBuilder.value("x", dtype, steps + [.size(inputSize)]))
    }
    if module.batchFirst {
      x = builder.add("Transpose", in: scope, [x], ["perm": .integers([1, 0, 2])])[0]
    }
    let initial = addInitialStates(x)
    let (top, final) = addLayers(x, initial)
    finish(top, final, steps, hasHeadBias: hasHeadBias, headScope: headScope)
  }

  /// The states of all layers, expanded to the batch.
  private mutating func addInitialStates(_ x: String) -> [String] {
    let shape = builder.add("Shape", in: scope, [x])[0]
    let axis = builder.constant([1], in: scope, "batch_axis")
    let batch = builder.add("Gather", in: scope, [shape, axis], ["axis": .integer(0)])[0]
    let count = builder.constant([stateCount], in: scope, "states")
    let hidden = builder.constant([hiddenSize], in: scope, "hidden_size")
    let full = builder.add("Concat", in: scope, [count, batch, hidden], ["axis": .integer(0)])[0]
    return (isLSTM ? ["h_0", "c_0"] : ["h_0"]).enumerated().map { index, name in
      states.append((name, [stateCount, 1, hiddenSize]))
      inputs.append(
        ONNXGraphBuilder.value(
          name, dtype, [.size(stateCount), .any("N of \(name)"), .size(hiddenSize)]))
      return builder.add("Expand", in: scope, number: index, [name, full])[0]
    }
  }

  private mutating func addLayers(_ x: String, _ initial: [String]) -> (String, [[String]]) {
    var x = x
    var final = [[String]](repeating: [], count: initial.count)
    let axes = builder.constant([0], in: scope, "state_axis")
    let shape = builder.constant([0, 0, -1], in: scope, "joined_shape")
    for layer in 0..<module.layerCount {
      var layerStates = initial
      if module.layerCount > 1 {
        let start = builder.constant([layer * directionCount], in: scope, "start_\(layer)")
        let end = builder.constant([(layer + 1) * directionCount], in: scope, "end_\(layer)")
        layerStates = initial.enumerated().map { index, value in
          builder.add(
            "Slice", in: scope, number: layer * initial.count + index, [value, start, end, axes])[0]
        }
      }
      func name(_ role: String) -> String { module.tensorName(role, layer: layer).string }
      var weights = [x, name("W"), name("R"), module.bias ? name("B") : "", ""]
      weights += layerStates
      let result = builder.add(
        module.operation.rawValue, in: scope, number: layer, weights,
        outputCount: 1 + initial.count, attributes)
      for index in final.indices { final[index].append(result[1 + index]) }
      let joined = builder.add(
        "Transpose", in: scope, number: layer + (module.batchFirst ? 1 : 0), [result[0]],
        ["perm": .integers([0, 2, 1, 3])])[0]
      x = builder.add("Reshape", in: scope, number: layer, [joined, shape])[0]
    }
    return (x, final)
  }

  private var attributes: KeyValuePairs<String, ONNXGraphBuilder.Attribute> {
    let direction = ONNXGraphBuilder.Attribute.string(
      module.bidirectional ? "bidirectional" : "forward")
    let size = ONNXGraphBuilder.Attribute.integer(hiddenSize)
    switch module.operation {
    case .gru:
      return [
        "hidden_size": size, "direction": direction,
        "linear_before_reset": .integer(module.linearBeforeReset ? 1 : 0),
      ]
    case .rnn:
      let names = [String](repeating: module.relu ? "Relu" : "Tanh", count: directionCount)
      return ["hidden_size": size, "direction": direction, "activations": .strings(names)]
    case .lstm: return ["hidden_size": size, "direction": direction]
    }
  }

  private mutating func finish(
    _ top: String, _ final: [[String]], _ steps: [Dimension], hasHeadBias: Bool, headScope: String
  ) {
    if module.batchFirst {
      builder.add(
        "Transpose", in: "/output", [top], outputs: ["output"], ["perm": .integers([1, 0, 2])])
    } else {
      builder.add("Identity", in: "/output", [top], outputs: ["output"])
    }
    outputs.append(
      ONNXGraphBuilder.value("output", dtype, steps + [.size(directionCount * hiddenSize)]))
    for (name, values) in zip(["h_n", "c_n"], final) {
      builder.add("Concat", in: "/\(name)", values, outputs: [name], ["axis": .integer(0)])
      outputs.append(
        ONNXGraphBuilder.value(name, dtype, [.size(stateCount), .any("N"), .size(hiddenSize)]))
    }
    guard let head = module.head else { return }
    let weight = builder.add(
      "Transpose", in: headScope, ["\(head)weight"], ["perm": .integers([1, 0])])[0]
    if hasHeadBias {
      let product = builder.add("MatMul", in: headScope, ["output", weight])[0]
      builder.add("Add", in: headScope, [product, "\(head)bias"], outputs: ["logits"])
    } else {
      builder.add("MatMul", in: headScope, ["output", weight], outputs: ["logits"])
    }
    outputs.append(ONNXGraphBuilder.value("logits", dtype, steps + [.size(classCount)]))
  }
}
