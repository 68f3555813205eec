import Tensors

/// A recurrent module with the nodes and tensors that it was found in.
struct ONNXFoundModule {
  var module: ONNXModule
  var nodes: [ONNXRecurrentNode]
  var head: ONNXHead?
  var embedding: (value: Name, tensor: Tensor)?
}

/// Finds the recurrent modules of a graph: chains of recurrent nodes, each with what lies before and
/// after it.
struct ONNXModuleFinder {
  private let values: ONNXValues
  private let nodes: [ONNXRecurrentNode]
  private var usedPrefixes: Set<Name> = []
  /// Where counting goes on for a path, so that many modules of one name stay cheap.
  private var nextNumbers: [Name: Int] = [:]

  init(_ values: ONNXValues) {
    self.values = values
    nodes = values.graph.nodes.indices.compactMap { ONNXRecurrentNode($0, values) }
  }

  /// The modules in the order of their first nodes.
  mutating func modules() -> [ONNXFoundModule] {
    guard !nodes.isEmpty else { return unrolled() }
    let positions = Dictionary(
      uniqueKeysWithValues: nodes.enumerated().map { ($0.element.index, $0.offset) })
    var successor: [Int: Int] = [:]
    var hasPredecessor: Set<Int> = []
    let traces = nodes.map { ONNXTrace(from: $0.node.input(0), values) }
    for (position, node) in nodes.enumerated() {
      guard case .recurrent(let index) = traces[position].origin, let before = positions[index],
        before != position, successor[before] == nil,
        continues(nodes[before], node, traces[position])
      else { continue }
      successor[before] = position
      hasPredecessor.insert(position)
    }
    var found: [ONNXFoundModule] = []
    for start in nodes.indices where !hasPredecessor.contains(start) {
      var chain = [nodes[start]]
      var position = start
      while let next = successor[position] {
        chain.append(nodes[next])
        position = next
      }
      found.append(module(chain, traces[start]))
    }
    return found
  }

  /// Whether two nodes are layers of one module of PyTorch.
  private func continues(
    _ first: ONNXRecurrentNode, _ second: ONNXRecurrentNode, _ trace: ONNXTrace
  ) -> Bool {
    guard let below = first.weights, let above = second.weights else { return false }
    let scopes = (first.node.modulePath, second.node.modulePath)
    return first.operation == second.operation && first.bidirectional == second.bidirectional
      && first.relu == second.relu && first.linearBeforeReset == second.linearBeforeReset
      && first.hiddenSize == second.hiddenSize && (below.b == nil) == (above.b == nil)
      && second.inputSize == first.directionCount * first.hiddenSize
      && first.refusal == nil && second.refusal == nil
      && (scopes.0 == nil || scopes.1 == nil || scopes.0 == scopes.1)
      && trace.feeds(
        directions: first.directionCount, fromBatchMajor: first.batchMajor,
        toBatchMajor: second.batchMajor, values)
  }

  private mutating func module(
    _ chain: [ONNXRecurrentNode], _ trace: ONNXTrace
  ) -> ONNXFoundModule {
    let first = chain[0]
    let path = first.node.modulePath
    var module = ONNXModule(prefix: unique(path ?? "rnn"), operation: first.operation)
    module.layerCount = chain.count
    module.bidirectional = first.bidirectional
    module.bias = first.weights?.b != nil
    module.relu = first.relu
    module.linearBeforeReset = first.linearBeforeReset
    module.sequenceLengths = chain.contains { $0.sequenceLengths }
    module.refusal = chain.lazy.compactMap(\.refusal).first
    var swaps = trace.swapsFirstAxes != first.batchMajor
    var found = ONNXFoundModule(module: module, nodes: chain, head: nil, embedding: nil)
    if case .embedding(let table, let ids) = trace.origin {
      if ONNXTrace(from: ids, values).swapsFirstAxes { swaps.toggle() }
      if let tensor = try? values.tensor(table), tensor.shape[1] == first.inputSize {
        found.embedding = (table, tensor)
        found.module.embedding = unique(
          ONNXHead.prefix(of: values.root(of: table), "weight") ?? "embedding")
      }
    }
    found.module.batchFirst = swaps
    if let last = chain.last,
      let head = ONNXHead(after: last, features: last.directionCount * last.hiddenSize, values)
    {
      found.head = head
      found.module.head = unique(head.path ?? "classifier")
    }
    return found
  }

  /// A prefix that no other module has; tensors are named after it.
  private mutating func unique(_ path: String) -> String {
    var candidate = path.isEmpty ? "" : path + "."
    var number = nextNumbers[Name(path)] ?? 1
    while !usedPrefixes.insert(Name(candidate)).inserted {
      candidate = "\(path)_\(number)."
      number += 1
    }
    nextNumbers[Name(path)] = number
    return candidate
  }

  /// PyTorch's newer exporter writes `nn.RNN` as one MatMul after the other, for one length of sequence.
  private mutating func unrolled() -> [ONNXFoundModule] {
    var paths: [String] = []
    var seen: Set<Name> = []
    for node in values.graph.nodes {
      guard let namespace = node.namespace, namespace.contains("torch.nn.modules.rnn."),
        seen.insert(Name(node.modulePath ?? "")).inserted
      else { continue }
      paths.append(node.modulePath ?? "rnn")
    }
    return paths.map { path in
      var module = ONNXModule(prefix: unique(path), operation: .rnn)
      module.refusal = RecurrentError(
        .malformed, "onnx.unrolled", at: "module \"\(path)\"",
        found: "a recurrent module unrolled into single steps",
        expected: "a node RNN, LSTM or GRU",
        hint: "Export it with torch.onnx.export(…, dynamo=False).")
      return ONNXFoundModule(module: module, nodes: [], head: nil, embedding: nil)
    }
  }
}

extension ONNXNode {
  /// The module of PyTorch that the node comes from ("encoder.rnn"), as either exporter notes it.
  var modulePath: String? {
    if let scopes {
      // "['', 'encoder', 'encoder.rnn', 'lstm']": the last is the operation, the one before the module.
      let parts = scopes.split(separator: ",").map { part in
        String(part.filter { !" []'\"".contains($0) })
      }
      return parts.count >= 2 ? parts[parts.count - 2] : nil
    }
    guard name.hasPrefix("/") else { return nil }
    return name.split(separator: "/", omittingEmptySubsequences: false).dropFirst().dropLast()
      .joined(separator: ".")
  }
}
