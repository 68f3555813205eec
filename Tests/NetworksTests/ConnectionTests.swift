import Containers
import Frameworks
import Networks
import RNNEngine
import Tensors
import Testing

/// What may be assumed about the connections of a list of tensors, and what not: the rule of the page "What a proof proves".
@Suite("A connection is assumed only where one candidate fits")
struct ConnectionTests {
  private func state(_ tensors: [(String, [Int])], keepsOrder: Bool = true) throws -> StateDict {
    var state = StateDict()
    for (name, shape) in tensors {
      let count = shape.reduce(1, *)
      try state.append(
        Name(name), Tensor.make((0..<count).map { Float($0 % 11) / 9 - 0.5 }, shape: shape))
    }
    state.keepsOrder = keepsOrder
    return state
  }

  private func gru(_ name: String, _ inputs: Int = 4, _ hidden: Int = 6) -> [(String, [Int])] {
    [
      ("\(name).weight_ih_l0", [3 * hidden, inputs]),
      ("\(name).weight_hh_l0", [3 * hidden, hidden]),
      ("\(name).bias_ih_l0", [3 * hidden]), ("\(name).bias_hh_l0", [3 * hidden]),
    ]
  }

  private func linear(_ name: String, _ inputs: Int, _ outputs: Int) -> [(String, [Int])] {
    [("\(name).weight", [outputs, inputs]), ("\(name).bias", [outputs])]
  }

  private func norm(_ name: String, _ size: Int) -> [(String, [Int])] {
    [("\(name).weight", [size]), ("\(name).bias", [size])]
  }

  private func table(_ name: String, _ count: Int, _ size: Int) -> [(String, [Int])] {
    [("\(name).weight", [count, size])]
  }

  private func summaries(_ tensors: [(String, [Int])], keepsOrder: Bool = true) throws -> [String] {
    try ModuleList(state(tensors, keepsOrder: keepsOrder)).connections.map(\.summary)
  }

