import Tensors
import TestSupport
import Testing

@testable import Containers
@testable import Frameworks

/// Shapes and numbers as graphs of all operator sets give them, and layers joined in every way.
@Suite("Shapes and numbers of all operator sets")
struct ONNXShapesTests {
  /// A tensor of an element type with its bytes in `raw_data`, or fields of the caller's.
  static func tensor(
    _ name: String, _ type: Int, _ shape: [Int], _ bytes: [UInt8]?, _ fields: [UInt8] = []
  ) -> ProtobufMessage {
    var tensor = ProtobufMessage()
    for size in shape { tensor.append(1, size) }
    tensor.append(2, type)
    tensor.append(8, name)
    if let bytes { tensor.append(9, bytes: bytes) }
    tensor.append(raw: fields)
    return tensor
  }

  private static func shape(_ name: String, _ sizes: [Int8]) -> ProtobufMessage {
    tensor(name, 3, [sizes.count], sizes.map { UInt8(bitPattern: $0) })
  }

  @Test func reshapesOfEveryKind() throws {
    func reshaped(_ sizes: [Int8], allowZero: Bool = false) throws -> [Int] {
      let values = try ONNXGraphTests.values(
        [
          ONNXGraphTests.node(
            "Reshape", ["a", "s"], ["w"], allowZero ? [("allowzero", [1])] : [])
        ], [ONNXGraphTests.tensor("a", [2, 3, 4]), Self.shape("s", sizes)])
      let tensor = try values.tensor("w")
      #expect(try tensor.bytes() == (0..<24).map { UInt8($0) })
      return tensor.shape
    }
    #expect(try reshaped([24]) == [24])
    #expect(try reshaped([0, -1]) == [2, 12])
    #expect(try reshaped([-1, 3, 2]) == [4, 3, 2])
    #expect(try reshaped([6, 2, 2, 1]) == [6, 2, 2, 1])
    for sizes in [[5, 5], [-1, 5], [1, 1, 1, 0], [25]] as [[Int8]] {
      let error = #expect(throws: RecurrentError.self) { try reshaped(sizes) }
      #expect(error?.reason.code == "onnx.rearrangement", "\(sizes)")
    }
    let unknown = #expect(throws: RecurrentError.self) { try reshaped([-1, -1]) }
    #expect(unknown?.reason.code == "tensor.shape")
    let zero = #expect(throws: RecurrentError.self) { try reshaped([0, 12], allowZero: true) }
    #expect(zero?.reason.code == "onnx.rearrangement")
    // A shape that is no list of whole numbers.
    let values = try ONNXGraphTests.values(
      [ONNXGraphTests.node("Reshape", ["a", "s"], ["w"])],
      [
        ONNXGraphTests.tensor("a", [2, 3]),
        Self.tensor("s", 1, [1], [0, 0, 0xC0, 0x40]),
      ])
    let error = #expect(throws: RecurrentError.self) { try values.tensor("w") }
    #expect(error?.reason.code == "onnx.rearrangement")
  }

  @Test func numbersInFieldsOfTheirTypes() throws {
    // float_data (4), unpacked: 1.5 and -2.
    let floats: [UInt8] = [0x25, 0, 0, 0xC0, 0x3F, 0x25, 0, 0, 0, 0xC0]
    let values = try ONNXGraphTests.values(
      [],
      [
        Self.tensor("floats", 1, [2], nil, floats),
        Self.tensor("short", 1, [3], nil, floats),
        // A whole number among floats, and a float among whole numbers (int32_data, 5).
        Self.tensor("whole", 1, [1], nil, [0x20, 7]),
        Self.tensor("real", 6, [1], nil, [0x2D, 0, 0, 0xC0, 0x3F]),
        Self.tensor("ints", 6, [2], nil, [0x28, 7, 0x2A, 1, 9]),
        Self.tensor("few", 6, [3], nil, [0x28, 7, 0x2A, 1, 9]),
      ])
    #expect(try values.tensor("floats").floats() == [1.5, -2])
    #expect(try values.tensor("ints").integers() == [7, 9])
    for (name, expected) in [
      ("whole", "onnx.typed-data"), ("real", "onnx.typed-data"), ("short", "onnx.tensor-size"),
      ("few", "onnx.tensor-size"),
    ] {
      #expect(reason { _ = try values.tensor(Name(name)) } == expected, "\(name)")
    }
  }

  // MARK: Whole networks

  private static func f32(_ name: String, _ shape: [Int], from start: Int) -> ProtobufMessage {
    let numbers = (0..<shape.reduce(1, *)).map { Float(start + $0) / 64 }
    let bytes = numbers.flatMap { number in
      withUnsafeBytes(of: number.bitPattern.littleEndian) { Array($0) }
    }
    return tensor(name, 1, shape, bytes)
  }

