import Containers
import Frameworks
import Networks
import RNNEngine
import Tensors
import Testing

/// What files say about their modules beside names and shapes: believed where it fits, said where it does not, and never
/// dropped on the way through another file.
@Suite("What files say is believed where it fits, said where it does not, never dropped")
struct EvidenceTests {
  private func state(_ tensors: [(String, [Int])], _ metadata: [(String, String)] = []) throws
    -> StateDict
  {
    var state = StateDict()
    for (name, shape) in tensors {
      let count = shape.reduce(1, *)
      try state.append(
        Name(name), Tensor.make((0..<count).map { Float($0 % 13) / 9 - 0.6 }, shape: shape))
    }
    for (key, value) in metadata { state.metadata[key] = value }
    return state
  }

  /// An embedding of 9 words, a GRU of 4 -> 6 and a linear layer of 6 -> 3.
  private func network(_ metadata: [(String, String)] = []) throws -> StateDict {
    try state(
      [
        ("emb.weight", [9, 4]), ("rnn.weight_ih_l0", [18, 4]), ("rnn.weight_hh_l0", [18, 6]),
        ("rnn.bias_ih_l0", [18]), ("rnn.bias_hh_l0", [18]), ("fc.weight", [3, 6]), ("fc.bias", [3]),
      ], metadata)
  }

  private func reason(_ metadata: [(String, String)]) throws -> String? {
    let state = try network(metadata)
    do {
      _ = try ModuleList(state)
      return nil
    } catch let error as RecurrentError { return error.reason.code }
  }

  @Test(
    arguments: [
      ("connections", "rnn -> fc (stated)", nil),
      ("connections", "rnn -> head (stated)", "metadata.connections"),
      ("connections", "fc -> rnn (stated)", "network.sizes"),
      ("connections", "emb -> fc (given)", "network.sizes"),
      ("connections", "rnn -> emb (stated)", "network.sizes"),
      ("head_reads", "banana", "metadata.head_reads"),
      ("format_version", "99", "metadata.format_version"),
    ] as [(String, String, String?)])
  func metadataThatDoNotFitAreRefused(_ key: String, _ value: String, _ expected: String?) throws {
    #expect(try reason([("format", "rnn-state-dict"), (key, value)]) == expected)
  }

  /// The number belongs to this toolkit's files alone.
  @Test func othersMayNumberTheirVersions() throws {
    #expect(try reason([("format", "pt"), ("format_version", "99")]) == nil)
  }

  @Test func twoKeysThatDisagreeAreRefused() throws {
    let connection = ("connections", "rnn -> fc [last] (stated)")
    #expect(try reason([connection, ("head_reads", "sequence")]) == "metadata.head_reads")
    // The last step of one direction is its final state.
    #expect(try reason([connection, ("head_reads", "final")]) == nil)
    #expect(try reason([connection, ("head_reads", "last")]) == nil)
  }

