// Operations that are not understood: whatever passes through them is noted.
import Containers
import Tensors

extension ONNXFollower {
  private static let elementwise: Set<String> = [
    "Add", "Sub", "Mul", "Div", "Relu", "Tanh", "Sigmoid", "Softmax", "LogSoftmax", "Clip", "Exp",
    "Log", "Sqrt", "Abs", "Neg", "Erf", "Gelu", "LeakyRelu", "Elu", "Selu", "HardSigmoid",
    "Softplus",
    "Softsign", "LayerNormalization", "Cast", "Pow", "Mod", "PRelu", "HardSwish", "Mish",
  ]
  private static let parameterless: Set<String> = [
    "Resize", "Upsample", "NonMaxSuppression", "Constant", "Where", "Equal", "Expand", "Reshape",
    "Slice", "Gather", "Pad", "Tile", "Concat", "ConstantOfShape", "Range",
  ]

  /// Breaks the way of all that the operation takes.
  mutating func followUnknown(_ index: Int, _ node: ONNXNode, isNoted: Bool) {
    var inputs: [ONNXTrace] = []
    for name in node.inputs.prefix(256) {
      if let trace = traces[name] { inputs.append(trace) }
    }
    for name in (captured[index] ?? []).sorted().prefix(256) {
      if let trace = traces[name] { inputs.append(trace) }
    }
    guard !inputs.isEmpty else { return }
    if !isNoted { noteOther(index, node) }
    var layout: ONNXLayout?
    if node.isStandard, Self.elementwise.contains(node.operation), let first = inputs[0].layout,
      inputs.allSatisfy({ $0.layout?.axes.count == first.axes.count }),
      node.inputs.allSatisfy({ name in
        guard let tensor = try? values.tensor(name) else { return traces[name] != nil }
        return tensor.shape.count <= first.axes.count
      })
    {
      layout = first
    }
    var word = node.operation
    if word == "Slice", let steps = numbers(node, "steps", 4), steps.contains(where: { $0 < 0 }) {
      word = "Slice (backwards)"
    }
    let trace = ONNXTrace.broken(inputs, word, layout)
    for name in node.outputs where !name.utf8.isEmpty { traces[name] = trace }
  }

  /// A node with stored numbers of its own is a module of another kind.
  private mutating func noteOther(_ index: Int, _ node: ONNXNode) {
    guard !Self.parameterless.contains(node.operation) else { return }
    for name in node.inputs.prefix(32) where traces[name] == nil && !name.utf8.isEmpty {
      guard let tensor = try? values.tensor(name), tensor.dtype.isFloatingPoint,
        tensor.elementCount > 1
      else { continue }
      let path = Self.prefix(of: values.root(of: name), "weight") ?? node.modulePath
      others.append(Other(node: index, name: path))
      found.append(.other(others.count - 1))
      return
    }
  }

  /// Recurrent and linear operations with weights of whole numbers are named, and refused.
  mutating func followQuantised(_ index: Int, _ node: ONNXNode) -> Bool {
    let isRecurrent =
      !node.isStandard && ["RNN", "LSTM", "GRU"].contains { node.operation.hasSuffix($0) }
    let isProduct = [
      "MatMulInteger", "QLinearMatMul", "DynamicQuantizeMatMul", "MatMulIntegerToFloat", "QGemm",
      "MatMulNBits",
    ].contains(node.operation)
    guard isRecurrent || isProduct else { return false }
    let isQuantised = isProduct || node.operation.contains("Quantize")
    let refusal = RecurrentError(
      isQuantised ? .onnxQuantised : .onnxOperator, at: node.place,
      found: node.isStandard
        ? "\(node.operation)" : "\(node.operation) of the domain \(node.domain)",
      expected: isRecurrent
        ? "RNN, LSTM or GRU of ONNX's own operators" : "MatMul or Gemm with floating-point weights",
      hint: isQuantised
        ? "Its weights are quantised; convert the model that it was made from." : nil)
    others.append(Other(node: index, name: node.modulePath, refusal: refusal))
    found.append(.other(others.count - 1))
    return true
  }
}
