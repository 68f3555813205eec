import Tensors

/// The way from a value back to what it was made of, through nodes that only rearrange.
struct ONNXTrace {
  /// Where the way ends.
  enum Origin {
    /// The output Y of a recurrent node, by its place in the graph.
    case recurrent(Int)
    /// A table of vectors, and the token ids that choose from it.
    case embedding(table: Name, ids: Name?)
    /// An input of the model, or anything that computes.
    case other
  }

  /// The rearranging nodes, nearest to the origin first.
  private(set) var moves: [ONNXNode] = []
  /// Where the way ends.
  private(set) var origin = Origin.other
  private static let lengthLimit = 64

  /// Follows a value backwards.
  init(from value: Name?, _ values: ONNXValues) {
    var value = value
    var backwards: [ONNXNode] = []
    for _ in 0..<Self.lengthLimit {
      guard let name = value, let (index, output) = values.producer(of: name) else { break }
      let node = values.graph.nodes[index]
      guard node.isStandard else { break }
      switch node.operation {
      case "Identity", "Dropout", "Cast": break
      case "Transpose", "Squeeze", "Reshape", "Unsqueeze": backwards.append(node)
      case "RNN", "LSTM", "GRU":
        if output == 0 { origin = .recurrent(index) }
        value = nil
      case "Gather":
        if let table = node.input(0), (node.integer("axis") ?? 0) == 0,
          let tensor = try? values.tensor(table), tensor.shape.count == 2,
          tensor.dtype.isFloatingPoint
        {
          origin = .embedding(table: table, ids: node.input(1))
        }
        value = nil
      default: value = nil
      }
      if value != nil { value = node.input(0) }
    }
    moves = backwards.reversed()
  }

  /// Whether the moves exchange the first two axes, all in all.
  var swapsFirstAxes: Bool {
    moves.count { node in
      guard node.operation == "Transpose", let order = node.attribute("perm")?.integers,
        order.count >= 2
      else { return false }
      return order[0] == 1 && order[1] == 0
    } % 2 == 1
  }

  /// Whether Y of a layer arrives as X of the next one: (T, D, N, H) as (T, N, D·H), in either layout.
  func feeds(
    directions: Int, fromBatchMajor: Bool, toBatchMajor: Bool, _ values: ONNXValues
  ) -> Bool {
    var axes: [Character] = fromBatchMajor ? ["N", "T", "D", "H"] : ["T", "D", "N", "H"]
    for node in moves {
      switch node.operation {
      case "Transpose":
        guard let order = node.attribute("perm")?.integers,
          order.sorted() == Array(axes.indices)
        else { return false }
        axes = order.map { axes[$0] }
      case "Squeeze":
        guard directions == 1, let axis = axes.firstIndex(of: "D") else { return false }
        let named =
          node.attribute("axes")?.integers
          ?? node.input(1).flatMap {
            try? values.integers($0)
          }
        guard named == nil || named == [axis] || named == [axis - axes.count] else { return false }
        axes.remove(at: axis)
      case "Reshape":
        // Features of the directions may only be joined where they lie side by side.
        guard let axis = axes.firstIndex(of: "D"), directions == 1 || axis == axes.count - 2,
          axes.last == "H", reshapesToThreeAxes(node, values)
        else { return false }
        axes.remove(at: axis)
      default: return false
      }
    }
    return axes == (toBatchMajor ? ["N", "T", "H"] : ["T", "N", "H"])
  }

  private func reshapesToThreeAxes(_ node: ONNXNode, _ values: ONNXValues) -> Bool {
    guard let shape = node.input(1) else { return node.attribute("shape")?.integers.count == 3 }
    // A shape that is computed from the input's is taken at its word; sizes are checked anyway.
    guard let sizes = try? values.integers(shape) else { return true }
    return sizes.count == 3
  }
}
