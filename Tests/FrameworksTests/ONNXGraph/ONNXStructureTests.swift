import Bytes
import Foundation
import Tensors
import TestSupport
import Testing

@testable import Containers
@testable import Frameworks

/// What graphs state about their modules, from tools/goldens/make_onnx_structure.py.
@Suite("A graph states what it computes, and nothing is dropped")
struct ONNXStructureTests {
  struct Truth: Decodable {
    var connections: [String]?
    var obstacles: [String]?
    var activation: String?
    var batch_first: Bool?
    var initial: Initial?
  }

  /// One word for all modules, or one for each.
  enum Initial: Decodable {
    case all(String)
    case each([String: String])

    init(from decoder: Decoder) throws {
      let container = try decoder.singleValueContainer()
      if let word = try? container.decode(String.self) {
        self = .all(word)
      } else {
        self = .each(try container.decode([String: String].self))
      }
    }

    func word(_ module: String) -> String? {
      switch self {
      case .all(let word): word
      case .each(let words): words[module]
      }
    }
  }

  static let truths: [String: Truth] =
    (try? Golden.decode([String: Truth].self, "onnx-structure/expected.json")) ?? [:]

  static func structure(_ name: String) throws -> Structure {
    let file = try InputFile(path: Checkout.golden("onnx-structure/" + name))
    return try #require(try ONNX.read(file).structure)
  }

  @Test func thereAreModels() { #expect(Self.truths.count > 70) }

  @Test(arguments: truths.keys.sorted()) func statesWhatTheGraphComputes(name: String) throws {
    let truth = try #require(Self.truths[name])
    let structure = try Self.structure(name)
    #expect(structure.statesConnections)
    for module in structure.modules where module.kind == .recurrent {
      let state = module.recurrent.initialState.map(word)
      #expect(state == (truth.initial ?? .all("zeros")).word(module.name), "\(module.name)")
    }
    guard let connections = truth.connections else { return }
    let found = structure.connections.map { "\($0.from) -> \($0.to) \($0.reads.rawValue)" }
    #expect(found.sorted() == connections.sorted())
    var obstacles = structure.obstacles.map { obstacle in
      "\(obstacle.module) \(obstacle.side.rawValue)\(obstacle.isBranch ? " branch" : ""): "
        + obstacle.operations.joined(separator: ", ")
    }
    for wanted in truth.obstacles ?? [] {
      let before = obstacles.count
      obstacles.removeAll { $0 == wanted || $0.hasPrefix(wanted + ":") }
      #expect(obstacles.count < before, "\(wanted)")
    }
    #expect(obstacles == [])
    if let head = structure.module("fc") { #expect(head.activation == truth.activation) }
    if let expected = truth.batch_first {
      #expect(structure.module("rnn")?.recurrent.batchFirst == expected)
    }
  }

  private func word(_ state: Structure.InitialState) -> String {
    switch state {
    case .zeros: "zeros"
    case .stored: "stored"
    case .fed: "fed"
    case .computed: "computed"
    }
  }

  /// A network that a graph states is written so that its graph states the same; every other is refused.
  @Test(arguments: truths.keys.sorted()) func writesWhatItRead(name: String) throws {
    let state = try ONNX.read(InputFile(path: Checkout.golden("onnx-structure/" + name)))
    let structure = try #require(state.structure)
    let sink = MemorySink()
    do { try ONNX.write(state, to: sink) } catch let error as RecurrentError {
      let recurrent = structure.modules.count { $0.kind == .recurrent }
      #expect(error.reason.code == (recurrent > 1 ? "onnx.several-modules" : "onnx.not-writable"))
      let isNetwork =
        structure.modules.count < 4 && structure.obstacles.isEmpty
        && structure.modules.filter { $0.kind == .recurrent }.count == 1
        && structure.connections.filter { structure.module($0.from)?.kind == .recurrent }.count < 2
        && structure.modules.allSatisfy { $0.recurrent.takesLengths != true }
        && structure.module("proj") == nil && name != "fed-turned.onnx"
      #expect(!isNetwork, "\(error)")
      return
    }
    let again = try ONNX.read(MemorySource(sink.bytes), path: nil)
    try again.checkReadBack(of: state)
    let read = try #require(again.structure)
    #expect(read.connections == structure.connections && read.obstacles.allSatisfy(\.isBranch))
    for module in structure.modules where [.recurrent, .linear].contains(module.kind) {
      let same = try #require(read.module(module.name))
      #expect(same.activation == module.activation && same.recurrent.cell == module.recurrent.cell)
      #expect(same.recurrent.initialState == module.recurrent.initialState)
      #expect(same.recurrent.batchFirst == module.recurrent.batchFirst)
    }
  }

  @Test func learnedStatesAreSlicedAndRepeatedInPyTorchsOrder() throws {
    let state = try ONNX.read(InputFile(path: Checkout.golden("onnx-structure/learned-both.onnx")))
    #expect(
      state.structure?.module("rnn")?.recurrent.initialState == .stored(h: "rnn.h_0", c: "rnn.c_0"))
    #expect(state["rnn.h_0"]?.shape == [4, 1, 4] && state["rnn.c_0"]?.shape == [4, 1, 4])
  }

  // MARK: Graphs inside nodes

  private static func tensor(_ name: String, _ shape: [Int]) -> ProtobufMessage {
    let count = shape.reduce(1, *)
    let bytes = (0..<count).flatMap { index in
      withUnsafeBytes(of: (Float(index % 13) / 16).bitPattern.littleEndian) { Array($0) }
    }
    return ONNXShapesTests.tensor(name, 1, shape, bytes)
  }

  private static func branch(_ label: String, _ nested: ProtobufMessage? = nil) -> ProtobufMessage {
    var graph = ProtobufMessage()
    graph.append(1, ONNXGraphTests.node("RNN", ["x", label + "W", "R"], [label + "Y"]))
    if let nested {
      var node = ONNXGraphTests.node("Loop", [], ["n"])
      node.append(5, attribute("body", nested))
      graph.append(1, node)
    }
    graph.append(5, tensor(label + "W", [1, 3, 2]))
    return graph
  }

  private static func attribute(_ name: String, _ graph: ProtobufMessage) -> ProtobufMessage {
    var attribute = ProtobufMessage()
    attribute.append(1, name)
    attribute.append(6, graph)
    return attribute
  }

  @Test func branchesAndLoopsHaveModulesWithoutConnections() throws {
    var node = ONNXGraphTests.node("If", ["c"], ["y"])
    node.append(5, Self.attribute("then_branch", Self.branch("a")))
    node.append(5, Self.attribute("else_branch", Self.branch("b", Self.branch("c"))))
    var graph = ProtobufMessage()
    graph.append(1, node)
    // R stands outside of all bodies.
    graph.append(5, Self.tensor("R", [1, 3, 3]))
    let state = try ONNX.read(ONNXGraphTests.model(graph), path: nil)
    let structure = try #require(state.structure)
    #expect(structure.modules.map(\.name) == ["then.rnn", "else.rnn", "else.body.rnn"])
    #expect(structure.modules.allSatisfy { $0.refusal == nil } && structure.connections.isEmpty)
    #expect(state["else.body.rnn.W_l0"]?.shape == [1, 3, 2])
    #expect(state["then.rnn.R_l0"]?.shape == [1, 3, 3] && state["R"] == nil)
  }

  @Test func graphsNestedWithoutEndAreLeftAlone() throws {
    var inner = Self.branch("a")
    for _ in 0..<40 { inner = Self.branch("a", inner) }
    let state = try ONNX.read(ONNXGraphTests.model(inner), path: nil)
    #expect((state.structure?.modules.count ?? 0) < 20)
  }

  @Test func quantisedModulesAreNamedAndRefused() throws {
    var node = ONNXGraphTests.node("DynamicQuantizeLSTM", ["x", "W", "R"], ["y"])
    node.append(3, "/encoder/lstm/LSTM_quant")
    node.append(7, "com.microsoft")
    var graph = ProtobufMessage()
    graph.append(1, node)
    graph.append(1, ONNXGraphTests.node("MatMulInteger", ["y", "w"], ["z"]))
    let structure = try #require(try ONNX.read(ONNXGraphTests.model(graph), path: nil).structure)
    #expect(structure.modules.map(\.name) == ["encoder.lstm", "matmulinteger"])
    #expect(structure.modules.map(\.kind) == [.recurrent, .linear])
    #expect(
      structure.modules.map { $0.refusal?.reason.code } == ["onnx.quantised", "onnx.quantised"])
    #expect(structure.modules[0].refusal?.hint != nil)
  }

