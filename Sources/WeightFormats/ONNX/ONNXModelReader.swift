import Tensors

/// Reads the messages of a model. The nesting is that of the schema, not that of the file: subgraphs
/// and function bodies are noted and left alone.
struct ONNXModelReader {
  let bytes: ProtobufBytes

  /// Reads ModelProto; throws `onnx.no-graph`, `onnx.no-operators` or what `ProtobufReader` throws.
  func model() throws -> ONNXModel {
    var model = ONNXModel()
    var hasGraph = false
    var hasOperators = false
    var fields = ProtobufReader(bytes)
    while let field = try fields.next() {
      switch field.number {
      case 1: model.irVersion = try field.integer()
      case 2: model.producer = try field.text(bytes, limit: 1 << 16)
      case 7:
        // A second graph would be merged by protobuf; no exporter writes one.
        guard !hasGraph else {
          throw RecurrentError(
            .malformed, "onnx.two-graphs", at: "byte \(field.offset)", found: "a second graph",
            expected: "one")
        }
        hasGraph = true
        model.graph = try graph(field.message(bytes))
      case 8:
        let (domain, version) = try operatorSet(field.message(bytes))
        hasOperators = true
        if domain.isEmpty || domain == "ai.onnx" { model.opset = version }
      case 14: model.metadata.append(try pair(field.message(bytes)))
      case 25: model.functionCount += 1
      default: break
      }
    }
    guard hasGraph else {
      throw RecurrentError(
        .malformed, "onnx.no-graph", found: "a model without a graph", expected: "a graph")
    }
    // Exporters write the operator sets last: a model that ends before them was cut off.
    guard hasOperators || model.irVersion < 3 else {
      throw RecurrentError(
        .malformed, "onnx.no-operators", at: "the end of the file",
        found: "a model of version \(model.irVersion) without opset_import",
        expected: "the operator sets it uses",
        hint: "The file was probably cut off; export or copy it again.")
    }
    return model
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
        var value = try field.message(bytes)
        while let part = try value.next() {
          if part.number == 1 { graph.inputs.insert(try part.name(bytes)) }
        }
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
        node.attributes.append(try attribute(field.message(bytes)))
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

  private func attribute(_ message: ProtobufReader) throws -> ONNXAttribute {
    var attribute = ONNXAttribute()
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
      case 6, 11: attribute.hasSubgraph = true
      case 8: try field.appendIntegers(to: &attribute.integers, bytes)
      case 9:
        try bytes.charge(3, at: field.offset)
        attribute.strings.append((try? field.text(bytes, limit: 1 << 16)) ?? "")
      default: break
      }
    }
    return attribute
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
        .unsupported, "onnx.rank", at: record.place, found: "\(record.shape.count) axes",
        expected: "at most 32")
    }
    return record
  }
}
