import Tensors

/// Makes a state dict of a model: the recurrent modules by part, the rest by name.
struct ONNXStateReader {
  private let model: ONNXModel
  private let tensors: [Name: Tensor]
  private let values: ONNXValues
  /// Stored tensors of types that a state dict cannot hold.
  private let unreadable: [String]
  private var zeros: [Name: Bool] = [:]

  init(_ model: ONNXModel, _ reader: ONNXTensorReader) throws {
    self.model = model
    var tensors: [Name: Tensor] = [:]
    var unreadable: [String] = []
    var total = 0
    for record in model.graph.initializers {
      guard let tensor = try reader.tensor(record) else {
        unreadable.append("\(record.name) (element type \(record.dataType))")
        continue
      }
      tensors[record.name] = tensor
      let (sum, overflow) = total.addingReportingOverflow(tensor.byteCount)
      total = overflow ? Int.max : sum
    }
    self.tensors = tensors
    self.unreadable = unreadable
    values = try ONNXValues(model.graph, reader, byteCount: total)
  }

  mutating func state() throws -> StateDict {
    var state = StateDict()
    var finder = ONNXModuleFinder(values)
    let modules = finder.modules()
    var used: Set<Name> = []
    for found in modules { used.formUnion(try append(found, to: &state)) }
    var constants: [Name] = []
    for record in model.graph.initializers {
      guard let tensor = tensors[record.name], !used.contains(record.name) else { continue }
      // Shapes, axes and scalars steer the graph; they are no weights.
      let isConstant =
        values.consumers[record.name] != nil
        && (tensor.shape.isEmpty
          || ([.i64, .i32, .bool].contains(tensor.dtype) && tensor.shape.count < 2))
      if isConstant {
        constants.append(record.name)
      } else {
        try state.append(record.name, tensor)
      }
    }
    // What the graph says is not taken from a pair that claims it.
    var seen: Set<Name> = [Name(ONNXModule.metadataKey)]
    state.metadata = Metadata(unique: model.metadata.filter { seen.insert(Name($0.key)).inserted })
    if !modules.isEmpty {
      state.metadata[ONNXModule.metadataKey] = ONNXModule.text(modules.map(\.module))
    }
    state.skipped = skipped(constants)
    return state
  }

  /// Adds a module's tensors under the names of their parts; returns the stored tensors that they are
  /// made of.
  private mutating func append(_ found: ONNXFoundModule, to state: inout StateDict) throws -> Set<
    Name
  > {
    let module = found.module
    var used: Set<Name> = []
    func add(_ name: Name, _ tensor: Tensor, from value: Name) throws {
      try state.append(name, tensor)
      used.formUnion(values.roots(of: value))
    }
    if let (value, tensor) = found.embedding, let prefix = module.embedding {
      try add("\(prefix)weight", tensor, from: value)
    }
    for (layer, recurrent) in found.nodes.enumerated() {
      if let weights = recurrent.weights {
        let parts = [("W", weights.w), ("R", weights.r), ("B", weights.b)]
        for (index, (role, tensor)) in parts.enumerated() {
          guard let tensor, let value = recurrent.node.input(index + 1) else { continue }
          try add(module.tensorName(role, layer: layer), tensor, from: value)
        }
      }
      for index in [5, 6] { used.formUnion(zeroState(recurrent.node.input(index))) }
    }
    if let head = found.head, let prefix = module.head {
      try add("\(prefix)weight", head.weight, from: head.weightValue)
      if let bias = head.bias, let value = head.biasValue {
        try add("\(prefix)bias", bias, from: value)
      }
    }
    return used
  }

  /// The stored zeros that an initial state is made of; other numbers are a learned state, and stay.
  private mutating func zeroState(_ value: Name?) -> Set<Name> {
    var value = value
    for _ in 0..<24 {
      guard let name = value else { return [] }
      if let tensor = tensors[name] { return isZero(name, tensor) ? [name] : [] }
      guard let (index, _) = values.producer(of: name) else { return [] }
      value = values.graph.nodes[index].input(0)
    }
    return []
  }

  private mutating func isZero(_ name: Name, _ tensor: Tensor) -> Bool {
    if let known = zeros[name] { return known }
    var result = tensor.dtype.isFloatingPoint && tensor.byteCount <= 1 << 24
    if result {
      do {
        try tensor.source.forEachChunk { result = result && $0.allSatisfy { $0 == 0 } }
      } catch {
        result = false
      }
    }
    zeros[name] = result
    return result
  }

  private func skipped(_ constants: [Name]) -> [String] {
    var lines = model.graph.skipped
    func add(_ names: [String], _ what: String) {
      guard !names.isEmpty else { return }
      lines.append(
        "\(names.count) \(what): \(names.prefix(3).joined(separator: ", "))"
          + (names.count > 3 ? ", …" : ""))
    }
    add(constants.map(\.string), "constants of the graph")
    add(unreadable, "tensors of types that only ONNX has")
    let nodes = model.graph.nodes
    add(
      nodes.filter { $0.attributes.contains(where: \.hasSubgraph) }.map {
        "\($0.place) (\($0.operation))"
      }, "nodes with subgraphs, which are not looked into")
    add(
      nodes.filter { node in
        !node.isStandard && ["RNN", "LSTM", "GRU"].contains { node.operation.hasSuffix($0) }
      }.map { "\($0.place) (\($0.domain).\($0.operation))" },
      "recurrent nodes outside ONNX's operators")
    if model.functionCount > 0 {
      lines.append("\(model.functionCount) local functions, which are not looked into")
    }
    return lines
  }
}
