import Bytes
import Tensors

/// Reads the messages of a model. The nesting is that of the schema, not that of the file: graphs inside
/// nodes wait in a queue until the graph around them is read.
package struct ONNXModelReader {
  package let bytes: ProtobufBytes
  private let queue = Queue()
  private static let depthLimit = 16

  /// Graphs that were seen and not read yet.
  private final class Queue {
    var bodies: [(label: String, parent: Int?, depth: Int, message: ProtobufReader)] = []
    var current: Int?
    var depth = 0
  }

  package init(bytes: ProtobufBytes) { self.bytes = bytes }

  /// Reads ModelProto; throws `onnx.no-graph`, `onnx.no-operators` or what `ProtobufReader` throws.
  package func model() throws -> ONNXModel {
    var model = ONNXModel()
    var hasGraph = false
    var hasOperators = false
    var fields = ProtobufReader(bytes)
    var functions: [ProtobufReader] = []
    while let field = try fields.next() {
      switch field.number {
      case 1: model.irVersion = try field.integer()
      case 2: model.producer = try field.text(bytes, limit: 1 << 16)
      case 7:
        // A second graph would be merged by protobuf; no exporter writes one.
        guard !hasGraph else {
          throw RecurrentError(
            .onnxTwoGraphs, at: "byte \(field.offset)", found: "a second graph",
            expected: "one")
        }
        hasGraph = true
        model.graph = try graph(field.message(bytes))
      case 8:
        let (domain, version) = try operatorSet(field.message(bytes))
        hasOperators = true
        if domain.isEmpty || domain == "ai.onnx" { model.opset = version }
      case 14: model.metadata.append(try pair(field.message(bytes)))
      case 25: functions.append(try field.message(bytes))
      default: break
      }
    }
    guard hasGraph else {
      throw RecurrentError(
        .onnxNoGraph, found: "a model without a graph", expected: "a graph")
    }
    // Exporters write the operator sets last: a model that ends before them was cut off.
    guard hasOperators || model.irVersion < 3 else {
      throw RecurrentError(
        .onnxNoOperators, at: "the end of the file",
        found: "a model of version \(model.irVersion) without opset_import",
        expected: "the operator sets it uses",
        hint: "The file was probably cut off; export or copy it again.")
    }
    try readBodies(functions, into: &model)
    return model
  }

  private func readBodies(_ functions: [ProtobufReader], into model: inout ONNXModel) throws {
    func readQueue() throws {
      while model.bodies.count < queue.bodies.count {
        let next = queue.bodies[model.bodies.count]
        queue.current = model.bodies.count
        queue.depth = next.depth
        model.bodies.append(
          ONNXBody(label: next.label, parent: next.parent, graph: try graph(next.message)))
      }
    }
    try readQueue()
    for message in functions {
      queue.current = model.bodies.count
      queue.depth = 1
      // Takes its place in the queue, so that bodies keep their numbers.
      queue.bodies.append(("", nil, 1, message))
      model.bodies.append(try function(message))
      try readQueue()
    }
  }

  /// FunctionProto: 1 name, 4 input*, 5 output*, 7 node*.
  private func function(_ message: ProtobufReader) throws -> ONNXBody {
    var body = ONNXBody(isFunction: true)
    var fields = message
    while let field = try fields.next() {
      switch field.number {
      case 1: body.label = try field.text(bytes, limit: 1 << 16)
      case 4:
        try bytes.charge(3, at: field.offset)
        body.graph.inputs.append(ONNXInput(name: try field.name(bytes)))
      case 5:
        try bytes.charge(3, at: field.offset)
        body.graph.outputs.append(try field.name(bytes))
      case 7:
        try bytes.charge(16, at: field.offset)
        body.graph.nodes.append(try node(field.message(bytes)))
      default: break
      }
    }
    return body
  }

  /// ValueInfoProto: 1 name, 2 type {1 tensor {1 element type, 2 shape {1 dimension*}}}.
  private func input(_ message: ProtobufReader) throws -> ONNXInput {
    var input = ONNXInput()
    var value = message
    while let part = try value.next() {
      if part.number == 1 { input.name = try part.name(bytes) }
      guard part.number == 2 else { continue }
      var type = try part.message(bytes)
      while let kind = try type.next() {
        guard kind.number == 1 else { continue }
        var tensor = try kind.message(bytes)
        while let field = try tensor.next() {
          if field.number == 1 { input.dataType = try field.integer() }
          if field.number == 2 { input.shape = try shape(field.message(bytes)) }
        }
      }
    }
    return input
  }

  private func shape(_ message: ProtobufReader) throws -> [ONNXInput.Dimension] {
    var result: [ONNXInput.Dimension] = []
    var fields = message
    while let field = try fields.next() {
      guard field.number == 1 else { continue }
      try bytes.charge(3, at: field.offset)
      var dimension = ONNXInput.Dimension.any
      var parts = try field.message(bytes)
      while let part = try parts.next() {
        if part.number == 1 {
          let size = try part.integer()
          dimension = size > 0 ? .size(size) : .any
        }
        if part.number == 2 {
          let name = try part.name(bytes)
          dimension = name.utf8.isEmpty ? .any : .named(name)
        }
      }
      result.append(dimension)
    }
    return result
  }

  private func operatorSet(_ message: ProtobufReader) throws -> (String, Int) {
    var result = ("", 0)
    var fields = message
    while let field = try fields.next() {
      if field.number == 1 { result.0 = try field.text(bytes, limit: 1 << 16) }
      if field.number == 2 { result.1 = try field.integer() }
    }
    return result
  }

  private func pair(_ message: ProtobufReader) throws -> (key: String, value: String) {
    var result = (key: "", value: "")
    var fields = message
    while let field = try fields.next() {
      if field.number == 1 { result.key = try field.text(bytes, limit: 1 << 16) }
      if field.number == 2 { result.value = try field.text(bytes) }
    }
    return result
  }

  private func graph(_ message: ProtobufReader) throws -> ONNXGraph {
    var graph = ONNXGraph()
    var fields = message
    while let field = try fields.next() {
      switch field.number {
      case 1:
        try bytes.charge(16, at: field.offset)
        graph.nodes.append(try node(field.message(bytes)))
      case 5:
        try bytes.charge(16, at: field.offset)
        graph.initializers.append(try tensor(field.message(bytes)))
      case 11:
        try bytes.charge(8, at: field.offset)
        graph.inputs.append(try input(field.message(bytes)))
      case 12:
        try bytes.charge(3, at: field.offset)
        graph.outputs.append(try input(field.message(bytes)).name)
      case 13:
        try bytes.charge(8, at: field.offset)
        let value = try input(field.message(bytes))
        graph.shapes[value.name] = value.shape
      case 15: graph.skipped.append("a sparse initializer")
      default: break
      }
    }
    return graph
  }

  private func node(_ message: ProtobufReader) throws -> ONNXNode {
    var node = ONNXNode()
    var fields = message
    while let field = try fields.next() {
      switch field.number {
      case 1:
        try bytes.charge(3, at: field.offset)
        node.inputs.append(try field.name(bytes))
      case 2:
        try bytes.charge(3, at: field.offset)
        node.outputs.append(try field.name(bytes))
      case 3: node.name = try field.text(bytes, limit: 1 << 16)
      case 4: node.operation = try field.text(bytes, limit: 1 << 16)
      case 5:
        try bytes.charge(24, at: field.offset)
        node.attributes.append(try attribute(field.message(bytes), &node.bodies))
      case 7: node.domain = try field.text(bytes, limit: 1 << 16)
      case 9:
        let entry = try pair(field.message(bytes))
        if entry.key == "pkg.torch.onnx.name_scopes" { node.scopes = entry.value }
        if entry.key == "namespace" { node.namespace = entry.value }
      default: break
      }
    }
    return node
  }

  private func attribute(_ message: ProtobufReader, _ bodies: inout [Int]) throws -> ONNXAttribute {
    var attribute = ONNXAttribute()
    var graphs: [ProtobufReader] = []
    var fields = message
    while let field = try fields.next() {
      switch field.number {
      case 1: attribute.name = try field.text(bytes, limit: 1 << 16)
      case 2: attribute.float = try field.float(bytes)
      case 3: attribute.integer = try field.integer()
      // Strings of attributes are bytes that need not be text; those that we ask for are.
      case 4: attribute.string = try? field.text(bytes, limit: 1 << 16)
      case 5:
        var tensor = try tensor(field.message(bytes))
        if tensor.name.utf8.isEmpty { tensor.name = Name(attribute.name) }
        attribute.tensor = tensor
      case 6, 11: graphs.append(try field.message(bytes))
      case 7: try appendFloats(field, to: &attribute.floats)
      case 8: try field.appendIntegers(to: &attribute.integers, bytes)
      case 9:
        try bytes.charge(3, at: field.offset)
        attribute.strings.append((try? field.text(bytes, limit: 1 << 16)) ?? "")
      default: break
      }
    }
    for message in graphs where queue.depth < Self.depthLimit {
      bodies.append(queue.bodies.count)
      let label = attribute.name.hasSuffix("_branch") ? String(attribute.name.dropLast(7)) : "body"
      queue.bodies.append((label, queue.current, queue.depth + 1, message))
    }
    return attribute
  }

  /// A repeated float, packed or not; a few are all that an operation of ours takes.
  private func appendFloats(_ field: ProtobufField, to floats: inout [Float]) throws {
    guard case .bytes(let range) = field.value else {
      try bytes.charge(1, at: field.offset)
      floats.append(try field.float(bytes))
      return
    }
    guard range.count <= 4096, range.count % 4 == 0 else { return }
    try bytes.charge(range.count / 4, at: field.offset)
    let raw = try bytes.bytes(range, limit: 4096)
    for start in stride(from: 0, to: raw.count, by: 4) {
      let pattern = UInt32(littleEndian: raw[start..<start + 4])
      floats.append(Float(bitPattern: pattern))
    }
  }

  private func tensor(_ message: ProtobufReader) throws -> ONNXTensorRecord {
    var record = ONNXTensorRecord()
    var fields = message
    while let field = try fields.next() {
      switch field.number {
      case 1: try field.appendIntegers(to: &record.shape, bytes)
      case 2: record.dataType = try field.integer()
      case 4, 5, 7, 10, 11:
        try bytes.charge(3, at: field.offset)
        record.typed[field.number, default: []].append(field.value)
      case 8: record.name = try field.name(bytes)
      case 9: record.raw = try field.range()
      case 13:
        try bytes.charge(3, at: field.offset)
        record.external.append(try pair(field.message(bytes)))
      case 14: record.isExternal = try field.integer() == 1
      default: break
      }
    }
    guard record.shape.count <= 32 else {
      throw RecurrentError(
        .onnxRank, at: record.place, found: "\(record.shape.count) axes",
        expected: "at most 32")
    }
    return record
  }
}
