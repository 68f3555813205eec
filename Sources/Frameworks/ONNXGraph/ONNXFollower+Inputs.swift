// Where values begin: the inputs of a model.
import Containers
import Tensors

extension ONNXFollower {
  mutating func lead(_ size: ONNXSize?) -> ONNXLayout.Lead {
    leadCount += 1
    if let size { return .init(id: leadCount, size: size) }
    unknownCount += 1
    return .init(id: leadCount, size: ONNXSize(unknown: unknownCount))
  }

  mutating func followInputs() {
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
}
