// Follows values through a graph, once, in the order of computation. Every value that descends from an
// input of the model, a recurrent node, an embedding or a linear layer gets a trace: where its elements
// come from, and which operations on the way are not understood. What a module reads and what the model
// puts out is then compared with what it would have to be; nothing is guessed from shapes.
import Containers
import Tensors

/// One pass over the nodes of a graph.
struct ONNXFollower {
  /// A linear layer: a MatMul or Gemm by a stored matrix, and the Add behind it.
  struct Linear {
    var node: Int
    var weightValue: Name
    /// (C, features), as PyTorch has it.
    var weight: Tensor
    var biasValue: Name?
    var bias: Tensor?
    /// The functions that its output goes through.
    var activations: [String] = []
    var refusal: RecurrentError?
  }

  /// An embedding: a Gather of the rows of a stored table.
  struct Embedding {
    var node: ONNXNode
    var table: Name
    var tensor: Tensor
  }

  /// A module of another kind.
  struct Other {
    var node: Int
    var name: String?
    var refusal: RecurrentError?
  }

  /// What modules are found in the order of computation.
  enum Found {
    case recurrent(Int)
    case embedding(Int)
    case linear(Int)
    case other(Int)
  }

  /// What a module reads.
  struct Use {
    var reader: ONNXTrace.Source
    var trace: ONNXTrace
  }

  let values: ONNXValues
  let operatorSet: Int
  let isBody: Bool
  /// What nodes with graphs inside take from outside of them.
  let captured: [Int: Set<Name>]
  private let allCaptured: Set<Name>
  var traces: [Name: ONNXTrace] = [:]
  var sizes: ONNXSizes
  private(set) var recurrents: [ONNXRecurrentNode] = []
  var linears: [Linear] = []
  var embeddings: [Embedding] = []
  private var embeddingOfTable: [Name: Int] = [:]
  var others: [Other] = []
  var found: [Found] = []
  var uses: [Use] = []
  /// The time and batch axes of every recurrent node.
  private(set) var time: [Int: ONNXLayout.Lead] = [:]
  private(set) var batch: [Int: ONNXLayout.Lead] = [:]
  /// Where in the model's inputs leads come from.
  var inputAxis: [Int: (input: Int, axis: Int)] = [:]
  var zeros: Set<Name> = []
  var states: [Name: ONNXStoredState] = [:]
  private(set) var times: Set<Int> = []
  var leadCount = 0
  var unknownCount = 0
  let outputs: Set<Name>
  /// Pays for layouts that grow; what comes after is not understood.
  var budget = 20_000_000

  var graph: ONNXGraph { values.graph }

  init(_ values: ONNXValues, operatorSet: Int, isBody: Bool, captured: [Int: Set<Name>]) {
    self.values = values
    self.operatorSet = operatorSet
    self.isBody = isBody
    self.captured = captured
    allCaptured = captured.values.reduce(into: []) { $0.formUnion($1) }
    sizes = ONNXSizes(values)
    outputs = Set(values.graph.outputs)
    followInputs()
    for index in order() { visit(index) }
  }

  mutating func addRecurrent(_ node: ONNXRecurrentNode) -> Int {
    recurrents.append(node)
    return recurrents.count - 1
  }

  mutating func note(_ number: Int, time: ONNXLayout.Lead, batch: ONNXLayout.Lead) {
    self.time[number] = time
    self.batch[number] = batch
    times.insert(time.id)
  }

  /// One embedding for each table, however often it is used.
  mutating func addEmbedding(_ node: ONNXNode, _ table: Name, _ tensor: Tensor) -> Int {
    let root = values.root(of: table) ?? table
    if let known = embeddingOfTable[root] { return known }
    embeddings.append(Embedding(node: node, table: table, tensor: tensor))
    embeddingOfTable[root] = embeddings.count - 1
    found.append(.embedding(embeddings.count - 1))
    return embeddings.count - 1
  }

  // MARK: Order

  /// The nodes in an order in which every value is made before it is used; nodes of a cycle last.
  private func order() -> [Int] {
    var missing = [Int](repeating: 0, count: graph.nodes.count)
    var waiting: [Int: [Int]] = [:]
    for (index, node) in graph.nodes.enumerated() {
      var producers: Set<Int> = []
      for name in node.inputs {
        if let producer = values.producer(of: name)?.node { producers.insert(producer) }
      }
      for name in captured[index] ?? [] {
        if let producer = values.producer(of: name)?.node { producers.insert(producer) }
      }
      missing[index] = producers.count
      for producer in producers { waiting[producer, default: []].append(index) }
    }
    var result = graph.nodes.indices.filter { missing[$0] == 0 }
    var next = 0
    while next < result.count {
      for index in waiting[result[next]] ?? [] {
        missing[index] -= 1
        if missing[index] == 0 { result.append(index) }
      }
      next += 1
    }
    return result + graph.nodes.indices.filter { missing[$0] > 0 }
  }

  // MARK: Nodes

  private mutating func visit(_ index: Int) {
    let node = graph.nodes[index]
    if node.operation == "Constant", node.isStandard { return }
    budget -= 1
    // A graph inside the node may take what the node itself does not.
    if let names = captured[index], names.contains(where: { traces[$0] != nil }) {
      return followUnknown(index, node, isNoted: false)
    }
    if followQuantised(index, node) { return followUnknown(index, node, isNoted: true) }
    if node.isStandard {
      if let recurrent = ONNXRecurrentNode(index, values) { return follow(recurrent) }
      if let first = traces[node.input(0) ?? Name("")] {
        if node.operation == "Shape" { return followShape(node, first) }
        if budget > 0, followKnown(index, node, first) { return }
      } else if let second = traces[node.input(1) ?? Name("")], node.operation == "Add",
        addBias(node, second, 1)
      {
        return
      } else if followLinear(index, node, nil) || followUntraced(node) {
        return
      }
    }
    followUnknown(index, node, isNoted: false)
  }

  private mutating func followShape(_ node: ONNXNode, _ trace: ONNXTrace) {
    guard let output = node.output(0), let layout = trace.layout, !layout.hasUnknownAxes else {
      return
    }
    let all = layout.axes.indices.compactMap { layout.size($0) }
    guard all.count == layout.axes.count else { return }
    func bound(_ name: String, _ standard: Int) -> Int {
      let value = node.integer(name) ?? standard
      return max(0, min(all.count, value < 0 ? value + all.count : value))
    }
    let (start, end) = (bound("start", 0), bound("end", all.count))
    sizes.note(output, start < end ? Array(all[start..<end]) : [])
  }

  /// Operations without a traced input: sizes, zeros and stored states.
  private mutating func followUntraced(_ node: ONNXNode) -> Bool {
    if embed(node) { return true }
    guard !node.inputs.contains(where: { traces[$0] != nil }) else { return false }
    sizes.follow(node)
    followState(node)
    return true
  }

  func isTakenOnce(_ name: Name?) -> Bool {
    guard let name else { return false }
    return (values.consumers[name]?.count ?? 0) == 1 && !outputs.contains(name)
      && !allCaptured.contains(name)
  }

  /// What stands before ".weight" in a stored name; `nil` when the name does not end so.
  static func prefix(of name: Name?, _ role: String) -> String? {
    guard let text = name?.string else { return nil }
    if text == role { return "" }
    return text.hasSuffix("." + role) ? String(text.dropLast(role.count + 1)) : nil
  }
}