  @Test func whatAComputationSaysIsBelievedAndTheRestIsSaid() throws {
    var file = try network([
      ("output_activation", "softmax"), ("head_reads", "last"), ("batch_first", "true"),
      ("initial_state", "stored"), ("connections", "emb -> rnn (stated)"),
    ])
    var rnn = Structure.Module(name: "rnn", kind: .recurrent)
    rnn.recurrent.batchFirst = false
    rnn.recurrent.initialState = .zeros
    file.structure = Structure(
      statesConnections: true, modules: [rnn, .init(name: "fc", kind: .linear)],
      connections: [.init(from: "rnn", to: "fc")])
    let list = try ModuleList(file)
    for key in ["output_activation", "head_reads", "batch_first", "initial_state", "connections"] {
      #expect(list.remarks.contains { $0.description.hasPrefix("metadata \(key) = ") }, "\(key)")
    }
    let found = try Recognition(file)
    #expect(
      found.architecture.head?.reads == .sequence && found.architecture.head?.activation == nil)
    #expect(!found.architecture.batchFirst)
    let error = #expect(throws: RecurrentError.self) {
      try Recognition(file, options: ReadOptions(batchFirst: true))
    }
    #expect(error?.reason.code == "network.batch-first")
  }

  @Test func anOutputFunctionWithoutAHeadIsSaid() throws {
    let file = try network([
      ("output_activation", "softmax"), ("connections", "emb -> rnn (stated)"),
    ])
    #expect(
      try ModuleList(file).remarks.map(\.description) == [
        "metadata output_activation = softmax is not believed: no linear layer is known to follow rnn"
      ])
  }

  // MARK: What is left behind

  @Test func whatStandsAroundModulesIsRememberedByTheNextFile() throws {
    var graph = try network()
    graph.structure = Structure(
      statesConnections: true,
      modules: [.init(name: "rnn", kind: .recurrent), .init(name: "fc", kind: .linear)],
      connections: [.init(from: "rnn", to: "fc")],
      obstacles: [
        .init(module: "rnn", side: .before, operations: ["Sub", "Div"]),
        .init(module: "fc", side: .behind, operations: ["Clip"]),
      ])
    graph.structure?.convention = "torch"
    let whole = try Network(graph)
    #expect(whole.reservations.contains(.says("Sub, Div before rnn")))
    #expect(whole.surroundings == ["Sub, Div before rnn", "Clip behind fc"])
    var file = try network([
      ("connections", "rnn -> fc (stated)"), ("left_behind", "Sub, Div before rnn; Clip behind fc"),
    ])
    let read = try Network(file)
    #expect(read.surroundings == ["Sub, Div before rnn", "Clip behind fc"])
    #expect(!read.reservations.isEmpty)
    file.metadata["left_behind"] = nil
    #expect(try Network(file).surroundings.isEmpty)
  }

  @Test func layersWithoutWeightsHaveNoPlaceInAFileOfModules() throws {
    var file = try network()
    file.structure = Structure(modules: [
      .init(name: "emb", kind: .embedding), .init(name: "rnn", kind: .recurrent),
      .init(name: "drop", kind: .other, className: "Dropout"),
      .init(name: "fc", kind: .linear), .init(name: "act", kind: .other, className: "Softmax"),
    ])
    let list = try ModuleList(file)
    #expect(list.surroundings.count == 1)
    #expect(list.surroundings[0].hasPrefix("act (Softmax)"))
  }

  // MARK: Classes

  @Test func anAuthorsClassIsAnAssumption() throws {
    var file = try network()
    file.structure = Structure(modules: [
      .init(name: "emb", kind: .other, className: "EmbeddingBag"),
      .init(name: "rnn", kind: .other, className: "__main__.MyGRU"),
      .init(name: "fc", kind: .linear, className: "Linear"),
    ])
    let list = try ModuleList(file)
    let rnn = try #require(list.module("rnn"))
    #expect(rnn.assumptions.contains { $0.description.contains("__main__.MyGRU") })
    // A layer of PyTorch's own that sums vectors is no embedding.
    #expect(!list.modules.contains { $0.name == "emb" })
    #expect(list.others == ["emb.weight"])
  }

  @Test(arguments: ["hidden size", "input size", "number of layers", "biases", "direction"])
  func sizesThatAFileStatesHoldForItsTensors(_ what: String) throws {
    var file = try network()
    var rnn = Structure.Module(name: "rnn", kind: .recurrent)
    rnn.recurrent.hiddenSize = 6
    rnn.recurrent.hasBias = true
    file.structure = Structure(modules: [rnn])
    #expect(try ModuleList(file).module("rnn")?.refusal == nil)
    switch what {
    case "hidden size": rnn.recurrent.hiddenSize = 7
    case "input size": rnn.recurrent.inputSize = 5
    case "number of layers": rnn.recurrent.layerCount = 2
    case "biases": rnn.recurrent.hasBias = false
    default: rnn.recurrent.direction = "both"
    }
    file.structure = Structure(modules: [rnn])
    let refusal = try #require(try ModuleList(file).module("rnn")?.refusal)
    #expect(refusal.reason.code == "weights.shape")
    #expect("\(refusal.found) \(refusal.expected)".contains(what), "\(refusal)")
  }

  @Test func aLinearLayerHasTheOutputsThatItsFileStates() throws {
    var file = try network()
    var fc = Structure.Module(name: "fc", kind: .linear)
    fc.outputSize = 3
    file.structure = Structure(modules: [.init(name: "rnn", kind: .recurrent), fc])
    #expect(try ModuleList(file).module("fc")?.refusal == nil)
    fc.outputSize = 99
    file.structure = Structure(modules: [.init(name: "rnn", kind: .recurrent), fc])
    #expect(try ModuleList(file).module("fc")?.refusal?.reason.code == "weights.shape")
  }

  // MARK: Options that say too much

  private func error(_ options: ReadOptions, _ state: StateDict) -> RecurrentError? {
    #expect(throws: RecurrentError.self) { try Recognition(state, options: options) }
  }

  @Test func whatTheCallerSaysMustBeAboutSomething() throws {
    let gru = try network()
    #expect(error(ReadOptions(cell: .rnnRelu), gru)?.reason.code == "network.cell")
    #expect(
      error(ReadOptions(head: ReadOptions.Neighbour.none, headReads: .last), gru)?.reason.code
        == "network.head-reads")
    let wrong = error(ReadOptions(head: .named("fx")), gru)
    #expect(wrong?.reason.code == "network.neighbour" && wrong?.hint == "Did you mean fc?")
    let plain = try state([("rnn.weight_ih_l0", [6, 4]), ("rnn.weight_hh_l0", [6, 6])])
    #expect(error(ReadOptions(gruReset: .before), plain)?.reason.code == "network.gru-reset")
    let kind = error(ReadOptions(module: "fc"), gru)
    #expect(
      kind?.reason.code == "weights.kind" && kind?.advice == "For instance \(.module("rnn")).")
  }

  @Test func ofSeveralModulesOneIsMeant() throws {
    let two = try state(
      ["a", "b"].flatMap { name in
        [("\(name).weight_ih_l0", [6, 4]), ("\(name).weight_hh_l0", [6, 6])]
      } + [("fc.weight", [3, 6]), ("fc.bias", [3])])
    let found = #expect(throws: RecurrentError.self) {
      try ModuleList(two, options: ReadOptions(head: .named("fc")))
    }
    #expect(found?.reason.code == "weights.ambiguous")
    #expect(
      try Recognition(two, options: ReadOptions(module: "b", head: .named("fc"))).head?.name == "fc"
    )
  }

  @Test func whatFitsIsNamed() throws {
    let file = try state([
      ("rnn.weight_ih_l0", [6, 4]), ("rnn.weight_hh_l0", [6, 6]), ("a.weight", [3, 5]),
      ("a.bias", [3]), ("b.weight", [3, 6]), ("b.bias", [3]),
    ])
    let wrong = error(ReadOptions(head: .named("a")), file)
    #expect(wrong?.reason.code == "network.sizes" && wrong?.hint == "For instance b, which fits.")
  }

  // MARK: What names and shapes would misread

  @Test func metadataSayWhatAModuleIs() throws {
    let tensors: [(String, [Int])] = [
      ("e.weight", [6, 6]), ("embed.weight", [6, 6]), ("rnn.weight_ih_l0", [18, 6]),
      ("rnn.weight_hh_l0", [18, 6]),
    ]
    let plain = try ModuleList(state(tensors))
    #expect(plain.modules.map(\.kind) == [.linear, .embedding, .recurrent])
    let said = try ModuleList(
      state(tensors, [("e.kind", "embedding"), ("embed.kind", "linear"), ("rnn.kind", "cell")]))
    #expect(said.modules.map(\.kind) == [.embedding, .linear, .cell])
  }

  @Test func stacksThatMetadataStateAreNoGuess() throws {
    let layers: [(String, [Int])] = ["0", "1"].flatMap { number in
      [
        ("rnn.\(number).Wx", [20, number == "0" ? 3 : 5]), ("rnn.\(number).Wh", [20, 5]),
        ("rnn.\(number).bias", [20]),
      ]
    }
    func codes(_ metadata: [(String, String)]) throws -> [String] {
      try ModuleList(state(layers, metadata)).modules[0].assumptions.map(\.code)
    }
    #expect(try codes([]).contains("stack"))
    #expect(try !codes([("num_layers", "2")]).contains("stack"))
    let wrong = try ModuleList(state(layers, [("num_layers", "3")])).modules[0].refusal
    #expect(wrong?.reason.code == "metadata.num_layers")
  }

  /// Keras numbers layers by class, so that names cannot say which of them are one stack.
  @Test func layersThatMetadataConnectAreOneStack() throws {
    let layers: [(String, [Int])] = ["lstm", "lstm_1"].flatMap { name in
      let path = "layers/\(name)/cell/vars/"
      return [
        (path + "0", [name == "lstm" ? 3 : 5, 20]), (path + "1", [5, 20]), (path + "2", [20]),
      ]
    }
    let file = try state(
      layers + [("layers/dense/vars/0", [5, 2]), ("layers/dense/vars/1", [2])],
      [
        ("format", "rnn-state-dict"), ("lstm.cell", "lstm"), ("lstm.head_reads", "last"),
        ("connections", "lstm -> lstm_1 (stated); lstm_1 -> dense (stated)"),
      ])
    let found = try Recognition(file)
    #expect(found.architecture.layerCount == 2 && found.recurrent.layerNames == ["lstm", "lstm_1"])
    #expect(found.connections.map(\.summary) == ["lstm -> dense [last] (stated)"])
    #expect(try ModuleList(file).module("lstm_1")?.name == "lstm")
  }

  @Test func peepholesAreNoLooseTensors() throws {
    var file = try state([
      ("rnn.weight_ih_l0", [24, 4]), ("rnn.weight_hh_l0", [24, 6]), ("fc.weight", [3, 6]),
    ])
    #expect(try ModuleList(file).module("rnn")?.refusal == nil)
    try file.append("rnn.weight_ci_l0", Tensor.make([Float](repeating: 0.5, count: 6), shape: [6]))
    #expect(try ModuleList(file).module("rnn")?.refusal?.reason.code == "weights.peepholes")
  }

  @Test(
    arguments: [
      ("activations", "sigmoid tanh", nil),
      ("activations", "hard_sigmoid tanh", "metadata.activations"),
      ("clip", "0", nil), ("clip", "3.0", "metadata.clip"), ("clip", "much", "metadata.clip"),
      ("direction", "forward", nil), ("direction", "both", "metadata.direction"),
      ("direction", "reverse", "metadata.direction"), ("direction", "x", "metadata.direction"),
      ("rnn.batch_first", "true", nil),
    ] as [(String, String, String?)])
  func keysOfACellMustBeItsOwn(_ key: String, _ value: String, _ expected: String?) throws {
    let list = try ModuleList(network([(key, value)]))
    #expect(list.module("rnn")?.refusal?.reason.code == expected)
  }

  @Test func whatMetadataStateIsNotOverruled() throws {
    let file = try network([
      ("gru_reset", "before"), ("batch_first", "true"),
      ("connections", "rnn -> fc [last] (stated)"),
    ])
    #expect(error(ReadOptions(gruReset: .after), file)?.reason.code == "network.gru-reset")
    #expect(error(ReadOptions(batchFirst: false), file)?.reason.code == "network.batch-first")
    #expect(error(ReadOptions(headReads: .sequence), file)?.reason.code == "network.head-reads")
    let both = try network([("batch_first", "true"), ("rnn.batch_first", "false")])
    #expect(throws: RecurrentError.self) { try ModuleList(both) }
    let none = try network([("head", "none"), ("connections", "rnn -> fc (stated)")])
    #expect(throws: RecurrentError.self) { try ModuleList(none) }
  }

  /// Without the bracket the key `head_reads` says what is read.
  @Test func aConnectionMayLeaveTheReadingToItsKey() throws {
    let file = try network([("head_reads", "last"), ("connections", "rnn -> fc (stated)")])
    #expect(try Recognition(file).architecture.head?.reads == .last)
    let own = try network([
      ("connections", "rnn -> fc (stated)"), ("fc.output_activation", "sigmoid"),
    ])
    #expect(try Recognition(own).architecture.head?.activation == "sigmoid")
  }

  /// What a conversion assumed and wrote into a graph is still assumed when the graph is read.
  @Test func anAssumptionDoesNotBecomeAFact() throws {
    var file = try network([("connections", "rnn -> fc (assumed)")])
    file.structure = Structure(
      statesConnections: true,
      modules: [.init(name: "rnn", kind: .recurrent), .init(name: "fc", kind: .linear)],
      connections: [.init(from: "rnn", to: "fc")])
    #expect(try ModuleList(file).connections.map(\.evidence) == [.assumed])
  }

  @Test func initialStatesHaveTheShapesOfTheirModule() throws {
    var file = try network([("initial_state", "stored")])
    #expect(try ModuleList(file).module("rnn")?.refusal?.reason.code == "weights.missing")
    try file.append("rnn.h_0", Tensor.make([Float](repeating: 1, count: 12), shape: [2, 1, 6]))
    #expect(try ModuleList(file).module("rnn")?.refusal?.reason.code == "weights.shape")
  }
}