  @Test func theOnlyLayerDirectlyBehindIsAssumed() throws {
    #expect(
      try summaries(table("word_emb", 9, 4) + gru("rnn") + linear("out", 6, 3)) == [
        "rnn -> out (assumed)", "word_emb -> rnn (assumed)",
      ])
  }

  @Test func nothingIsAssumedAcrossAnotherModule() throws {
    #expect(try summaries(gru("rnn") + norm("norm", 6) + linear("fc", 6, 3)).isEmpty)
    #expect(
      try summaries(table("emb", 9, 4) + norm("norm", 4) + gru("rnn") + linear("fc", 6, 3)) == [
        "rnn -> fc (assumed)"
      ])
    #expect(try summaries(gru("rnn") + linear("hidden", 6, 6) + linear("fc", 6, 3)).isEmpty)
    #expect(
      try summaries(gru("rnn") + [("attention.v", [6])] + linear("fc", 6, 3)).isEmpty)
  }

  @Test func aLayerBeforeIsNoHead() throws {
    #expect(try summaries(linear("proj", 6, 6) + gru("rnn", 6, 6)).isEmpty)
  }

  @Test func severalLayersThatFitAreNone() throws {
    #expect(
      try summaries(gru("rnn") + linear("policy", 6, 3) + linear("value", 6, 1)).isEmpty)
    // A layer that feeds another one is hidden.
    #expect(try summaries(gru("rnn") + linear("fc1", 6, 5) + linear("fc2", 5, 2)).isEmpty)
  }

  @Test func layersBelongToTheModuleInTheirScope() throws {
    let file =
      gru("actor.rnn") + linear("actor.out", 6, 3) + gru("critic.rnn") + linear("critic.out", 6, 1)
    #expect(
      try summaries(file) == [
        "actor.rnn -> actor.out (assumed)", "critic.rnn -> critic.out (assumed)",
      ])
    let sequences =
      table("encoder.embedding", 11, 4) + gru("encoder.rnn") + table("decoder.embedding", 9, 4)
      + gru("decoder.rnn") + linear("decoder.fc_out", 6, 9)
    #expect(
      try summaries(sequences) == [
        "encoder.embedding -> encoder.rnn (assumed)", "decoder.rnn -> decoder.fc_out (assumed)",
        "decoder.embedding -> decoder.rnn (assumed)",
      ])
    // Two recurrent modules that both fit compete.
    #expect(try summaries(gru("a") + gru("b", 4, 6) + linear("fc", 6, 3)).isEmpty)
  }

  @Test func withoutAnOrderLessMayBeAssumed() throws {
    #expect(
      try summaries(linear("fc", 6, 3) + gru("rnn"), keepsOrder: false) == ["rnn -> fc (assumed)"])
    #expect(try summaries(linear("proj_in", 6, 6) + gru("rnn", 6, 6), keepsOrder: false).isEmpty)
    #expect(
      try summaries(linear("fc", 6, 3) + norm("norm", 6) + gru("rnn"), keepsOrder: false).isEmpty)
  }

  @Test func aLayerWithoutBiasIsNoEmbedding() throws {
    let list = try ModuleList(
      state(table("stem", 9, 4) + gru("rnn") + table("out", 3, 6)))
    #expect(!list.modules.contains { $0.kind == .embedding })
    #expect(list.connections.map(\.summary) == ["rnn -> out (assumed)"])
  }

  @Test func theCallerDecides() throws {
    let file = try state(
      linear("proj", 6, 6) + gru("rnn", 6, 6) + norm("norm", 6) + linear("fc", 6, 3))
    var options = ReadOptions(head: .named("fc"), headReads: .last)
    let given = try Recognition(file, options: options)
    #expect(given.connections.map(\.summary) == ["rnn -> fc [last] (given)"])
    #expect(given.architecture.head?.reads == .last)
    options.headReads = nil
    options.head = ReadOptions.Neighbour.none
    #expect(try Recognition(file, options: options).head == nil)
    options.head = .named("norm")
    #expect(throws: RecurrentError.self) { try Recognition(file, options: options) }
    let wrong = try state(gru("rnn") + linear("fc", 7, 3))
    let error = #expect(throws: RecurrentError.self) {
      try Recognition(wrong, options: ReadOptions(head: .named("fc")))
    }
    #expect(error?.reason.code == "network.sizes")
  }

  @Test func connectionsAreReadBackAsTheyWereWritten() throws {
    var file = try state(table("emb", 9, 4) + gru("rnn") + linear("fc", 6, 3))
    file.metadata["connections"] = "emb -> rnn (assumed); rnn -> fc [final] (stated)"
    let list = try ModuleList(file)
    #expect(list.connections.map(\.evidence) == [.assumed, .stated])
    #expect(list.connections.map(\.reads) == [.sequence, .final])
    file.metadata["connections"] = "emb to rnn"
    #expect(throws: RecurrentError.self) { try ModuleList(file) }
  }

  @Test func cellsAreModules() throws {
    let list = try ModuleList(
      state(
        gru("encoder", 8, 4).map { ($0.0, $0.1) } + [
          ("decoder.weight_ih", [40, 8]), ("decoder.weight_hh", [40, 10]),
          ("decoder.bias_ih", [40]), ("decoder.bias_hh", [40]),
        ]))
    #expect(list.recurrent.map(\.kind) == [.recurrent, .cell])
    #expect(list.recurrent[1].architecture.cell == .lstm)
    #expect(list.recurrent[1].description == "decoder: cell, lstm, 1 layer, input 8, hidden 10")
  }

  @Test func obstaclesAndGraphsStateOrBreak() throws {
    var file = try state(gru("rnn") + linear("fc", 6, 3))
    file.structure = Structure(
      statesConnections: true,
      modules: [.init(name: "rnn", kind: .recurrent), .init(name: "fc", kind: .linear)])
    #expect(try Recognition(file).head == nil)
    file.structure?.connections = [.init(from: "rnn", to: "fc", reads: .last)]
    let stated = try Recognition(file)
    #expect(stated.head?.name == "fc" && stated.connections[0].evidence == .stated)
    // What the file says is not overruled.
    #expect(throws: RecurrentError.self) {
      try Recognition(file, options: ReadOptions(headReads: .final))
    }
  }
}
