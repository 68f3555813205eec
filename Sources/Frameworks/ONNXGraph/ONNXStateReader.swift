import Containers
import Tensors

/// Makes a state dict of a model: the modules by part, the rest by name, and what the graph states.
struct ONNXStateReader {
  private let model: ONNXModel
  private let tensors: [Name: Tensor]
  private let values: ONNXValues
  /// The values of the graphs inside nodes and of functions, in the model's order.
  private let inner: [ONNXValues]
  /// Stored tensors of types that a state dict cannot hold.
  private let unreadable: [String]

  init(_ model: ONNXModel, _ reader: ONNXTensorReader) throws {
    self.model = model
    var unreadable: [String] = []
    func readable(_ graph: ONNXGraph) throws -> ([Name: Tensor], Int) {
      var tensors: [Name: Tensor] = [:]
      var total = 0
      for record in graph.initializers {
        guard let tensor = try reader.tensor(record) else {
          unreadable.append("\(record.name) (element type \(record.dataType))")
          continue
        }
        tensors[record.name] = tensor
        let (sum, overflow) = total.addingReportingOverflow(tensor.byteCount)
        total = overflow ? Int.max : sum
      }
      return (tensors, total)
    }
    let (tensors, total) = try readable(model.graph)
    self.tensors = tensors
    let values = try ONNXValues(model.graph, reader, byteCount: total)
    self.values = values
    var inner: [ONNXValues] = []
    for body in model.bodies {
      let count = try readable(body.graph).1
      let outer = body.isFunction ? nil : body.parent.map { inner[$0] } ?? values
      inner.append(try ONNXValues(body.graph, reader, byteCount: count, outer: outer))
    }
    self.inner = inner
    self.unreadable = unreadable
  }

  func state() throws -> StateDict {
    var state = StateDict()
    var names = ONNXNames()
    let follower = ONNXFollower(
      values, operatorSet: model.opset, isBody: false,
      captured: captured(by: model.graph, in: model.captured()))
    var found = ONNXStructure(follower, label: nil, names: &names)
    var used = try append(&found, to: &state)
    var structure = found.structure
    if follower.recurrents.isEmpty { addUnrolled(to: &structure, &names) }
    try readBodies(into: &state, &structure, &names, &used)
    let constants = try carry(into: &state, except: used)
    var seen: Set<Name> = []
    state.metadata = Metadata(unique: model.metadata.filter { seen.insert(Name($0.key)).inserted })
    structure.convention = "onnx"
    state.structure = structure
    state.skipped = skipped(constants)
    return state
  }

  private func captured(by graph: ONNXGraph, in bodies: [Set<Name>]) -> [Int: Set<Name>] {
    var result: [Int: Set<Name>] = [:]
    for (index, node) in graph.nodes.enumerated() where !node.bodies.isEmpty {
      result[index] = node.bodies.reduce(into: []) { $0.formUnion(bodies[$1]) }
    }
    return result
  }

  /// Adds the modules' tensors under the names of their parts; returns the stored tensors that they are
  /// made of.
  private func append(_ found: inout ONNXStructure, to state: inout StateDict) throws -> Set<Name> {
    var used: Set<Name> = []
    let follower = found.follower
    let values = follower.values
    func add(_ name: Name, _ tensor: Tensor, from value: Name) throws {
      try values.charge(1, at: "tensor \"\(name)\"")
      try state.append(name, tensor)
      used.formUnion(values.roots(of: value))
    }
    for (index, module) in found.modules.enumerated() {
      let name = module.module.name
      let prefix = name.isEmpty ? "" : name + "."
      switch module.content {
      case .embedding(let number):
        let embedding = follower.embeddings[number]
        try add("\(prefix)weight", embedding.tensor, from: embedding.table)
      case .linear(let number):
        let linear = follower.linears[number]
        try add("\(prefix)weight", linear.weight, from: linear.weightValue)
        if let bias = linear.bias, let value = linear.biasValue {
          try add("\(prefix)bias", bias, from: value)
        }
      case .other: break
      case .recurrent(let stack):
        for (layer, number) in stack.enumerated() {
          let recurrent = follower.recurrents[number]
          guard let weights = recurrent.weights else { continue }
          let parts = [("W", weights.w), ("R", weights.r), ("B", weights.b)]
          for (place, (role, tensor)) in parts.enumerated() {
            guard let tensor, let value = recurrent.node.input(place + 1) else { continue }
            try add("\(prefix)\(role)_l\(layer)", tensor, from: value)
          }
        }
        let states = try ONNXInitialStates(found).result(stack, prefix: prefix)
        for (name, tensor) in states.tensors { try state.append(name, tensor) }
        used.formUnion(states.used)
        for number in stack { used.formUnion(zeroStates(follower, number)) }
        found.change(index) { $0.recurrent.initialState = states.state }
      }
    }
    return used
  }

