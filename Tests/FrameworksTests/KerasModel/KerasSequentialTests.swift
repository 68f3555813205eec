import Tensors
import Testing

@testable import Containers
@testable import Frameworks

/// What a Sequential is made of, and what no Sequential holds.
@Suite("A Sequential is written of what it can hold, and of nothing else")
struct KerasSequentialTests {
  private func state(_ change: (inout Structure) -> Void = { _ in }) throws -> StateDict {
    var state = StateDict()
    func add(_ name: String, _ shape: [Int]) throws {
      let count = shape.reduce(1, *)
      try state.append(
        Name(name), Tensor.make((0..<count).map { Float($0 * 7 % 17) / 8 - 1 }, shape: shape))
    }
    try add("table/0", [7, 2])
    for (index, inputs) in [2, 3].enumerated() {
      for (number, shape) in [[inputs, 9], [3, 9], [2, 9]].enumerated() {
        try add("gru\(index)/\(number)", shape)
      }
    }
    try add("head/0", [3, 5])
    try add("head/1", [5])
    var rnn = Structure.Module(
      name: "encoder.rnn", kind: .recurrent, prefixes: [["gru0/#"], ["gru1/#"]])
    rnn.recurrent.cell = "gru"
    rnn.recurrent.layerCount = 2
    rnn.recurrent.dropout = 0.25
    rnn.recurrent.direction = "forward"
    var structure = Structure(
      statesConnections: true,
      modules: [
        .init(name: "fc/out", kind: .linear, prefixes: [["head/#"]], activation: "softmax"), rnn,
        .init(name: "words", kind: .embedding, prefixes: [["table/#"]]),
      ],
      connections: [
        .init(from: "words", to: "encoder.rnn"),
        .init(from: "encoder.rnn", to: "fc/out", reads: .last),
      ])
    change(&structure)
    state.structure = structure
    return state
  }

  @Test func aChainBecomesASequential() throws {
    let written = try WeightFormat.keras.completed(state())
    #expect(
      written.names == [
        "layers/embedding/vars/0", "layers/gru/cell/vars/0", "layers/gru/cell/vars/1",
        "layers/gru/cell/vars/2", "layers/gru_1/cell/vars/0", "layers/gru_1/cell/vars/1",
        "layers/gru_1/cell/vars/2", "layers/dense/vars/0", "layers/dense/vars/1",
      ])
    let text = try #require(written.metadata[KerasMetadata.config])
    let json = try JSON.parse(Array(text.utf8))
    let layers = try #require(json["config"]?["layers"]?.arrayValue)
    #expect(
      layers.map { $0["class_name"]?.stringValue } == [
        "InputLayer", "Embedding", "GRU", "Dropout", "GRU", "Dense",
      ])
    #expect(
      layers.map { $0["config"]?["name"]?.stringValue } == [
        "input_layer", "words", "encoder_rnn", "dropout", "encoder_rnn_1", "fc_out",
      ])
    #expect(
      layers.map { $0["config"]?["return_sequences"]?.boolValue } == [
        nil, nil, true, nil, false, nil,
      ])
    #expect(layers[5]["config"]?["activation"]?.stringValue == "softmax")
    // A second time changes nothing.
    let again = try WeightFormat.keras.completed(written)
    #expect(again.metadata == written.metadata && again.names == written.names)
    // What was written states what was told, in Keras's names.
    let graph = try #require(try KerasGraph(text))
    let said = KerasStructure.of(
      written, config: text, graph: graph, version: KerasVersion(text: nil), notes: [], cuDNN: [])
    #expect(
      said.connections == [
        .init(from: "words", to: "encoder_rnn"),
        .init(from: "encoder_rnn", to: "fc_out", reads: .last),
      ])
    #expect(said.module("encoder_rnn")?.recurrent.dropout == 0.25)
    #expect(said.module("encoder_rnn")?.layerNames == ["encoder_rnn", "encoder_rnn_1"])
    #expect(said.module("fc_out")?.activation == "softmax")
    #expect(said.obstacles.isEmpty)
  }

  @Test func whatNoSequentialHoldsIsRefused() throws {
    let changes: [(String, (inout Structure) -> Void)] = [
      ("keras.sequential", { $0.modules[1].recurrent.initialState = .stored(h: "h_0", c: nil) }),
      ("keras.sequential", { $0.modules[1].recurrent.initialState = .computed("fc") }),
      ("keras.sequential", { $0.modules[1].recurrent.direction = "reverse" }),
      ("keras.sequential", { $0.modules[1].recurrent.projSize = 2 }),
      ("keras.sequential", { $0.modules[1].recurrent.clip = 2 }),
      ("keras.sequential", { $0.modules[1].recurrent.cell = nil }),
      ("keras.sequential", { $0.modules[1].recurrent.direction = "both" }),
      ("keras.sequential", { $0.connections = [] }),
      ("keras.sequential", { $0.connections.append(.init(from: "words", to: "fc/out")) }),
      ("keras.sequential", { $0.connections.append(.init(from: "fc/out", to: "words")) }),
      ("keras.sequential", { $0.modules.append(.init(name: "norm", kind: .other)) }),
      (
        "keras.sequential",
        { $0.obstacles = [.init(module: "fc/out", side: .behind, operations: ["Exp"])] }
      ),
      ("keras.activation", { $0.modules[0].activation = "hard_sigmoid" }),
      ("keras.activation", { $0.modules[0].activation = "nonsense" }),
      ("weights.missing", { $0.modules[0].prefixes = [["nowhere/#"]] }),
      ("weights.shape", { $0.modules[1].recurrent.cell = "lstm" }),
    ]
    for (index, (reason, change)) in changes.enumerated() {
      do {
        _ = try WeightFormat.keras.completed(state(change))
        Issue.record("change \(index) was written")
      } catch let error as RecurrentError {
        #expect(error.reason.code == reason, "change \(index)")
        #expect(error.hint != nil || reason.hasPrefix("weights"), "change \(index)")
      }
    }
  }

  @Test func aCopyKeepsItsConfiguration() throws {
    var copy = try state { $0.original = "{\"class_name\":\"Mine\",\"module\":\"m\"}" }
    #expect(
      try WeightFormat.keras.completed(copy).metadata[KerasMetadata.config]
        == copy.structure?.original)
    // The older style is none that the archive may hold; the older layout keeps it.
    copy.structure?.original = "{\"class_name\":\"Sequential\",\"config\":[]}"
    let old = try WeightFormat.kerasLegacy.completed(copy)
    #expect(old.metadata[KerasMetadata.config] == copy.structure?.original)
    let new = try WeightFormat.keras.completed(copy)
    #expect(new.metadata[KerasMetadata.config]?.contains("encoder_rnn") == true)
    // Weights need no model.
    let loose = try state { $0.connections = [] }
    #expect(try WeightFormat.kerasWeights.completed(loose).names == loose.names)
  }
}
