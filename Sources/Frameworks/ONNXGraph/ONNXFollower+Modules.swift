import Containers
import Tensors

// What modules read, and what comes out of them.
extension ONNXFollower {
  /// A recurrent node: Y and the states get layouts of their own.
  mutating func follow(_ recurrent: ONNXRecurrentNode) {
    let number = addRecurrent(recurrent)
    let node = recurrent.node
    found.append(.recurrent(number))
    let input = node.input(0).flatMap { traces[$0] }
    if let input { uses.append(Use(reader: .recurrent(number), trace: input)) }
    let (timeAxis, batchAxis) = recurrent.batchMajor ? (1, 0) : (0, 1)
    let stated = node.input(0).flatMap { values.graph.shapes[$0] }
    let time = axis(timeAxis, of: input?.layout, stated)
    let batch = axis(batchAxis, of: input?.layout, stated)
    note(number, time: time, batch: batch)
    var hidden = recurrent.weights == nil ? node.integer("hidden_size") ?? 0 : recurrent.hiddenSize
    if hidden > 1 << 30 { hidden = 0 }
    func parts(_ step: ONNXLayout.Part.Step) -> [ONNXLayout.Factor] {
      [
        .parts(
          (0..<recurrent.directionCount).map {
            ONNXLayout.Part(node: number, direction: $0, step: step)
          })
      ]
    }
    for (output, step) in [ONNXLayout.Part.Step.all, .final, .cell].enumerated() {
      guard let name = node.output(output) else { continue }
      var axes = [parts(step), [.lead(batch)], [.feature(hidden)]]
      if recurrent.batchMajor { axes.swapAt(0, 1) }
      if output == 0 {
        axes =
          recurrent.batchMajor
          ? [[.lead(batch)], [.lead(time)], parts(step), [.feature(hidden)]]
          : [[.lead(time)], parts(step), [.lead(batch)], [.feature(hidden)]]
      }
      var trace = ONNXTrace(sources: [.recurrent(number)])
      trace.layout = hidden > 0 ? ONNXLayout(axes: axes) : nil
      if trace.layout == nil { trace.operations = [node.operation] }
      trace.dataType = recurrent.weights?.w.dtype.onnxNumber
      traces[name] = trace
    }
  }

  /// A lead of what a node reads, or a new one where that is made of something else.
  private mutating func axis(
    _ axis: Int, of layout: ONNXLayout?, _ stated: [ONNXInput.Dimension]?
  ) -> ONNXLayout.Lead {
    guard let layout, !layout.hasUnknownAxes, layout.axes.count == 3 else {
      if let stated, stated.count == 3, case .size(let size) = stated[axis] {
        return lead(ONNXSize(size))
      }
      return lead(nil)
    }
    if layout.axes[axis].count == 1, case .lead(let found) = layout.axes[axis][0],
      found.range == nil
    {
      return found
    }
    return lead(layout.size(axis))
  }

  /// An embedding, where ids choose rows of a stored table.
  mutating func embed(_ node: ONNXNode) -> Bool {
    guard node.operation == "Gather", (node.integer("axis") ?? 0) == 0, let table = node.input(0),
      let ids = node.input(1), let trace = traces[ids], traces[table] == nil,
      let tensor = try? values.tensor(table), tensor.shape.count == 2,
      tensor.dtype.isFloatingPoint
    else { return false }
    let number = addEmbedding(node, table, tensor)
    uses.append(Use(reader: .embedding(number), trace: trace))
    guard let output = node.output(0) else { return true }
    var result = ONNXTrace(sources: [.embedding(number)], dataType: tensor.dtype.onnxNumber)
    result.layout = pointwise(trace.layout, keeping: trace.layout?.axes.count, tensor.shape[1])
    result.isExclusive = false
    traces[output] = result
    return true
  }

  /// The layout of vectors that stand where the first axes of a value were.
  private func pointwise(_ layout: ONNXLayout?, keeping count: Int?, _ size: Int) -> ONNXLayout {
    guard let layout, let count, !layout.hasUnknownAxes, count <= layout.axes.count,
      !layout.axes.prefix(count).joined().contains(where: { factor in
        if case .lead = factor { return false }
        return true
      })
    else { return ONNXLayout(axes: [[.feature(size)]], hasUnknownAxes: true) }
    return ONNXLayout(axes: Array(layout.axes.prefix(count)) + [[.feature(size)]])
  }