  /// The stored zeros that initial states are made of.
  private func zeroStates(_ follower: ONNXFollower, _ number: Int) -> Set<Name> {
    var result: Set<Name> = []
    for input in [5, 6] {
      guard let name = follower.recurrents[number].node.input(input),
        follower.traces[name] == nil
      else { continue }
      for root in follower.values.roots(of: name) {
        guard let tensor = tensors[root], tensor.dtype.isFloatingPoint,
          tensor.byteCount <= 1 << 24, let bytes = try? tensor.bytes(),
          bytes.allSatisfy({ $0 == 0 })
        else { continue }
        result.insert(root)
      }
    }
    return result
  }

  /// PyTorch's newer exporter writes `nn.RNN` as one MatMul after the other, for one length of sequence.
  private func addUnrolled(to structure: inout Structure, _ names: inout ONNXNames) {
    var seen: Set<Name> = []
    for node in model.graph.nodes {
      guard let namespace = node.namespace, namespace.contains("torch.nn.modules.rnn."),
        seen.insert(Name(node.modulePath ?? "")).inserted
      else { continue }
      let path = node.modulePath ?? "rnn"
      var module = Structure.Module(
        name: names.unique(path), kind: .recurrent, className: ONNXModule.Operation.rnn.rawValue)
      module.refusal = RecurrentError(
        .onnxUnrolled, at: "module \"\(path)\"",
        found: "a recurrent module unrolled into single steps",
        expected: "a node RNN, LSTM or GRU",
        hint: "Export it with torch.onnx.export(…, dynamo=False).")
      structure.modules.append(module)
    }
  }

  // MARK: Graphs inside nodes

  /// Recurrent nodes of branches, loops and functions are modules without connections.
  private func readBodies(
    into state: inout StateDict, _ structure: inout Structure, _ names: inout ONNXNames,
    _ used: inout Set<Name>
  ) throws {
    var labels = ONNXNames()
    var labelOf: [String] = []
    let captured = model.captured()
    for (index, body) in model.bodies.enumerated() {
      let outer = body.parent.map { labelOf[$0] + "." } ?? ""
      labelOf.append(labels.unique(outer + body.label))
      let follower = ONNXFollower(
        inner[index], operatorSet: model.opset, isBody: true,
        captured: self.captured(by: body.graph, in: captured))
      var found = ONNXStructure(follower, label: labelOf[index], names: &names)
      let roots = try append(&found, to: &state)
      structure.modules += found.modules.map(\.module)
      used.formUnion(roots.subtracting(body.graph.initializers.map(\.name)))
      for record in body.graph.initializers {
        guard !roots.contains(record.name), let tensor = try? inner[index].tensor(record.name),
          tensor.dtype.isFloatingPoint, !tensor.shape.isEmpty
        else { continue }
        let name = Name("\(labelOf[index]).\(record.name)")
        if state[name] == nil { try state.append(name, tensor) }
      }
    }
  }

  // MARK: The rest

  /// Adds the stored tensors that are no module's; returns those that only steer the graph.
  private func carry(into state: inout StateDict, except used: Set<Name>) throws -> [Name] {
    var constants: [Name] = []
    for record in model.graph.initializers {
      guard let tensor = tensors[record.name], !used.contains(record.name) else { continue }
      // Shapes, axes and scalars steer the graph; they are no weights.
      let isConstant =
        values.consumers[record.name] != nil
        && (tensor.shape.isEmpty
          || ([.i64, .i32, .bool].contains(tensor.dtype) && tensor.shape.count < 2))
      if isConstant { constants.append(record.name) } else { try state.append(record.name, tensor) }
    }
    return constants
  }

  private func skipped(_ constants: [Name]) -> [String] {
    var lines = model.graph.skipped
    func add(_ names: [String], _ what: String) {
      guard !names.isEmpty else { return }
      lines.append(
        "\(names.count) \(what): \(names.prefix(3).joined(separator: ", "))"
          + (names.count > 3 ? ", …" : ""))
    }
    // Whole numbers are shapes, axes and positions: part of the operations, which are understood or named.
    let numbers = constants.filter { tensors[$0]?.dtype.isFloatingPoint == true }
    add(numbers.map(\.string), "constants of the graph")
    add(unreadable, "tensors of types that only ONNX has")
    let nodes = model.graph.nodes
    add(
      nodes.filter { !$0.bodies.isEmpty }.map { "\($0.place) (\($0.operation))" },
      "nodes with graphs inside, whose connections are not followed")
    return lines
  }
}

extension ONNXModel {
  /// The values that every body takes from outside of it.
  func captured() -> [Set<Name>] {
    var result = [Set<Name>](repeating: [], count: bodies.count)
    // Children come behind their parents.
    for (index, body) in bodies.enumerated().reversed() where !body.isFunction {
      var names = Set(body.graph.outputs)
      for node in body.graph.nodes {
        names.formUnion(node.inputs)
        for inner in node.bodies { names.formUnion(result[inner]) }
      }
      names.subtract(body.graph.inputs.map(\.name))
      names.subtract(body.graph.initializers.map(\.name))
      for node in body.graph.nodes { names.subtract(node.outputs) }
      result[index] = names
    }
    return result
  }
}