  // MARK: Hostile graphs

  @Test func cyclesAndLongChainsEnd() throws {
    var graph = ProtobufMessage()
    graph.append(1, ONNXGraphTests.node("RNN", ["x", "W", "R"], ["y"]))
    graph.append(1, ONNXGraphTests.node("Identity", ["b"], ["a"]))
    graph.append(1, ONNXGraphTests.node("Add", ["a", "y"], ["b"]))
    var last = "y"
    for index in 0..<2000 {
      graph.append(
        1, ONNXGraphTests.node("Transpose", [last], ["t\(index)"], [("perm", [0, 1, 2, 3])]))
      graph.append(1, ONNXGraphTests.node("Relu", [last], ["r\(index)"]))
      graph.append(1, ONNXGraphTests.node("MatMul", ["r\(index)", "m"], ["p\(index)"]))
      last = "t\(index)"
    }
    var doubled = "h"
    graph.append(1, ONNXGraphTests.node("RNN", ["x", "W", "R"], ["", "h"]))
    for index in 0..<40 {
      graph.append(
        1, ONNXGraphTests.node("Concat", [doubled, doubled], ["d\(index)"], [("axis", [0])]))
      doubled = "d\(index)"
    }
    graph.append(5, Self.tensor("W", [1, 3, 2]))
    graph.append(5, Self.tensor("R", [1, 3, 3]))
    graph.append(5, Self.tensor("m", [3, 2]))
    let structure = try #require(try ONNX.read(ONNXGraphTests.model(graph), path: nil).structure)
    #expect(structure.modules.map(\.name) == ["rnn", "rnn_1", "classifier"])
    #expect(structure.connections.isEmpty)
  }
}
