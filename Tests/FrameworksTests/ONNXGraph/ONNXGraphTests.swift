import Tensors
import Testing

@testable import Containers
@testable import Frameworks

/// The ways from stored tensors to the inputs of nodes, and what hostile graphs make of them.
@Suite("Stored tensors are followed to their nodes; hostile graphs are refused")
struct ONNXGraphTests {
  static func model(_ graph: ProtobufMessage) -> MemorySource {
    var model = ProtobufMessage()
    model.append(1, 8)
    model.append(7, graph)
    var operators = ProtobufMessage()
    operators.append(2, 17)
    model.append(8, operators)
    return MemorySource(model.bytes)
  }

  static func node(
    _ operation: String, _ inputs: [String], _ outputs: [String], _ integers: [(String, [Int])] = []
  ) -> ProtobufMessage {
    var node = ProtobufMessage()
    for input in inputs { node.append(1, input) }
    for output in outputs { node.append(2, output) }
    node.append(4, operation)
    for (name, numbers) in integers {
      var attribute = ProtobufMessage()
      attribute.append(1, name)
      if numbers.count == 1, !["perm", "axes", "split", "starts", "ends"].contains(name) {
        attribute.append(3, numbers[0])
      }
      for number in numbers { attribute.append(8, number) }
      node.append(5, attribute)
    }
    return node
  }

  static func tensor(_ name: String, _ shape: [Int], first: Int = 0) -> ProtobufMessage {
    var tensor = ProtobufMessage()
    for size in shape { tensor.append(1, size) }
    tensor.append(2, 2)
    tensor.append(8, name)
    let count = shape.reduce(1, *)
    tensor.append(9, bytes: (0..<count).map { UInt8(truncatingIfNeeded: first + $0) })
    return tensor
  }

  static func values(_ nodes: [ProtobufMessage], _ tensors: [ProtobufMessage]) throws
    -> ONNXValues
  {
    var graph = ProtobufMessage()
    for node in nodes { graph.append(1, node) }
    for tensor in tensors { graph.append(5, tensor) }
    let source = model(graph)
    let read = try ONNXModelReader(bytes: ProtobufBytes(source)).model()
    let count = tensors.reduce(0) { $0 + $1.bytes.count }
    return try ONNXValues(read.graph, ONNXTensorReader(source, path: nil), byteCount: count)
  }

  @Test func rearrangementsMoveTheRightElements() throws {
    // a is (2, 3, 4) with elements 0 to 23.
    let values = try Self.values(
      [
        Self.node("Transpose", ["a"], ["t"], [("perm", [2, 0, 1])]),
        Self.node(
          "Slice", ["a"], ["s"], [("axes", [1, 2]), ("starts", [1, -3]), ("ends", [9, -1])]),
        Self.node("Concat", ["s", "s", "u"], ["c"], [("axis", [-1])]),
        Self.node("Unsqueeze", ["v"], ["u"], [("axes", [2])]),
        Self.node("Split", ["t"], ["p", "q"], [("axis", [1])]),
        Self.node("Split", ["t"], ["p1", "p3"], [("split", [1, 3])]),
        Self.node("Squeeze", ["q"], ["z"]),
        Self.node("Flatten", ["t"], ["f"], [("axis", [2])]),
        Self.node("Cast", ["f"], ["g"], [("to", [2])]),
        Self.node("Concat", ["t", "t"], ["tt"], [("axis", [0])]),
        Self.node("Transpose", ["tt"], ["ttt"]),
      ], [Self.tensor("a", [2, 3, 4]), Self.tensor("v", [2, 2], first: 100)])
    func check(_ name: Name, _ shape: [Int], _ bytes: [UInt8]) throws {
      let tensor = try values.tensor(name)
      #expect(tensor.shape == shape, "\(name)")
      #expect(try tensor.bytes() == bytes, "\(name)")
      // Every window of it is the same.
      for start in 0..<bytes.count {
        for end in start...bytes.count {
          #expect(try tensor.source.read(start..<end) == Array(bytes[start..<end]), "\(name)")
        }
      }
    }
    /// The elements of an array of three axes, given by their indices.
    func array(_ sizes: [Int], _ element: (Int, Int, Int) -> Int) -> [UInt8] {
      var result: [UInt8] = []
      for i in 0..<sizes[0] {
        for j in 0..<sizes[1] {
          for k in 0..<sizes[2] { result.append(UInt8(element(i, j, k))) }
        }
      }
      return result
    }
    let t = array([4, 2, 3]) { i, j, k in j * 12 + k * 4 + i }
    try check("t", [4, 2, 3], t)
    try check("s", [2, 2, 2], [5, 6, 9, 10, 17, 18, 21, 22])
    try check(
      "c", [2, 2, 5],
      [5, 6, 5, 6, 100, 9, 10, 9, 10, 101, 17, 18, 17, 18, 102, 21, 22, 21, 22, 103])
    try check("p", [4, 1, 3], array([4, 1, 3]) { i, _, k in k * 4 + i })
    try check("p3", [3, 2, 3], Array(t[6...]))
    try check("z", [4, 3], array([4, 1, 3]) { i, _, k in 12 + k * 4 + i })
    try check("g", [8, 3], t)
    try check("tt", [8, 2, 3], t + t)
    let ttt = array([3, 2, 8]) { k, j, i in Int((t + t)[i * 6 + j * 3 + k]) }
    try check("ttt", [3, 2, 8], ttt)
  }