  /// Two layers of an RNN (2 inputs, 3 units) with `between` them and `after` them.
  private func read(
    between: [ProtobufMessage], after: [ProtobufMessage], _ tensors: [ProtobufMessage] = []
  ) throws -> [ONNXModule] {
    var graph = ProtobufMessage()
    let layers = [
      ONNXGraphTests.node("RNN", ["x", "W0", "R0", "B0"], ["y0", "h0"]),
      ONNXGraphTests.node("RNN", ["x1", "W1", "R1", "B1"], ["y1", "h1"]),
    ]
    for node in [layers[0]] + between + [layers[1]] + after { graph.append(1, node) }
    for layer in 0..<2 {
      graph.append(5, Self.f32("W\(layer)", [1, 3, layer == 0 ? 2 : 3], from: 3 * layer))
      graph.append(5, Self.f32("R\(layer)", [1, 3, 3], from: 5 + layer))
      graph.append(5, Self.f32("B\(layer)", [1, 6], from: 7 * layer))
    }
    for tensor in tensors { graph.append(5, tensor) }
    let state = try ONNX.read(ONNXGraphTests.model(graph), path: nil)
    return state.structure?.legacyModules ?? []
  }

  private func squeeze(_ axes: [Int]?, _ input: String = "y0", _ output: String = "x1")
    -> ProtobufMessage
  {
    ONNXGraphTests.node("Squeeze", [input], [output], axes.map { [("axes", $0)] } ?? [])
  }

  @Test func layersAreJoinedByWhatOnlyDropsTheDirection() throws {
    func layers(_ between: [ProtobufMessage], _ tensors: [ProtobufMessage] = []) throws -> [Int] {
      try read(between: between, after: [], tensors).map(\.layerCount)
    }
    #expect(try layers([squeeze([1])]) == [2])
    #expect(try layers([squeeze([-3])]) == [2])
    #expect(try layers([squeeze(nil)]) == [2])
    #expect(
      try layers([ONNXGraphTests.node("Squeeze", ["y0", "s"], ["x1"])], [Self.shape("s", [1])])
        == [2])
    #expect(
      try layers(
        [ONNXGraphTests.node("Reshape", ["y0", "s"], ["x1"])], [Self.shape("s", [0, -1, 3])])
        == [2])
    // Another axis, a computation, two axes exchanged: two modules of one layer each.
    #expect(try layers([squeeze([0])]) == [1, 1])
    #expect(try layers([ONNXGraphTests.node("Relu", ["y0"], ["x1"])]) == [1, 1])
    #expect(
      try layers([ONNXGraphTests.node("Unsqueeze", ["y0"], ["x1"], [("axes", [0])])]) == [1, 1])
    #expect(
      try layers([
        squeeze([1], "y0", "t"),
        ONNXGraphTests.node("Transpose", ["t"], ["x1"], [("perm", [1, 0, 2])]),
      ]) == [1, 1])
  }

  @Test func headsAreFoundBehindShapes() throws {
    let weight = Self.f32("fc.weight", [3, 4], from: 1)
    let bias = Self.f32("fc.bias", [4], from: 2)
    func head(_ after: [ProtobufMessage], _ tensors: [ProtobufMessage]) throws -> String? {
      try read(between: [squeeze([1])], after: after, tensors).first?.head
    }
    let product = ONNXGraphTests.node("MatMul", ["s1", "fc.weight"], ["p"])
    let sum = ONNXGraphTests.node("Add", ["fc.bias", "q"], ["out"])
    let squeezed = squeeze([1], "y1", "s1")
    let same = ONNXGraphTests.node("Identity", ["p"], ["q"])
    #expect(try head([squeezed, product, same, sum], [weight, bias]) == "fc.")
    #expect(try head([squeezed, product], [weight]) == "fc.")
    // A sum with the wrong number of classes is no bias; a product that goes two ways has none.
    let long = Self.f32("fc.bias", [5], from: 2)
    #expect(try head([squeezed, product, same, sum], [weight, long]) == "fc.")
    let relu = ONNXGraphTests.node("Relu", ["p"], ["r"])
    #expect(try head([squeezed, product, relu, same, sum], [weight, bias]) == "fc.")
    #expect(try head([squeezed, product, relu], [weight]) == "fc.")
    // Gemm with a bias that does not fit, or scaled, is no nn.Linear.
    func gemm(_ scaled: Bool, _ inputs: [String]) -> ProtobufMessage {
      ONNXGraphTests.node(
        "Gemm", ["s1"] + inputs, ["out"], scaled ? [("transA", [1])] : [("transB", [0])])
    }
    #expect(try head([squeezed, gemm(false, ["fc.weight", "fc.bias"])], [weight, bias]) == "fc.")
    #expect(try head([squeezed, gemm(false, ["fc.weight", "fc.bias"])], [weight, long]) == nil)
    #expect(try head([squeezed, gemm(true, ["fc.weight", "fc.bias"])], [weight, bias]) == nil)
    // A weight that the graph turns around is found as it was stored.
    let stored = Self.f32("fc.weight", [4, 3], from: 1)
    let turn = ONNXGraphTests.node("Transpose", ["fc.weight"], ["wt"])
    let turned = ONNXGraphTests.node("MatMul", ["s1", "wt"], ["p"])
    #expect(try head([squeezed, turn, turned, same, sum], [stored, bias]) == "fc.")
  }
}
