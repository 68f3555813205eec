// The modules of a graph: stacks of recurrent nodes, embeddings, linear layers and others.
import Containers
import Tensors

extension ONNXStructure {
  /// The node that a node is the next layer of in one module of PyTorch.
  func layerBelow(_ trace: ONNXTrace, _ upper: Int) -> Int? {
    guard trace.isClean, let nodes = trace.recurrentNodes, nodes.count == 1, nodes[0] != upper
    else {
      return nil
    }
    let (first, second) = (follower.recurrents[nodes[0]], follower.recurrents[upper])
    guard let below = first.weights, let above = second.weights else { return nil }
    let scopes = (first.node.modulePath, second.node.modulePath)
    guard
      first.operation == second.operation && first.direction == second.direction
        && first.relu == second.relu && first.linearBeforeReset == second.linearBeforeReset
        && first.hiddenSize == second.hiddenSize && (below.b == nil) == (above.b == nil)
        && second.inputSize == first.directionCount * first.hiddenSize
        && first.refusal == nil && second.refusal == nil
        && first.node.input(4) == second.node.input(4)
        && (scopes.0 == nil || scopes.1 == nil || scopes.0 == scopes.1),
      let layout = trace.layout, isWholeSequence(layout, of: nodes[0], for: second)
    else { return nil }
    return nodes[0]
  }

  /// Whether a layout is the output of all directions of a node, as another one reads it.
  func isWholeSequence(
    _ layout: ONNXLayout, of number: Int, for reader: ONNXRecurrentNode
  ) -> Bool {
    guard layout.axes.count == 3, let time = follower.time[number],
      let batch = follower.batch[number], let features = layout.features,
      features.parts.map(\.direction) == Array(0..<follower.recurrents[number].directionCount),
      features.parts.allSatisfy({ $0.node == number && $0.step == .all })
    else { return false }
    return reader.batchMajor
      ? layout.isLead(0, batch) && layout.isLead(1, time)
      : layout.isLead(0, time) && layout.isLead(1, batch)
  }

  mutating func addStack(_ stack: [Int], _ label: String?, _ names: inout ONNXNames) {
    let nodes = stack.map { follower.recurrents[$0] }
    let first = nodes[0]
    let path = first.node.modulePath
    let word = path.flatMap { $0.isEmpty ? nil : $0 } ?? first.operation.rawValue.lowercased()
    let base = label.map { "\($0).\(word)" }
    var module = Structure.Module(
      name: names.unique(base ?? path ?? "rnn"), kind: .recurrent,
      className: first.operation.rawValue)
    module.recurrent = Self.recurrent(nodes)
    module.refusal = nodes.lazy.compactMap(\.refusal).first
    if label != nil {
      module.remarks.append(.insideAnotherGraph)
    }
    let index = modules.count
    modules.append(Module(module: module, content: .recurrent(stack)))
    for (layer, number) in stack.enumerated() {
      owner[.recurrent(number)] = index
      layers[number] = layer
    }
  }

  static func recurrent(_ nodes: [ONNXRecurrentNode]) -> Structure.Recurrent {
    let first = nodes[0]
    var result = Structure.Recurrent()
    switch first.operation {
    case .rnn: result.cell = first.relu ? "rnn_relu" : "rnn_tanh"
    case .lstm: result.cell = "lstm"
    case .gru:
      result.cell = "gru"
      result.gruReset = first.linearBeforeReset ? "after" : "before"
    }
    result.layerCount = nodes.count
    result.direction = first.direction
    if let weights = first.weights {
      result.inputSize = first.inputSize
      result.hiddenSize = first.hiddenSize
      result.hasBias = weights.b != nil
    }
    result.activations = first.activations
    if let clip = first.node.attribute("clip")?.float, clip != 0 { result.clip = Double(clip) }
    if let coupled = first.node.integer("input_forget"), coupled != 0 {
      result.couplesInputForget = true
    }
    result.takesLengths = nodes.contains(where: \.sequenceLengths)
    return result
  }

  mutating func addEmbedding(_ number: Int, _ names: inout ONNXNames) {
    let embedding = follower.embeddings[number]
    let stored = ONNXFollower.prefix(of: follower.values.root(of: embedding.table), "weight")
    let path = embedding.node.modulePath.flatMap { $0.isEmpty ? nil : $0 }
    owner[.embedding(number)] = modules.count
    modules.append(
      Module(
        module: Structure.Module(
          name: names.unique(stored ?? path ?? "embedding"), kind: .embedding,
          className: embedding.node.operation),
        content: .embedding(number)))
  }

  mutating func addLinear(_ number: Int, _ names: inout ONNXNames) {
    let linear = follower.linears[number]
    let values = follower.values
    // The same matrix and bias twice are one layer that is used twice.
    let key = [linear.weightValue, linear.biasValue ?? Name("")]
    if let known = linearOfTensors[key] {
      owner[.linear(number)] = known
      return
    }
    linearOfTensors[key] = modules.count
    let node = values.graph.nodes[linear.node]
    let path = node.modulePath.flatMap { $0.isEmpty ? nil : $0 }
    let bias = ONNXFollower.prefix(of: linear.biasValue.flatMap { values.root(of: $0) }, "bias")
    let weight = ONNXFollower.prefix(of: values.root(of: linear.weightValue), "weight")
    // A matrix shared with an embedding has the embedding's name.
    let candidates = [bias, weight, path].compactMap { $0 }
    let name = candidates.first { !names.isUsed($0) } ?? candidates.first ?? "classifier"
    owner[.linear(number)] = modules.count
    modules.append(
      Module(
        module: Structure.Module(
          name: names.unique(name), kind: .linear, className: node.operation),
        content: .linear(number)))
  }

  mutating func addOther(_ number: Int, _ label: String?, _ names: inout ONNXNames) {
    let other = follower.others[number]
    let node = follower.values.graph.nodes[other.node]
    let operation = node.operation
    let isRecurrent = ["RNN", "LSTM", "GRU"].contains { operation.hasSuffix($0) }
    let name = other.name.flatMap { $0.isEmpty ? nil : $0 } ?? operation.lowercased()
    var module = Structure.Module(
      name: names.unique(label.map { "\($0).\(name)" } ?? name), kind: .other, className: operation)
    if let refusal = other.refusal {
      module.kind = isRecurrent ? .recurrent : .linear
      module.refusal = refusal
    }
    modules.append(Module(module: module, content: .other(number)))
  }
}
