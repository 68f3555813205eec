import Tensors

/// The linear layer on top of a recurrent module: a Gemm, or a MatMul with or without an Add.
struct ONNXHead {
  /// The value that holds the weight.
  let weightValue: Name
  /// The weight, (C, features) as PyTorch has it.
  let weight: Tensor
  /// The value that holds the bias.
  let biasValue: Name?
  /// The bias, (C).
  let bias: Tensor?
  /// The module's name ("fc"); `nil` where the file does not say.
  let path: String?
  private static let visitLimit = 200
  private static let passing: Set<String> = [
    "Identity", "Dropout", "Cast", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten",
    "Slice",
    "Split", "Gather", "Concat",
  ]

  /// The only linear layer that takes what a recurrent node puts out; `nil` when there is none or when
  /// there are several.
  init?(after node: ONNXRecurrentNode, features: Int, _ values: ONNXValues) {
    var waiting = [node.node.output(0), node.node.output(1)].compactMap { $0 }
    var seen: Set<Int> = []
    var found: [ONNXHead] = []
    while let value = waiting.popLast(), seen.count < Self.visitLimit {
      for index in values.consumers[value] ?? [] where seen.insert(index).inserted {
        let consumer = values.graph.nodes[index]
        guard consumer.isStandard else { continue }
        // What a Gather or a Slice picks must be its data, not its indices.
        if Self.passing.contains(consumer.operation) {
          guard consumer.operation == "Concat" || consumer.input(0) == value else { continue }
          waiting += consumer.outputs.filter { !$0.utf8.isEmpty }
        } else if consumer.input(0) == value,
          let head = ONNXHead(consumer, features: features, values)
        {
          found.append(head)
        }
      }
    }
    guard found.count == 1 else { return nil }
    self = found[0]
  }

  private init?(_ node: ONNXNode, features: Int, _ values: ONNXValues) {
    guard let name = node.input(1) else { return nil }
    let transposed: Bool
    switch node.operation {
    case "MatMul": transposed = true
    case "Gemm":
      guard (node.integer("transA") ?? 0) == 0, (node.attribute("alpha")?.float ?? 1) == 1,
        (node.attribute("beta")?.float ?? 1) == 1
      else { return nil }
      transposed = (node.integer("transB") ?? 0) == 0
    default: return nil
    }
    guard let stored = try? values.tensor(name), stored.dtype.isFloatingPoint,
      stored.shape.count == 2, stored.shape[transposed ? 0 : 1] == features,
      let weight = transposed ? try? values.transposed(name) : stored
    else { return nil }
    weightValue = name
    self.weight = weight
    let classes = weight.shape[0]
    biasValue =
      node.operation == "Gemm" ? node.input(2) : Self.addend(node, classes, values)
    do {
      bias = try biasValue.map { try Self.bias($0, classes, values) }
    } catch {
      // A sum that is not a bias of this layer: the layer is something else than nn.Linear.
      return nil
    }
    path =
      Self.prefix(of: biasValue.flatMap { values.root(of: $0) }, "bias")
      ?? Self.prefix(of: values.root(of: name), "weight") ?? node.modulePath
  }

  /// The fixed operand of the Add that alone takes the product, reshaped or not.
  private static func addend(_ node: ONNXNode, _ classes: Int, _ values: ONNXValues) -> Name? {
    var product = node.output(0)
    for _ in 0..<8 {
      guard let name = product, let consumers = values.consumers[name], consumers.count == 1 else {
        return nil
      }
      let next = values.graph.nodes[consumers[0]]
      guard next.isStandard else { return nil }
      if next.operation == "Add" {
        return next.inputs.first { $0 != name && (try? bias($0, classes, values)) != nil }
      }
      guard ["Reshape", "Squeeze", "Unsqueeze", "Identity"].contains(next.operation),
        next.input(0) == name
      else { return nil }
      product = next.output(0)
    }
    return nil
  }

  private static func bias(_ name: Name, _ classes: Int, _ values: ONNXValues) throws -> Tensor {
    let tensor = try values.tensor(name)
    guard tensor.elementCount == classes, tensor.shape.last == classes else {
      throw ONNXValues.notStored(name, "shape \(tensor.shape)")
    }
    return try Tensor(dtype: tensor.dtype, shape: [classes], source: tensor.source)
  }

  /// What stands before ".weight" in a stored name; `nil` when the name does not end so.
  static func prefix(of name: Name?, _ role: String) -> String? {
    guard let text = name?.string else { return nil }
    if text == role { return "" }
    return text.hasSuffix("." + role) ? String(text.dropLast(role.count + 1)) : nil
  }
}