  @Test(
    arguments: [
      (node("Transpose", ["a"], ["w"], [("perm", [0, 0])]), "onnx.rearrangement"),
      (node("Slice", ["a"], ["w"], [("starts", [0]), ("ends", [0])]), "onnx.rearrangement"),
      (
        node("Slice", ["a"], ["w"], [("axes", [5]), ("starts", [0]), ("ends", [1])]),
        "onnx.rearrangement"
      ),
      (
        node("Slice", ["a"], ["w"], [("axes", [0, 0]), ("starts", [0, 0]), ("ends", [1, 1])]),
        "onnx.rearrangement"
      ),
      (node("Squeeze", ["a"], ["w"], [("axes", [0])]), "onnx.rearrangement"),
      (node("Unsqueeze", ["a"], ["w"], [("axes", [0, 0])]), "onnx.rearrangement"),
      (node("Unsqueeze", ["a"], ["w"]), "onnx.rearrangement"),
      (node("Reshape", ["a", "shape"], ["w"]), "onnx.rearrangement"),
      (node("Reshape", ["a"], ["w"]), "onnx.rearrangement"),
      (node("Split", ["a"], ["v", "w"], [("split", [1, 2])]), "onnx.rearrangement"),
      (node("Concat", ["a", "b"], ["w"], [("axis", [1])]), "onnx.rearrangement"),
      (node("Concat", ["a", ""], ["w"], [("axis", [0])]), "onnx.rearrangement"),
      (node("Identity", [], ["w"]), "onnx.rearrangement"),
      (node("Cast", ["a"], ["w"], [("to", [1])]), "onnx.not-stored"),
      (node("Identity", ["w"], ["w"]), "onnx.not-stored"),
      (node("Identity", ["empty"], ["w"]), "onnx.not-stored"),
      (node("Expand", ["a", "shape"], ["w"]), "onnx.not-stored"),
    ] as [(ProtobufMessage, String)])
  func refusesToRearrange(node: ProtobufMessage, expected: String) throws {
    let values = try Self.values(
      [node],
      [
        Self.tensor("a", [2, 3]), Self.tensor("b", [3, 3]), Self.tensor("shape", [1], first: 5),
        Self.tensor("empty", [0, 3]),
      ])
    let error = #expect(throws: RecurrentError.self) { try values.tensor("w") }
    #expect(error?.reason.code == expected)
    #expect(!values.isFixed("w"))
  }

  @Test func longChainsAndDoublingTensorsHaveLimits() throws {
    let chain = (0..<40).map { Self.node("Identity", ["v\($0)"], ["v\($0 + 1)"]) }
    let long = try Self.values(chain, [Self.tensor("v0", [2])])
    #expect(throws: RecurrentError.self) { try long.tensor("v40") }
    #expect(try long.tensor("v20").shape == [2])
    let doubling = (0..<20).map {
      Self.node("Concat", ["v\($0)", "v\($0)"], ["v\($0 + 1)"], [("axis", [0])])
    }
    let bomb = try Self.values(doubling, [Self.tensor("v0", [1000])])
    let error = #expect(throws: RecurrentError.self) { try bomb.tensor("v20") }
    #expect(error?.reason.code == "onnx.view-limit")
  }

  @Test func modelsWithoutAGraphOrWithTwo() throws {
    func reason(_ bytes: [UInt8]) -> String? {
      do { _ = try ONNX.read(MemorySource(bytes), path: nil) } catch {
        return (error as? RecurrentError)?.reason.code
      }
      return nil
    }
    #expect(reason([0x08, 0x08]) == "onnx.no-graph")
    #expect(reason([0x08, 0x02, 0x3A, 0x00]) == nil)
    #expect(reason([0x08, 0x08, 0x3A, 0x00]) == "onnx.no-operators")
    #expect(reason([0x08, 0x08, 0x3A, 0x00, 0x42, 0x02, 0x10, 0x11]) == nil)
    #expect(reason([0x08, 0x08, 0x3A, 0x00, 0x3A, 0x00]) == "onnx.two-graphs")
  }

  @Test func elementTypesThatOnlyONNXHas() throws {
    var text = ProtobufMessage()
    text.append(1, 1)
    text.append(2, 8)
    text.append(8, "words")
    let values = try Self.values([], [text])
    let error = #expect(throws: RecurrentError.self) { try values.tensor("words") }
    #expect(error?.reason.code == "onnx.dtype")
    var graph = ProtobufMessage()
    graph.append(5, text)
    graph.append(1, Self.node("Loop", [], []))
    let state = try ONNX.read(Self.model(graph), path: nil)
    #expect(state.count == 0)
    #expect(state.skipped == ["1 tensors of types that only ONNX has: words (element type 8)"])
  }

  @Test func otherFilesAreNotModels() {
    for bytes in [[], [0x08], [0x08, 0x08], [0x08, 0x08, 0x40, 0x01], [0x50, 0x4B, 0x03, 0x04]]
      as [[UInt8]]
    {
      #expect(!ONNX.recognizes(MemorySource(bytes)))
    }
    #expect(ONNX.recognizes(MemorySource([0x08, 0x08, 0x3A, 0x00])))
    #expect(ONNX.recognizes(MemorySource([0x3A, 0x00, 0x08, 0x08, 0x3A, 0x00])))
  }

  @Test func aModelCutInsideItsGraphIsCutOff() {
    let cut = MemorySource([0x08, 0x08, 0x3A, 0x05, 0x00])
    #expect(ONNX.recognizes(cut))
    let error = #expect(throws: RecurrentError.self) { try ONNX.read(cut, path: nil) }
    #expect(error?.reason.code == "protobuf.truncated")
    #expect(error?.hint?.description.contains("cut off") == true)
  }
}
