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
  private(set) var inputAxis: [Int: (input: Int, axis: Int)] = [:]
  private(set) var zeros: Set<Name> = []
  private(set) var states: [Name: ONNXStoredState] = [:]
  private(set) var times: Set<Int> = []
  private var leadCount = 0
  private var unknownCount = 0
  let outputs: Set<Name>
  /// Pays for layouts that grow; what comes after is not understood.
  private var budget = 20_000_000

  private var graph: ONNXGraph { values.graph }

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

  // MARK: Inputs

  mutating func lead(_ size: ONNXSize?) -> ONNXLayout.Lead {
    leadCount += 1
    if let size { return .init(id: leadCount, size: size) }
    unknownCount += 1
    return .init(id: leadCount, size: ONNXSize(unknown: unknownCount))
  }

  private mutating func followInputs() {
    var named: [Name: ONNXSize] = [:]
    for (index, input) in graph.inputs.enumerated() where !values.isInitializer(input.name) {
      var trace = ONNXTrace(sources: [.input(index)], dataType: input.dataType)
      if let shape = input.shape, shape.count <= 32 {
        var axes: [[ONNXLayout.Factor]] = []
        for (axis, dimension) in shape.enumerated() {
          var size: ONNXSize?
          switch dimension {
          case .size(let number): size = ONNXSize(number)
          case .named(let name): size = named[name]
          case .any: break
          }
          let lead = lead(size)
          if case .named(let name) = dimension { named[name] = lead.size }
          inputAxis[lead.id] = (index, axis)
          axes.append([.lead(lead)])
        }
        trace.layout = ONNXLayout(axes: axes)
      } else if let rank = impliedRank(input.name) {
        trace.layout = inputLayout(index, rank: rank)
      }
      traces[input.name] = trace
    }
  }

  private mutating func inputLayout(_ index: Int, rank: Int) -> ONNXLayout {
    var axes: [[ONNXLayout.Factor]] = []
    for axis in 0..<rank {
      let lead = lead(nil)
      inputAxis[lead.id] = (index, axis)
      axes.append([.lead(lead)])
    }
    return ONNXLayout(axes: axes)
  }

  /// The number of axes of an input without a shape, as the first node that takes it must have it.
  private func impliedRank(_ name: Name, depth: Int = 0) -> Int? {
    for index in (values.consumers[name] ?? []).prefix(16) {
      let node = graph.nodes[index]
      guard node.isStandard else { continue }
      if node.operation == "Transpose", let count = node.attribute("perm")?.integers.count,
        (1...32).contains(count)
      {
        return count
      }
      if ONNXModule.Operation(rawValue: node.operation) != nil,
        [0, 5, 6].contains(where: { node.input($0) == name })
      {
        return 3
      }
      // Ids have one axis fewer than the vectors that they choose.
      if depth == 0, node.operation == "Gather", node.input(1) == name, let output = node.output(0),
        let rank = impliedRank(output, depth: 1), rank > 1
      {
        return rank - 1
      }
    }
    return nil
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

  /// Puts the result of an operation that only moves.
  private mutating func put(
    _ node: ONNXNode, _ trace: ONNXTrace, _ layout: ONNXLayout?, output: Int = 0
  )
    -> Bool
  {
    guard let layout, let name = node.output(output) else { return node.output(output) == nil }
    budget -= layout.parts.count
    var result = trace.moved(node.operation, layout)
    result.isExclusive = trace.isExclusive && isTakenOnce(node.input(0))
    traces[name] = result
    return true
  }

  func isTakenOnce(_ name: Name?) -> Bool {
    guard let name else { return false }
    return (values.consumers[name]?.count ?? 0) == 1 && !outputs.contains(name)
      && !allCaptured.contains(name)
  }

  /// Operations that are understood; false for all others.
  private mutating func followKnown(_ index: Int, _ node: ONNXNode, _ trace: ONNXTrace) -> Bool {
    let layout = trace.layout
    switch node.operation {
    case "Identity": return pass(node, trace)
    case "Dropout":
      // Inference drops nothing; a model in training mode does.
      if let mode = node.input(2), sizes.integers(mode) != [0] { return false }
      return pass(node, trace)
    case "Cast":
      guard let type = node.integer("to"), isSameNumber(trace.dataType, type) else { return false }
      return pass(node, trace, type)
    case "Transpose": return put(node, trace, layout?.transposed(permutation(node)))
    case "Squeeze":
      guard let axes = numbers(node, "axes", 1) else { return false }
      return put(node, trace, layout?.squeezed(axes.isEmpty ? nil : axes))
    case "Unsqueeze":
      guard let axes = numbers(node, "axes", 1) else { return false }
      return put(node, trace, layout?.unsqueezed(axes))
    case "Flatten": return put(node, trace, layout?.flattened(node.integer("axis") ?? 1))
    case "Reshape":
      guard
        let shape = node.attribute("shape")?.integers.map({ ONNXSize($0) })
          ?? sizes.list(node.input(1))?.items
      else { return false }
      return put(
        node, trace, layout?.reshaped(shape, allowZero: node.integer("allowzero") == 1))
    case "Slice": return put(node, trace, layout.flatMap { sliced(node, $0) })
    case "Split": return split(node, trace)
    case "Gather":
      guard let indices = sizes.list(node.input(1)) else { return embed(node) }
      let chosen = indices.items.compactMap(\.known)
      guard chosen.count == indices.items.count, !chosen.isEmpty else { return false }
      return put(
        node, trace,
        layout?.gathered(
          node.integer("axis") ?? 0, chosen, isOne: indices.isScalar, times: times))
    case "Concat": return concatenate(node)
    case "MatMul", "Gemm": return followLinear(index, node, trace)
    case "Add":
      // Either operand may be the product.
      return addBias(node, trace, 0)
    default: return activate(node, trace)
    }
  }

  /// A value under another name.
  private mutating func pass(_ node: ONNXNode, _ trace: ONNXTrace, _ dataType: Int? = nil) -> Bool {
    guard let output = node.output(0) else { return true }
    var result = trace
    result.isExclusive = trace.isExclusive && isTakenOnce(node.input(0))
    if let dataType { result.dataType = dataType }
    traces[output] = result
    return true
  }

  private func isSameNumber(_ from: Int?, _ to: Int) -> Bool {
    if from == to { return true }
    // Ids stay what they are among whole numbers of 32 and 64 bits.
    let whole: Set<Int> = [6, 7, 12, 13]
    return from.map { whole.contains($0) && whole.contains(to) } ?? false
  }

  private func permutation(_ node: ONNXNode) -> [Int]? {
    node.attribute("perm").map(\.integers).flatMap { $0.isEmpty ? nil : $0 }
  }

  /// Axes, as an attribute or an input; empty where there are none, `nil` where they are not known.
  private func numbers(_ node: ONNXNode, _ attribute: String, _ input: Int) -> [Int]? {
    if let given = node.attribute(attribute)?.integers, !given.isEmpty { return given }
    guard let name = node.input(input) else { return [] }
    return sizes.integers(name)
  }

  private func sliced(_ node: ONNXNode, _ layout: ONNXLayout) -> ONNXLayout? {
    guard let starts = numbers(node, "starts", 1), let ends = numbers(node, "ends", 2),
      starts.count == ends.count, let named = numbers(node, "axes", 3),
      let steps = numbers(node, "steps", 4), steps.allSatisfy({ $0 == 1 })
    else { return nil }
    let axes = named.isEmpty ? Array(starts.indices) : named
    guard axes.count == starts.count, Set(axes).count == axes.count else { return nil }
    var result: ONNXLayout? = layout
    for (index, axis) in axes.enumerated() {
      result = result?.sliced(axis, starts[index], ends[index], times: times)
    }
    return result
  }

  private mutating func split(_ node: ONNXNode, _ trace: ONNXTrace) -> Bool {
    guard let layout = trace.layout, let given = numbers(node, "split", 1),
      !layout.hasUnknownAxes, node.outputs.count <= 64
    else { return false }
    let named = node.integer("axis") ?? 0
    let axis = named < 0 ? named + layout.axes.count : named
    guard layout.axes.indices.contains(axis), let size = layout.size(axis)?.known, size < 1 << 40
    else { return false }
    var lengths = given
    if lengths.isEmpty {
      let each = (size + node.outputs.count - 1) / max(1, node.outputs.count)
      lengths = node.outputs.indices.map { max(0, min(each, size - $0 * each)) }
    }
    guard lengths.count >= node.outputs.count, lengths.allSatisfy({ (1...size).contains($0) })
    else {
      return false
    }
    var start = 0
    var parts: [ONNXLayout] = []
    for length in lengths.prefix(node.outputs.count) {
      guard let part = layout.sliced(axis, start, start + length, times: times) else {
        return false
      }
      parts.append(part)
      start += length
    }
    for (output, part) in parts.enumerated() { _ = put(node, trace, part, output: output) }
    return true
  }

  private mutating func concatenate(_ node: ONNXNode) -> Bool {
    let parts = node.inputs.prefix(256).compactMap { traces[$0] }
    let layouts = parts.compactMap(\.layout)
    guard parts.count == node.inputs.count, layouts.count == parts.count, let first = parts.first,
      parts.allSatisfy({ $0.operations.isEmpty && $0.activation == nil })
    else { return false }
    if parts.count == 1 { return put(node, first, layouts[0]) }
    guard parts.allSatisfy({ $0.recurrentNodes != nil }), let axis = node.integer("axis"),
      let layout = ONNXLayout.joined(layouts, axis), let output = node.output(0)
    else { return false }
    budget -= layout.parts.count
    var result = first.moved("Concat", layout)
    result.sources = []
    for source in parts.flatMap(\.sources) where !result.sources.contains(source) {
      guard result.sources.count < 4096 else { return false }
      result.sources.append(source)
    }
    result.isExclusive = false
    traces[output] = result
    return true
  }

  // MARK: Stored states

  /// Zeros, and stored tensors on their way to an initial state.
  private mutating func followState(_ node: ONNXNode) {
    guard let output = node.output(0) else { return }
    if node.operation == "ConstantOfShape" {
      let record = node.attribute("value")?.tensor
      let bytes = record.flatMap { values.stored(attribute: $0) }.flatMap { try? $0.bytes() }
      if record == nil || bytes?.allSatisfy({ $0 == 0 }) == true { zeros.insert(output) }
      return
    }
    // Before there was ConstantOfShape.
    if node.operation == "ConstantFill" {
      if (node.attribute("value")?.float ?? 0) == 0 { zeros.insert(output) }
      return
    }
    if let input = node.input(0), zeros.contains(input) {
      let moves: Set<String> = [
        "Identity", "Cast", "Expand", "Slice", "Split", "Transpose", "Squeeze", "Unsqueeze",
        "Reshape", "Tile", "Gather",
      ]
      if moves.contains(node.operation)
        || (node.operation == "Concat" && node.inputs.allSatisfy(zeros.contains))
      {
        zeros.formUnion(node.outputs)
      }
      return
    }
    if ["Expand", "Tile"].contains(node.operation), let input = node.input(0),
      let tensor = try? values.tensor(input), tensor.dtype.isFloatingPoint,
      tensor.byteCount <= 1 << 16, let bytes = try? tensor.bytes(), bytes.allSatisfy({ $0 == 0 })
    {
      zeros.insert(output)
      return
    }
    for (index, state) in storedStates(node).enumerated() {
      if let state, let name = node.output(index) { states[name] = state }
    }
  }

  private func storedStates(_ node: ONNXNode) -> [ONNXStoredState?] {
    guard let input = node.input(0) else { return [] }
    let known = states[input]
    switch node.operation {
    case "Expand", "Tile":
      guard
        let base = known ?? (try? values.tensor(input)).map({ ONNXStoredState($0) }),
        base.tensor.dtype.isFloatingPoint
      else { return [] }
      let list = sizes.list(node.input(1))?.items
      if node.operation == "Tile" { return [list.flatMap { base.tiled($0) }] }
      return [(try? base.expanded(list)) ?? nil]
    case "Identity": return [known]
    case "Cast": return [node.integer("to") == known?.tensor.dtype.onnxNumber ? known : nil]
    case "Transpose", "Slice", "Split", "Squeeze", "Unsqueeze":
      guard let known else { return [] }
      return node.outputs.indices.prefix(64).map { moved(known, node, output: $0) }
    default: return []
    }
  }

  /// A state behind a move, where that leaves the expanded axes alone or takes one step of them.
  private func moved(_ state: ONNXStoredState, _ node: ONNXNode, output: Int) -> ONNXStoredState? {
    let rank = state.sizes.count
    switch node.operation {
    case "Transpose":
      let order = permutation(node) ?? Array((0..<rank).reversed())
      guard order.sorted() == Array(0..<rank),
        let tensor = try? ONNXRearrangement(node, output: 0).apply([state.tensor])
      else { return nil }
      var result = ONNXStoredState(tensor)
      result.sizes = order.map { state.sizes[$0] }
      return result
    case "Slice", "Split":
      guard let (axis, range) = cut(node, state, output: output) else { return nil }
      var result = state
      if state.tensor.shape[axis] == 1, state.sizes[axis]?.known != 1 {
        result.sizes[axis] = ONNXSize(range.count)
        return result
      }
      let shape = state.tensor.shape
      let inner = shape[(axis + 1)...].reduce(state.tensor.dtype.byteCount, *)
      guard shape[..<axis].allSatisfy({ $0 == 1 }) else { return nil }
      var cutShape = shape
      cutShape[axis] = range.count
      guard
        let source = try? WindowSource(
          state.tensor.source, offset: range.lowerBound * inner, count: range.count * inner),
        let tensor = try? Tensor(dtype: state.tensor.dtype, shape: cutShape, source: source)
      else { return nil }
      result.tensor = tensor
      result.sizes[axis] = ONNXSize(range.count)
      return result
    default: return nil
    }
  }

  /// The axis and the range that a Slice or Split of a state takes.
  private func cut(_ node: ONNXNode, _ state: ONNXStoredState, output: Int) -> (Int, Range<Int>)? {
    func position(_ axis: Int) -> Int? {
      let axis = axis < 0 ? axis + state.sizes.count : axis
      return state.sizes.indices.contains(axis) ? axis : nil
    }
    if node.operation == "Split" {
      guard let axis = position(node.integer("axis") ?? 0), let size = state.sizes[axis]?.known,
        (1..<1 << 40).contains(size), let given = numbers(node, "split", 1)
      else { return nil }
      let each = (size + node.outputs.count - 1) / max(1, node.outputs.count)
      let lengths = given.isEmpty ? node.outputs.map { _ in each } : given
      guard output < lengths.count, lengths.count < 1 << 16,
        lengths.allSatisfy({ (1...size).contains($0) })
      else { return nil }
      let start = lengths[..<output].reduce(0, +)
      let end = min(size, start + lengths[output])
      return start < end ? (axis, start..<end) : nil
    }
    guard let starts = numbers(node, "starts", 1), let ends = numbers(node, "ends", 2),
      let axes = numbers(node, "axes", 3), let steps = numbers(node, "steps", 4),
      starts.count == 1, ends.count == 1, axes.count < 2, steps.allSatisfy({ $0 == 1 }),
      let axis = position(axes.first ?? 0), let size = state.sizes[axis]?.known, size < 1 << 40
    else { return nil }
    func clamped(_ position: Int) -> Int {
      position < 0 ? max(0, position + size) : min(position, size)
    }
    let (low, high) = (clamped(starts[0]), clamped(ends[0]))
    return low < high ? (axis, low..<high) : nil
  }

  // MARK: Operations that are not understood

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
  private mutating func followUnknown(_ index: Int, _ node: ONNXNode, isNoted: Bool) {
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
  private mutating func followQuantised(_ index: Int, _ node: ONNXNode) -> Bool {
    let isRecurrent =
      !node.isStandard && ["RNN", "LSTM", "GRU"].contains { node.operation.hasSuffix($0) }
    let isProduct = [
      "MatMulInteger", "QLinearMatMul", "DynamicQuantizeMatMul", "MatMulIntegerToFloat", "QGemm",
      "MatMulNBits",
    ].contains(node.operation)
    guard isRecurrent || isProduct else { return false }
    let isQuantised = isProduct || node.operation.contains("Quantize")
    let refusal = RecurrentError(
      .unsupported, isQuantised ? "onnx.quantised" : "onnx.operator", at: node.place,
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

  /// What stands before ".weight" in a stored name; `nil` when the name does not end so.
  static func prefix(of name: Name?, _ role: String) -> String? {
    guard let text = name?.string else { return nil }
    if text == role { return "" }
    return text.hasSuffix("." + role) ? String(text.dropLast(role.count + 1)) : nil
  }
}
