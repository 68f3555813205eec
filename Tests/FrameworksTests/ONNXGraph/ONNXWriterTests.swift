import Bytes
import Tensors
import Testing

@testable import Containers
@testable import Frameworks

/// Models that we write; what onnxruntime makes of them is for tools/peers/check_onnx.py.
@Suite("Models that are written say what they compute")
struct ONNXWriterTests {
  static func state(_ module: ONNXModule, dtype: DType = .f32) throws -> StateDict {
    var state = StateDict()
    var next: UInt8 = 1
    func add(_ name: Name, _ shape: [Int]) throws {
      let count = shape.reduce(dtype.byteCount, *)
      let bytes = (0..<count).map { next &+ UInt8(truncatingIfNeeded: $0) }
      try state.append(name, Tensor(dtype: dtype, shape: shape, bytes: bytes))
      next &+= 1
    }
    let directions = module.bidirectional ? 2 : 1
    let rows = module.operation.gateCount * 3
    if let prefix = module.embedding { try add("\(prefix)weight", [7, 2]) }
    for layer in 0..<module.layerCount {
      try add(
        module.tensorName("W", layer: layer), [directions, rows, layer == 0 ? 2 : directions * 3])
      try add(module.tensorName("R", layer: layer), [directions, rows, 3])
      if module.bias { try add(module.tensorName("B", layer: layer), [directions, 2 * rows]) }
    }
    if let prefix = module.head {
      try add("\(prefix)weight", [4, directions * 3])
      try add("\(prefix)bias", [4])
    }
    state.metadata["source"] = "here"
    state.metadata[ONNXModule.metadataKey] = ONNXModule.text([module])
    return state
  }

  static let modules: [ONNXModule] = {
    var modules: [ONNXModule] = []
    for operation in [ONNXModule.Operation.rnn, .lstm, .gru] {
      for flag in [false, true] {
        var module = ONNXModule(prefix: flag ? "encoder.rnn." : "", operation: operation)
        module.layerCount = flag ? 3 : 1
        module.bidirectional = flag
        module.relu = flag && operation == .rnn
        module.linearBeforeReset = flag && operation == .gru
        modules.append(module)
        module.bias = false
        module.batchFirst = true
        module.head = "out.fc."
        module.embedding = flag ? "emb." : nil
        modules.append(module)
      }
    }
    return modules
  }()

  @Test(arguments: modules.indices) func readsBackWhatItWrites(index: Int) throws {
    for dtype in [DType.f32, .f64, .f16, .bf16] {
      var state = try Self.state(Self.modules[index], dtype: dtype)
      try state.append(
        "stray.number", Tensor(dtype: .i64, shape: [], bytes: [1, 2, 3, 4, 5, 6, 7, 8]))
      let sink = MemorySink()
      try ONNX.write(state, to: sink)
      let source = MemorySource(sink.bytes)
      #expect(ONNX.recognizes(source))
      let read = try ONNX.read(source, path: nil)
      // What the pair says, the graph says now.
      state.metadata[ONNXModule.metadataKey] = nil
      try read.checkReadBack(of: state)
      #expect(read.metadata == state.metadata)
      #expect(read.structure?.legacyModules == [Self.modules[index]])
      #expect(read.skipped.isEmpty)
    }
  }

  private func reason(_ state: StateDict) -> String? {
    do { try ONNX.write(state, to: MemorySink()) } catch {
      return (error as? RecurrentError)?.reason.code
    }
    return nil
  }

  @Test func refusesWhatAModelCannotHold() throws {
    let plain = Self.modules[1]
    #expect(reason(StateDict()) == "onnx.no-network")
    var state = try Self.state(plain)
    state.metadata[ONNXModule.metadataKey] = ONNXModule.text([plain, plain])
    #expect(reason(state) == "onnx.several-modules")
    var lengths = plain
    lengths.sequenceLengths = true
    state.metadata[ONNXModule.metadataKey] = ONNXModule.text([lengths])
    #expect(reason(state) == "onnx.not-writable")
    var other = plain
    other.prefix = "other."
    state.metadata[ONNXModule.metadataKey] = ONNXModule.text([other])
    #expect(reason(state) == "onnx.weights")
    for prefix in ["a/b.", "rnn", "."] {
      other.prefix = prefix
      #expect(reason(try Self.state(other)) == "onnx.prefix")
    }
    for name in ["x", "output", "", "/LSTM_output_0", "/RNN_output_0", "/RNN"] as [Name] {
      var state = try Self.state(plain)
      try state.append(name, Tensor(dtype: .u8, shape: [1], bytes: [0]))
      let isValue = !["/LSTM_output_0", "/RNN"].contains(name)
      #expect(reason(state) == (isValue ? "onnx.name" : nil))
    }
  }

  /// A source of any length that takes no memory.
  struct Endless: ByteSource {
    let count: Int
    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
      for index in buffer.indices { buffer[index] = 0 }
    }
  }

  @Test func twoGibibytesAreTheMost() throws {
    for shapes in [[[1 << 29]], [[1 << 28], [1 << 28]]] {
      var state = try Self.state(Self.modules[0])
      for (index, shape) in shapes.enumerated() {
        try state.append(
          "big\(index)",
          Tensor(dtype: .f32, shape: shape, source: Endless(count: 4 * shape[0])))
      }
      #expect(reason(state) == "onnx.size")
    }
  }

  @Test(arguments: [
    "{}", "[1]", #"[{"op":"RNN"}]"#, #"[{"prefix":"","op":"Conv"}]"#,
    #"[{"prefix":"","op":"RNN","layers":0}]"#, #"[{"prefix":"","op":"RNN","layers":1e9}]"#,
    #"[{"prefix":"","op":"RNN","layers":100001}]"#, #"[{"prefix":"","op":"RNN","bias":1}]"#,
    #"[{"prefix":"","op":"LSTM","activation":"relu"}]"#, #"[{"prefix":"","op":"RNN","head":1}]"#,
    #"[{"prefix":"","op":"RNN","more":true}]"#, #"[{"prefix":"","op":"RNN","refusal":{}}]"#,
  ])
  func forgedModulesAreRefused(text: String) {
    let error = #expect(throws: RecurrentError.self) { try ONNXModule.parse(text) }
    #expect(error?.reason.code == "onnx.modules")
  }

  @Test func refusalsTravelWithTheirModule() throws {
    var module = ONNXModule(prefix: "a.", operation: .lstm)
    module.refusal = RecurrentError(
      .onnxClip, at: "node \"a\"", found: "clip", expected: "none", hint: "…")
    #expect(try ONNXModule.parse(ONNXModule.text([module])) == [module])
  }
}
