import Foundation
import Tensors
import TestSupport
import Testing

@testable import Containers
@testable import Frameworks

/// What configurations state, also those that no version of Keras would write.
@Suite("A Keras configuration states its connections, or leaves them open")
struct KerasStructureTests {
  private static let folder = Checkout.golden("keras-structure")

  private static let goldens =
    ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [])
    .filter { $0.hasSuffix(".keras") || $0.hasSuffix(".h5") }.sorted()

  @Test func goldensAreThere() { #expect(Self.goldens.count == 21) }

  /// Keras's own models, with what they state written beside them by the script that made them.
  @Test(arguments: goldens) func goldensStateWhatTheirMakerSays(_ name: String) throws {
    let text = try #require(FileManager.default.contents(atPath: Self.folder + "/expected.json"))
    let stem = try #require(name.split(separator: ".").first.map(String.init))
    let expected = try #require(try JSON.parse(Array(text))[stem])
    let structure = try #require(
      try WeightFile(path: Self.folder + "/" + name).state.structure)
    let isStated = !name.hasSuffix(".weights.h5")
    #expect(structure.statesConnections == isStated)
    #expect((structure.original != nil) == isStated)
    let connections = structure.connections.map { "\($0.from) -> \($0.to) \($0.reads.rawValue)" }
    let texts = try #require(expected["connections"]?.arrayValue).compactMap(\.stringValue)
    #expect(Set(connections) == Set(isStated ? texts : []))
    let obstacles = Set(structure.obstacles.map { "\($0.module) \($0.side.rawValue)" })
    let sides = try #require(expected["obstacles"]?.arrayValue).compactMap(\.stringValue)
    #expect(obstacles == Set(isStated ? sides : []))
    for said in try #require(expected["arrays"]?.objectValue) {
      let numbers = try #require(said.value.arrayValue).compactMap(\.doubleValue)
      let module = try #require(
        structure.modules.first { $0.name == said.key || $0.layerNames.contains(said.key) })
      let row = max(0, module.layerNames.firstIndex(of: said.key) ?? 0)
      let state = try WeightFile(path: Self.folder + "/" + name).state
      for (prefix, number) in zip(module.prefixes[row], numbers) {
        let first = try #require(state[KerasNames.variable(prefix, 0)]).doubles().first
        #expect(first == number, "\(said.key) at \(prefix)")
      }
    }
  }

  // MARK: Configurations by hand

  private func structure(
    _ layers: String, ends: String = "", version: String? = "3.15.0", tensors: [String: [Int]] = [:]
  ) throws -> Structure {
    var state = StateDict()
    for (name, shape) in tensors.sorted(by: { $0.key < $1.key }) {
      let count = shape.reduce(1, *)
      try state.append(
        Name(name), Tensor.make((0..<count).map { Float($0 * 7 % 11) / 8 }, shape: shape))
    }
    let kind = ends.isEmpty ? "Sequential" : "Functional"
    let text = """
      {"module":"keras","class_name":"\(kind)","config":{"name":"m","layers":[\(layers)]\(ends)}}
      """
    return KerasStructure.of(
      state, config: text, graph: try KerasGraph(text), version: KerasVersion(text: version),
      notes: [],
      cuDNN: [])
  }

  private func layer(
    _ className: String, _ name: String, _ settings: String = "", from nodes: String? = nil
  ) -> String {
    let uses = nodes.map { ",\"name\":\"\(name)\",\"inbound_nodes\":\($0)" } ?? ""
    let more = settings.isEmpty ? "" : "," + settings
    return """
      {"module":"keras.layers","class_name":"\(className)","config":{"name":"\(name)"\(more)}\(uses)}
      """
  }

  private let sequence = #""units":3,"return_sequences":true"#
  private let ends = #","input_layers":[["i",0,0]],"output_layers":[["d",0,0]]"#

  @Test func olderSpellingsOfFunctionalModelsAreRead() throws {
    // States as further inputs, and as keywords.
    for states in [
      #"[[["a",0,0,{}],["a",0,1,{}],["a",0,2,{}]]]"#,
      #"[[["a",0,0,{"initial_state":[["a",0,1],["a",0,2]]}]]]"#,
    ] {
      let said = try structure(
        [
          layer("InputLayer", "i", from: "[]"),
          layer("LSTM", "a", sequence + #","return_state":true"#, from: #"[[["i",0,0,{}]]]"#),
          layer("LSTM", "b", sequence, from: states),
          layer("Dense", "d", from: #"[[["b",0,0,{}]]]"#),
        ].joined(separator: ","), ends: ends)
      #expect(said.modules.map(\.name) == ["a", "b", "d"])
      #expect(
        said.module("b")?.recurrent.initialState == .computed("the final states of a"))
      #expect(
        said.connections == [.init(from: "a", to: "b"), .init(from: "b", to: "d")])
      #expect(said.obstacles.map(\.module) == ["a"])
    }
  }

  @Test func modelsThatReadThemselvesStateNothing() throws {
    let said = try structure(
      [
        layer("InputLayer", "i", from: "[]"), layer("LSTM", "a", sequence, from: #"[[["b",0,0]]]"#),
        layer("LSTM", "b", sequence, from: #"[[["a",0,0]]]"#),
        layer("Dropout", "x", from: #"[[["y",0,0]]]"#),
        layer("Dropout", "y", from: #"[[["x",0,0]]]"#),
        layer("Dense", "d", from: #"[[["x",0,0]]]"#), layer("LSTM", "s", from: #"[[["s",0,0]]]"#),
        layer("LSTM", "none", from: #"[[["nobody",0,0]]]"#),
      ].joined(separator: ","), ends: ends)
    #expect(Set(said.modules.map(\.name)) == ["a", "b", "d", "s", "none"])
    #expect(!said.connections.contains { $0.to == "d" || $0.from == "d" })
    #expect(said.obstacles.contains { $0.module == "d" && $0.side == .before })
    #expect(said.obstacles.contains { $0.module == "none" && $0.operations[0].contains("nobody") })
  }

  @Test func nestedModelsThatFeedThemselvesEnd() throws {
    let inner = """
      {"class_name":"Functional","name":"m1","inbound_nodes":[[["m1",0,0]]],"config":{"name":"m1",\
      "layers":[\(layer("InputLayer", "k", from: "[]"))],"input_layers":[["k",0,0]],\
      "output_layers":[["k",0,0]]}}
      """
    let said = try structure(
      [
        layer("InputLayer", "i", from: "[]"), inner, layer("Dense", "d", from: #"[[["m1",0,0]]]"#),
      ].joined(separator: ","), ends: ends)
    #expect(said.obstacles.contains { $0.module == "d" && $0.operations == ["a cycle"] })
  }

  @Test func whatALayerIsSaidToComputeIsKept() throws {
    let said = try structure(
      [
        layer("LSTM", "hard", sequence + #","recurrent_activation":"hard_sigmoid""#),
        layer("GRU", "state", sequence + #","stateful":true"#),
        layer(
          "SimpleRNN", "own", sequence + #","activation":{"class_name":"function","config":"f"}"#),
        layer("GRU", "major", sequence + #","time_major":true,"reset_after":false"#),
        layer("Dense", "d", #""activation":"hard_sigmoid""#),
      ].joined(separator: ","), version: "2.15.0")
    let hard = try #require(said.module("hard"))
    #expect(hard.recurrent.activations == "hard_sigmoid tanh tanh")
    #expect(hard.refusal?.reason.code == "keras.activation")
    #expect(said.module("state")?.recurrent.initialState == .fed)
    #expect(
      said.obstacles.contains {
        $0.module == "state" && $0.isBranch && $0.operations[0].contains("stateful")
      } == true)
    #expect(said.module("own")?.refusal?.found.contains("\"f\"") == true)
    #expect(said.module("major")?.recurrent.batchFirst == false)
    #expect(said.module("major")?.recurrent.gruReset == "before")
    #expect(said.module("d")?.activation == "hard_sigmoid")
    let new = try structure(layer("Dense", "d", #""activation":"hard_sigmoid""#))
    #expect(new.module("d")?.activation == "hard_sigmoid(0.16666667,0.5)")
    // Before 2.3 a layer that says nothing had hard_sigmoid.
    let old = try structure(layer("LSTM", "l", sequence), version: "2.2.4")
    #expect(old.module("l")?.refusal?.reason.code == "keras.activation")
    #expect(old.module("l")?.refusal?.found == "recurrent_activation hard_sigmoid")
  }

  @Test func arraysThatAreNotThereOrNoNumbersAreRefused() throws {
    let said = try structure(
      layer("LSTM", "a", sequence), tensors: ["layers/lstm_1/cell/vars/0": [2, 12]])
    #expect(said.module("a")?.refusal?.reason.code == "weights.missing")
  }

  @Test func tooManyReferencesAreRefused() throws {
    let many = Array(repeating: #"["i",0,0]"#, count: 400_001).joined(separator: ",")
    #expect(throws: RecurrentError.self) {
      _ = try structure(
        [layer("InputLayer", "i", from: "[]"), layer("Add", "d", from: "[[\(many)]]")]
          .joined(separator: ","), ends: ends)
    }
  }

  // MARK: Without a configuration

  private func named(
    _ tensors: [(String, [Int])], names: [(path: String, name: String)] = [], version: String? = nil
  ) throws -> [Structure.Module] {
    var state = StateDict()
    for (name, shape) in tensors {
      let count = shape.reduce(1, *)
      try state.append(
        Name(name), Tensor.make((0..<count).map { Float($0 * 5 % 13) / 8 }, shape: shape))
    }
    var modules = KerasNamedModules(
      state, names: names, version: KerasVersion(text: version), cuDNN: [])
    return modules.modules()
  }

  private func lstm(_ path: String) -> [(String, [Int])] {
    [("\(path)/vars/0", [2, 12]), ("\(path)/vars/1", [3, 12]), ("\(path)/vars/2", [12])]
  }

  @Test func pathsSayClassesWhereNamesDoNot() throws {
    let modules = try named(
      lstm("layers/lstm/cell") + lstm("layers/team_lstm/cell") + lstm("rnn/cell")
        + lstm("layers/rnn/cell/cells/lstm_cell") + lstm("layers/bidirectional/forward_layer/cell")
        + lstm("layers/bidirectional/backward_layer/cell") + lstm("forward_rnn/cell")
        + [
          ("layers/embedding/vars/0", [7, 2]), ("layers/dense/vars/0", [3, 5]),
          ("layers/dense/vars/1", [5]), ("layers/my_dense/vars/0", [3, 5]),
          ("layers/my_dense/vars/1", [5]), ("layers/layer_normalization/vars/0", [3]),
        ],
      names: [("layers/lstm", "mine"), ("layers/rnn", "cells"), ("layers/rnn/cell", "stacked")])
    #expect(
      modules.map(\.name) == [
        "mine", "layers/team_lstm", "rnn", "layers/rnn/cell/cells/lstm_cell",
        "layers/bidirectional",
        "forward_rnn", "layers/embedding", "layers/dense", "layers/my_dense",
        "layers/layer_normalization",
      ])
    #expect(
      modules.map(\.kind) == [
        .recurrent, .other, .recurrent, .cell, .recurrent, .recurrent, .embedding, .linear, .other,
        .other,
      ])
    #expect(modules[4].recurrent.direction == "both")
    #expect(modules[4].prefixes[0].count == 2)
    #expect(modules.allSatisfy { $0.refusal == nil })
  }

  @Test func weightsAloneFromBefore23HadHardSigmoid() throws {
    for version in ["1", "1.2.2", "2.2.4", "2.2.4-tf"] {
      let module = try #require(try named(lstm("layers/lstm/cell"), version: version).first)
      #expect(module.refusal?.reason.code == "keras.activation")
      #expect(module.refusal?.found.contains("hard_sigmoid by default") == true)
      #expect(module.refusal?.hint != nil)
    }
    for version in ["2.3.0", "2.15.0", "3.0.5", nil] {
      #expect(try named(lstm("layers/lstm/cell"), version: version).first?.refusal == nil)
    }
    // A simple layer has no gates.
    let simple = [
      ("layers/simple_rnn/cell/vars/0", [2, 3]), ("layers/simple_rnn/cell/vars/1", [3, 3]),
    ]
    #expect(try named(simple, version: "2.2.4").first?.refusal == nil)
  }

  // MARK: Masks and odd values

  /// What skips steps stands before every recurrent layer that the mask reaches.
  @Test func masksBreakTheConnection() throws {
    let table = #""input_dim":9,"output_dim":3"#
    func obstacles(_ layers: [String]) throws -> [String] {
      let said = try structure(layers.joined(separator: ","))
      return said.obstacles.map {
        "\($0.module) \($0.side.rawValue): \($0.operations[0].prefix(11))"
      }
        + said.connections.map { "\($0.from) -> \($0.to)" }
    }
    let plain = [layer("Embedding", "e", table), layer("LSTM", "a", sequence)]
    #expect(try obstacles(plain) == ["e -> a"])
    let masked = layer("Embedding", "e", table + #","mask_zero":true"#)
    #expect(
      try obstacles([masked, layer("LSTM", "a", sequence)]) == [
        "a before: the mask of", "e behind: LSTM \"a\"",
      ])
    // Through a linear layer and through a layer of another width.
    let far = try obstacles([
      masked, layer("Dense", "d", #""units":3"#), layer("LSTM", "a", sequence),
      layer("GRU", "b", #""units":5,"return_sequences":false"#),
    ])
    #expect(
      far.filter { $0.contains("the mask of") } == [
        "a before: the mask of", "b before: the mask of",
      ])
    // One vector has no steps to skip.
    let repeated = try obstacles([
      masked, layer("LSTM", "a", #""units":3"#), layer("RepeatVector", "r", #""n":4"#),
      layer("LSTM", "b", sequence),
    ])
    #expect(!repeated.contains("b before: the mask of"))
  }

  @Test(arguments: [
    #""units":3,"go_backwards":1"#, #""units":3,"return_sequences":"yes""#, #""units":3.5"#,
    #""units":0"#, #""units":3,"use_bias":"no""#,
  ])
  func valuesOfAnotherTypeAreNotGuessed(_ settings: String) throws {
    for className in ["LSTM", "SimpleRNN"] {
      let said = try structure(layer(className, "a", settings))
      #expect(said.modules[0].refusal?.reason.code == "keras.config", "\(className) \(settings)")
    }
    if settings.contains("units") && !settings.contains("go") && !settings.contains("return") {
      #expect(
        try structure(
          layer("Dense", "d", settings), tensors: ["layers/dense/vars/0": [2, 3]]
        ).modules[0].refusal?.reason.code == "keras.config")
    }
  }

  @Test func policiesOfTypesAreSaid() throws {
    let said = try structure(
      [
        layer("LSTM", "a", sequence + #","dtype":"mixed_float16""#),
        layer(
          "Dense", "d",
          #""units":3,"dtype":{"class_name":"QuantizedDTypePolicy","config":{"name":"int8_from_float32"}}"#
        ),
      ].joined(separator: ","), tensors: ["layers/dense/vars/0": [3, 3]])
    #expect(said.modules[0].remarks.contains { $0.description.hasPrefix("mixed_float16") })
    #expect(said.modules[1].refusal?.reason.code == "keras.quantised")
  }

  // MARK: Calls

  private func called(_ arguments: String, _ keywords: String = "", inputs: [String] = ["i"]) throws
    -> Structure
  {
    let tensor = { (name: String) in
      #"{"class_name":"__keras_tensor__","config":{"keras_history":["\#(name)",0,0]}}"#
    }
    var more = arguments
    for name in ["i", "h", "c"] {
      more = more.replacingOccurrences(of: "$\(name)", with: tensor(name))
    }
    var words = keywords
    for name in ["h", "c"] {
      words = words.replacingOccurrences(of: "$\(name)", with: tensor(name))
    }
    let ends =
      #","input_layers":[\#(inputs.map { #"["\#($0)",0,0]"# }.joined(separator: ","))],"output_layers":[["a",0,0]]"#
    return try structure(
      (inputs.map { layer("InputLayer", $0, from: "[]") } + [
        layer("LSTM", "a", sequence, from: #"[{"args":[\#(more)],"kwargs":{\#(words)}}]"#)
      ]).joined(separator: ","), ends: ends)
  }

  /// Constants in a call are as much part of it as results of other layers.
  @Test func constantsInACallAreNotDropped() throws {
    let constant =
      #"{"class_name":"__tensor__","config":{"dtype":"float32","value":[[1.0,2.0,3.0]]}}"#
    #expect(try called("$i").modules[0].recurrent.initialState == .zeros)
    #expect(try called("$i", #""training":false,"mask":null"#).obstacles.isEmpty)
    let stored = try called("$i", #""initial_state":[\#(constant),\#(constant)]"#)
    #expect(
      stored.modules[0].recurrent.initialState == .computed("a constant of the configuration"))
    let positional = try called("$i,[\(constant),\(constant)]")
    #expect(positional.modules[0].recurrent.initialState != .zeros)
    let masked = try called("$i", #""mask":\#(constant)"#)
    #expect(masked.obstacles.map(\.side) == [.before])
    #expect(try called("$i", #""reverse":true"#).obstacles.count == 1)
  }

  /// States that the model's inputs feed are known only in the order of those inputs.
  @Test func statesAreFedInOrder() throws {
    let inputs = ["i", "h", "c"]
    let inOrder = try called("$i", #""initial_state":[$h,$c]"#, inputs: inputs)
    #expect(inOrder.modules[0].recurrent.initialState == .fed)
    for states in ["$c,$h", "$h,$h"] {
      let other = try called("$i", #""initial_state":[\#(states)]"#, inputs: inputs)
      guard case .computed(let text)? = other.modules[0].recurrent.initialState else {
        Issue.record("\(states) is not noticed")
        continue
      }
      #expect(text.hasPrefix("the model's inputs"))
    }
  }
}