  /// A linear layer; false where the product is something else.
  mutating func followLinear(_ index: Int, _ node: ONNXNode, _ trace: ONNXTrace?) -> Bool {
    let transposed: Bool
    switch node.operation {
    case "MatMul": transposed = true
    case "Gemm":
      guard (node.integer("transA") ?? 0) == 0, (node.attribute("alpha")?.float ?? 1) == 1,
        (node.attribute("beta")?.float ?? 1) == 1
      else { return false }
      transposed = (node.integer("transB") ?? 0) == 0
    default: return false
    }
    guard let name = node.input(1), traces[name] == nil, let first = node.input(0),
      !values.isFixed(first), let stored = try? values.tensor(name),
      stored.dtype.isFloatingPoint, stored.shape.count == 2, !stored.shape.contains(0),
      let weight = transposed ? try? values.transposed(name) : stored,
      // What has only one axis is no row of a batch, and a known width must fit.
      trace?.layout.map({ layout in
        layout.hasUnknownAxes
          || (layout.axes.count > 1
            && (layout.size(layout.axes.count - 1)?.known ?? weight.shape[1]) == weight.shape[1])
      }) ?? true
    else { return false }
    var linear = Linear(node: index, weightValue: name, weight: weight)
    if node.operation == "Gemm", let bias = node.input(2) {
      guard let tensor = bias1D(bias, weight.shape[0], rank: 2) else { return false }
      linear.biasValue = bias
      linear.bias = tensor
    }
    linears.append(linear)
    let number = linears.count - 1
    found.append(.linear(number))
    if let trace { uses.append(Use(reader: .linear(number), trace: trace)) }
    guard let output = node.output(0) else { return true }
    var result = ONNXTrace(sources: [.linear(number)], dataType: weight.dtype.onnxNumber)
    let layout = trace?.layout
    result.layout = pointwise(layout, keeping: layout.map { $0.axes.count - 1 }, weight.shape[0])
    traces[output] = result
    return true
  }

  private func bias1D(_ name: Name, _ classes: Int, rank: Int?) -> Tensor? {
    guard traces[name] == nil, let tensor = try? values.tensor(name),
      tensor.dtype.isFloatingPoint, tensor.elementCount == classes, tensor.shape.last == classes,
      rank.map({ tensor.shape.count <= $0 }) ?? (tensor.shape.count == 1)
    else { return nil }
    return try? Tensor(dtype: tensor.dtype, shape: [classes], source: tensor.source)
  }

  /// The sum of a linear layer's product and its bias; `operand` is the product.
  mutating func addBias(_ node: ONNXNode, _ trace: ONNXTrace, _ operand: Int) -> Bool {
    guard node.inputs.count == 2, trace.isClean, trace.isExclusive, trace.activation == nil,
      isTakenOnce(node.input(operand)), trace.sources.count == 1,
      case .linear(let number) = trace.sources[0], linears[number].biasValue == nil,
      let layout = trace.layout, layout.axes.last == [.feature(linears[number].weight.shape[0])],
      let name = node.input(1 - operand),
      let bias = bias1D(
        name, linears[number].weight.shape[0],
        rank: layout.hasUnknownAxes ? nil : layout.axes.count),
      let output = node.output(0)
    else { return false }
    linears[number].biasValue = name
    linears[number].bias = bias
    traces[output] = trace
    return true
  }

  private static let activations = [
    "Relu": "relu", "Tanh": "tanh", "Sigmoid": "sigmoid", "Softplus": "softplus",
    "Softsign": "softsign", "Softmax": "softmax", "LogSoftmax": "log_softmax",
  ]

  /// A function right behind a linear layer.
  mutating func activate(_ node: ONNXNode, _ trace: ONNXTrace) -> Bool {
    guard let word = Self.activations[node.operation], trace.isClean, trace.activation == nil,
      trace.sources.count == 1, case .linear(let number) = trace.sources[0],
      let layout = trace.layout, let output = node.output(0)
    else { return false }
    if word.hasSuffix("softmax") {
      // Before version 13 all axes from this one on were one.
      let rank = layout.axes.count
      let named = node.integer("axis") ?? (operatorSet < 13 ? 1 : -1)
      guard named == -1 || (!layout.hasUnknownAxes && named == rank - 1),
        layout.axes.last == [.feature(linears[number].weight.shape[0])]
      else { return false }
    }
    linears[number].activations.append(word)
    var result = trace
    result.activation = word
    traces[output] = result
    return true
  }
}
