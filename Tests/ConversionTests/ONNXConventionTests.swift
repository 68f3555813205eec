import Containers
import Foundation
import Frameworks
import NetworksTestSupport
import RNNEngine
import Tensors
import TestSupport
import Testing

@testable import Conversion
@testable import Networks

/// What ONNX models mean, and what becomes of them in other containers.
@Suite("ONNX models mean the same in other containers, or are refused")
struct ONNXConventionTests {
  static func path(_ name: String) -> String { Checkout.golden("onnx/" + name) }

  private func convert(
    _ from: String, _ to: String, _ change: (inout ConversionOptions) -> Void = { _ in }
  ) throws -> ConversionProof {
    var options = ConversionOptions()
    change(&options)
    return try ConversionPlan(from: from, to: to, options: options).execute()
  }

  static let tagger = Architecture(
    cell: .lstm, inputSize: 2, hiddenSize: 3, layerCount: 2, bidirectional: true, batchFirst: true,
    embedding: .init(tokenCount: 5), head: .init(classCount: 4, bias: true))

  static let expected: [(String, Architecture)] = [
    ("torchscript-9", tagger), ("torchscript-12-unfolded", tagger), ("torchscript-17", tagger),
    ("dynamo-20", tagger),
    (
      "gemm-dynamo",
      Architecture(
        cell: .gru, inputSize: 2, hiddenSize: 3, bias: false,
        head: .init(classCount: 4, bias: true, reads: .final))
    ),
    ("external", Architecture(cell: .rnnRelu, inputSize: 2, hiddenSize: 3, bidirectional: true)),
    (
      "layout-1",
      Architecture(cell: .lstm, inputSize: 2, hiddenSize: 3, bias: false, batchFirst: true)
    ),
  ]

  /// A linear layer that the graph does not apply to the module is a module of its own, and no head.
  @Test func aMatrixBesideTheNetworkIsNotTakenForItsHead() throws {
    try withTemporaryFolder { folder in
      var file = try WeightFile(path: Self.path("gemm-dynamo.onnx")).state
      #expect(try Recognition(file).head?.name == "out")
      file.structure?.connections = []
      let list = try ModuleList(file)
      #expect(list.modules.map(\.name) == ["encoder.rnn", "out"] && list.connections.isEmpty)
      #expect(try Recognition(file).head == nil)
      // Nor is it dropped.
      var options = ConversionOptions()
      options.convention = .torch
      var plain = file
      plain.metadata["connections"] = ""
      try WeightFormat.safetensors.write(plain, to: folder + "/in.safetensors") { _ in }
      options.reading.head = ReadOptions.Neighbour.none
      let plan = try ConversionPlan(
        from: folder + "/in.safetensors", to: folder + "/out.h5", options: options)
      #expect(plan.modules.map(\.fate) == [.converted, .converted])
      guard case .sameModules(["encoder.rnn", "out"], 0, 0) = try plan.execute() else {
        Issue.record("not run")
        return
      }
      let written = try WeightFile(path: folder + "/out.h5").state
      #expect(written["out.weight"] != nil && written["out.bias"] != nil)
    }
  }

  @Test(arguments: expected.indices) func modelsSayEverything(index: Int) throws {
    let (name, architecture) = Self.expected[index]
    let file = try WeightFile(path: Self.path(name + ".onnx"))
    #expect(file.format.name == "onnx")
    let recognition = try Recognition(file.state)
    #expect(recognition.architecture == architecture)
    #expect(recognition.assumptions.isEmpty)
    #expect(recognition.foreign.map(\.string) == (name == "layout-1" ? ["other"] : []))
  }

