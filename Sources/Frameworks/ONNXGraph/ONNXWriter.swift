import Bytes
import Containers
import Tensors

extension ONNX {
  /// What protocol buffers can hold in one file.
  static let maximumByteCount = 1 << 31 - 1

  /// Writes a model that computes the one network of the state dict's structure; further tensors are
  /// stored beside it, unused (onnxruntime warns of each).
  ///
  /// Operator set 14 (22 for bf16) and IR version 8 (10). Throws with kind `.malformed`:
  /// `onnx.no-network` without one, `onnx.several-modules`, `onnx.not-writable`, `onnx.name`,
  /// `onnx.prefix`, `onnx.weights` or `onnx.size`.
  package static func write(_ state: StateDict, to sink: ByteSink) throws {
    let graph = try ONNXNetworkGraph(ONNXNetwork(state), state)
    try checkNames(state, graph)
    // Protocol buffers store lengths before contents: all but the tensors' data is made first.
    let tensors = try state.entries.map { try WrittenTensor($0.name, $0.tensor) }
    var nodes = ProtobufMessage()
    for node in graph.builder.nodes { nodes.append(1, node) }
    nodes.append(2, "recurrent_network")
    var values = ProtobufMessage()
    for value in graph.inputs { values.append(11, value) }
    for value in graph.outputs { values.append(12, value) }
    var count = nodes.bytes.count + values.bytes.count
    for tensor in tensors {
      count += tensor.byteCount
      guard count <= maximumByteCount else { throw tooLarge }
    }
    let usesBF16 = graph.dtype == .bf16
    var head = ProtobufMessage()
    head.append(1, usesBF16 ? 10 : 8)
    head.append(2, "Recurrent")
    head.beginBytes(7, count: count)
    let tail = tail(state, operatorSet: usesBF16 ? 22 : 14)
    guard head.bytes.count + count + tail.bytes.count <= maximumByteCount else { throw tooLarge }
    try sink.write(head.bytes)
    try sink.write(nodes.bytes)
    for tensor in tensors {
      try sink.write(tensor.header.bytes)
      try sink.write(tensor.data)
    }
    try sink.write(values.bytes)
    try sink.write(tail.bytes)
  }

  /// One GraphProto.initializer whose data follows its header.
  private struct WrittenTensor {
    let header: ProtobufMessage
    let data: any ByteSource
    var byteCount: Int { header.bytes.count + data.count }

    init(_ name: Name, _ tensor: Tensor) throws {
      data = tensor.source
      guard data.count <= maximumByteCount else { throw tooLarge }
      var message = ProtobufMessage()
      for size in tensor.shape { message.append(1, size) }
      message.append(2, tensor.dtype.onnxNumber)
      message.append(8, bytes: name.utf8)
      message.beginBytes(9, count: data.count)
      var header = ProtobufMessage()
      header.beginBytes(5, count: message.bytes.count + data.count)
      header.append(raw: message.bytes)
      self.header = header
    }
  }

  private static func tail(_ state: StateDict, operatorSet: Int) -> ProtobufMessage {
    var tail = ProtobufMessage()
    var version = ProtobufMessage()
    version.append(1, "")
    version.append(2, operatorSet)
    tail.append(8, version)
    for pair in state.metadata.pairs where Name(pair.key) != Name(ONNXModule.metadataKey) {
      var entry = ProtobufMessage()
      entry.append(1, pair.key)
      entry.append(2, pair.value)
      tail.append(14, entry)
    }
    return tail
  }

  /// Values of a graph share one space of names with its tensors.
  private static func checkNames(_ state: StateDict, _ graph: ONNXNetworkGraph) throws {
    for name in state.names
    where name.utf8.isEmpty || graph.ends.contains(name) || graph.builder.values.contains(name) {
      throw RecurrentError(
        .onnxName, at: "tensor \"\(name)\"",
        found: "a name that the graph needs for a value", expected: "another name")
    }
  }

  private static var tooLarge: RecurrentError {
    RecurrentError(
      .onnxSize, found: "more than 2 GiB",
      expected: "at most \(maximumByteCount) bytes, the most that protocol buffers hold",
      hint: "Narrow it with \(.dtype), or write safetensors.")
  }
}