  @Test(arguments: expected.indices) func neutralContainersGetPyTorchsLayoutAndBack(index: Int)
    throws
  {
    let (name, architecture) = Self.expected[index]
    try withTemporaryFolder { folder in
      let source = Self.path(name + ".onnx")
      guard case .sameModules(let modules, 0, 0) = try convert(source, folder + "/a.safetensors")
      else {
        Issue.record("not the same modules")
        return
      }
      // The reader's metadata goes with it: neither nonlinearity nor axes have to be assumed again.
      let read = try Network(WeightFile(path: folder + "/a.safetensors").state)
      #expect(read.recognition.convention.name == "torch")
      #expect(read.architecture == architecture && read.recognition.assumptions.isEmpty)
      #expect(read.recognition.modules.map(\.name) == modules)
      // What lies beside the network has no place in a graph, unless the module alone is asked for.
      let isAlone = read.recognition.foreign.isEmpty
      if !isAlone {
        #expect(
          reason { _ = try convert(folder + "/a.safetensors", folder + "/b.onnx") }
            == "conversion.not-one-network")
      }
      for (from, to) in [("a.safetensors", "b.onnx"), ("b.onnx", "c.onnx")] {
        let proof = try convert("\(folder)/\(from)", "\(folder)/\(to)") {
          if !isAlone { $0.reading.module = modules[0] }
        }
        switch proof {
        case .sameNetwork(0, 0): #expect(isAlone || from == "b.onnx")
        // Of a module without a neighbour no file of tensors says that it is all.
        case .sameModules(modules, 0, 0): #expect(!isAlone || modules.count == 1)
        default: Issue.record("\(from) to \(to): \(proof)")
        }
      }
      let again = try WeightFile(path: folder + "/b.onnx").state
      #expect(try Recognition(again).architecture == architecture)
      let exported = try Network(WeightFile(path: source).state)
      let ours = try Network(WeightFile(path: folder + "/c.onnx").state)
      let canonical = try Network.parameterTensors(of: architecture)
      let (one, other) = try (
        exported.weights.encoded(as: canonical), ours.weights.encoded(as: canonical)
      )
      try one.checkReadBack(of: other)
    }
  }

  @Test func severalModulesAreListedAndChosen() throws {
    let path = Self.path("two.onnx")
    let state = try WeightFile(path: path).state
    let modules = try ModuleList(state).recurrent
    #expect(modules.map(\.name) == ["rnn", "rnn_1"])
    #expect(modules[0].architecture.gruReset == .before)
    #expect(modules[1].architecture.bidirectional)
    let obstacles = try #require(state.structure).obstacles
    #expect(Set(obstacles.map(\.module)) == ["rnn", "rnn_1"])
    try withTemporaryFolder { folder in
      #expect(reason { _ = try convert(path, folder + "/a.pt") } == "onnx.gru-reset-before")
      _ = try convert(path, folder + "/a.safetensors") { $0.reading.module = "rnn" }
      let chosen = try Recognition(
        WeightFile(path: folder + "/a.safetensors").state, options: ReadOptions(module: "rnn"))
      #expect(chosen.convention.name == "torch" && chosen.architecture.gruReset == .before)
      #expect(reason { _ = try convert(path, folder + "/b.onnx") } == "weights.ambiguous")
    }
  }

  @Test func whatPyTorchDoesNotHaveIsRefusedInEveryContainer() throws {
    for (name, expected) in [
      ("clip", "onnx.clip"), ("peepholes", "onnx.peepholes"), ("reverse", "onnx.direction"),
      ("input-forget", "onnx.input-forget"), ("hard-sigmoid", "onnx.activation"),
      ("unrolled", "onnx.unrolled"), ("computed", "onnx.not-stored"),
    ] {
      let path = Checkout.refused("onnx/\(name).onnx")
      let modules = try ModuleList(WeightFile(path: path).state).recurrent
      #expect(modules.map(\.refusal?.reason.code) == [expected])
      try withTemporaryFolder { folder in
        for target in ["a.pt", "a.npz", "a.safetensors", "a.h5", "a.onnx", "a.keras"] {
          #expect(
            reason { _ = try convert(path, "\(folder)/\(target)") } == expected, "\(name) \(target)"
          )
        }
        let written = try FileManager.default.contentsOfDirectory(atPath: folder)
        #expect(written.isEmpty)
      }
    }
  }

  @Test func projectionsAreRefused() {
    let architecture = Architecture(cell: .lstm, inputSize: 3, hiddenSize: 5, projSize: 2)
    #expect(
      reason { _ = try Convention.onnx.storedTensors(of: architecture) }
        == "convention.inexpressible")
  }

  @Test func namesSufficeWhereMetadataIsLost() throws {
    for architecture in architectures where architecture.projSize == 0 {
      let naming = Naming(recurrent: "rnn.")
      let state = try CanonicalWeights(
        canonicalState(architecture), architecture: architecture,
        tensors: Network.parameterTensors(of: architecture)
      ).encoded(as: Convention.onnx.storedTensors(of: architecture, naming: naming))
      let found = try Recognition(
        state,
        options: ReadOptions(
          cell: architecture.cell,
          gruReset: architecture.cell == .gru ? architecture.gruReset : nil))
      #expect(found.architecture == architecture)
    }
  }

  @Test func contradictingTensorsAreRefusedBeforeTheirSizesMultiply() throws {
    /// Claims any size and has no bytes to show for it.
    struct Claimed: ByteSource {
      let count: Int
      func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {}
    }
    var structure = Structure(
      statesConnections: true, modules: [.init(name: "", kind: .recurrent, className: "LSTM")])
    structure.convention = "onnx"
    func state(_ shapes: [(Name, [Int])]) throws -> StateDict {
      var state = StateDict()
      for (name, shape) in shapes {
        let count = try byteCount(of: shape, elementSize: 4)
        try state.append(name, Tensor(dtype: .f32, shape: shape, source: Claimed(count: count)))
      }
      state.structure = structure
      return state
    }
    let big = 1 << 40
    func check(_ shapes: [(Name, [Int])], _ expected: String) throws {
      let state = try state(shapes)
      #expect(reason { _ = try Recognition(state) } == expected, "\(shapes)")
    }
    try check([("W_l0", [1, 12, 2])], "weights.missing")
    try check([("W_l0", [1, 12, 2]), ("R_l0", [1, 1, big])], "weights.missing")
    try check([("W_l0", [1, 1, big]), ("R_l0", [1, 12, 3])], "weights.missing")
    try check([("W_l0", [1, 0, big]), ("R_l0", [1, 0, big])], "weights.missing")
    try check(
      [("W_l0", [1, 12, 2]), ("R_l0", [1, 12, 3]), ("W_l99999", [1, 12, 3])], "weights.missing")
    try check(
      [("W_l0", [1, 12, 2]), ("R_l0", [1, 12, 3]), ("W_l2", [1, 12, 3])], "weights.missing")
  }
}
