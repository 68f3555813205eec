import Containers
import Conversion
import Frameworks
import Networks
import NetworksTestSupport
import RNNEngine
import Tensors
import TestSupport
import Testing

/// Weights under anybody's names, described in a names file.
@Suite("Weights under anybody's names, described in a names file")
struct NamesFileTests {
  private func json(_ text: String) throws -> JSON { try JSON.parse(Array(text.utf8)) }

  private func reason(_ body: () throws -> Void) -> (reason: String, text: String)? {
    do {
      try body()
      return nil
    } catch let error as RecurrentError {
      return (error.reason.code, error.description)
    } catch {
      return ("\(error)", "")
    }
  }

  /// The canonical parameters of a stack, cut and turned as a names file describes them.
  private func stored(
    _ architecture: Architecture, order: [Int], columns: Bool, perGate: [String]? = nil,
    sumsBiases: Bool, name: (_ key: String, _ layer: Int, _ direction: Int, _ gate: Int) -> String
  ) throws -> StateDict {
    let canonical = try canonicalState(architecture)
    var state = StateDict()
    let size = architecture.hiddenSize
    for layer in 0..<architecture.layerCount {
      for direction in 0..<architecture.directionCount {
        let suffix = "_l\(layer)" + (direction == 1 ? "_reverse" : "")
        func numbers(_ role: String) throws -> [Double] {
          try #require(canonical[Name(role + suffix)]).doubles()
        }
        for role in ["weight_ih", "weight_hh"] {
          let all = try numbers(role)
          let width = all.count / (architecture.cell.gateNames.count * size)
          func block(_ gate: Int) -> [[Double]] {
            (0..<size).map { row in
              Array(all[(gate * size + row) * width..<(gate * size + row + 1) * width])
            }
          }
          func add(_ rows: [[Double]], _ gate: Int) throws {
            let turned =
              columns
              ? (0..<width).flatMap { column in rows.map { $0[column] } } : rows.flatMap { $0 }
            try state.append(
              Name(name(role, layer, direction, gate)),
              Tensor.make(turned, shape: columns ? [width, rows.count] : [rows.count, width]))
          }
          if perGate != nil {
            for gate in order { try add(block(gate), gate) }
          } else {
            try add(order.flatMap(block), 0)
          }
        }
        let (first, second) = try (numbers("bias_ih"), numbers("bias_hh"))
        func pieces(_ values: [Double], _ gate: Int) -> [Double] {
          Array(values[gate * size..<(gate + 1) * size])
        }
        let sets: [(String, [Double])] =
          sumsBiases
          ? [("bias", zip(first, second).map { $0 + $1 })]
          : [("bias_ih", first), ("bias_hh", second)]
        for (role, values) in sets {
          if perGate != nil {
            for gate in order {
              try state.append(
                Name(name(role, layer, direction, gate)),
                Tensor.make(pieces(values, gate), shape: [size]))
            }
          } else {
            let turned = order.flatMap { pieces(values, $0) }
            try state.append(
              Name(name(role, layer, direction, 0)), Tensor.make(turned, shape: [turned.count]))
          }
        }
      }
    }
    return state
  }

  @Test func aStackInColumnsWithItsOwnGateOrder() throws {
    let architecture = Architecture(
      cell: .lstm, inputSize: 3, hiddenSize: 5, layerCount: 2, bidirectional: true)
    let state = try stored(
      architecture, order: [0, 2, 1, 3], columns: true, sumsBiases: true
    ) { key, layer, direction, _ in
      let word = ["weight_ih": "k", "weight_hh": "rk", "bias": "b"][key] ?? key
      return "\(word)\(layer)" + (direction == 1 ? "_back" : "")
    }
    let convention = try Convention(
      names: json(
        """
        {"schema": 1, "modules": {"stack": {"cell": "lstm", "gates": "i g f o",
          "orientation": "columns", "layers": 2, "directions": ["", "_back"],
          "tensors": {"weight_ih": "k{layer}{direction}", "weight_hh": "rk{layer}{direction}",
                      "bias": "b{layer}{direction}"}}}}
        """))
    let network = try Network(state, options: ReadOptions(convention: convention))
    #expect(network.architecture == architecture)
    let canonical = try canonicalState(architecture)
    let read = try network.canonical
    for entry in read.entries where entry.name.string.hasPrefix("weight") {
      #expect(try entry.tensor.isIdentical(to: #require(canonical[entry.name])), "\(entry.name)")
    }
    for suffix in ["l0", "l1_reverse"] {
      let sum = try zip(
        #require(canonical[Name("bias_ih_" + suffix)]).doubles(),
        #require(canonical[Name("bias_hh_" + suffix)]).doubles()
      ).map { $0 + $1 }
      #expect(try #require(read[Name("bias_ih_" + suffix)]).doubles() == sum)
    }
  }

  @Test func aTensorForEachGateAndModulesAround() throws {
    let architecture = Architecture(cell: .gru, inputSize: 4, hiddenSize: 6)
    var state = try stored(
      architecture, order: [1, 0, 2], columns: false, perGate: ["u", "r", "h"], sumsBiases: false
    ) { key, _, _, gate in
      let word =
        ["weight_ih": "W_", "weight_hh": "U_", "bias_ih": "b_", "bias_hh": "c_"][key] ?? key
      return "enc." + word + ["r", "u", "h"][gate]
    }
    let numbers = (0..<36).map { Double($0) * 0.37 - 5 }
    try state.append("enc_emb", Tensor.make(numbers, shape: [9, 4]))
    try state.append("fc_w", Tensor.make(Array(numbers[..<18]), shape: [3, 6]))
    try state.append("fc_b", Tensor.make(Array(numbers[..<3]), shape: [3]))
    let text = """
      {"schema": 1, "modules": {
        "encoder": {"cell": "gru", "gates": "u r h", "orientation": "rows",
          "tensors": {"weight_ih": "enc.W_{gate}", "weight_hh": "enc.U_{gate}",
                      "bias_ih": "enc.b_{gate}", "bias_hh": "enc.c_{gate}"}},
        "embedding": {"kind": "embedding", "tensors": {"weight": "enc_emb"}},
        "fc": {"kind": "linear", "tensors": {"weight": "fc_w", "bias": "fc_b"}}},
       "connections": ["embedding -> encoder", "encoder -> fc [final]"]}
      """
    let convention = try Convention(names: json(text))
    let network = try Network(state, options: ReadOptions(convention: convention))
    #expect(network.architecture.embedding?.tokenCount == 9)
    #expect(network.architecture.head?.classCount == 3)
    #expect(network.architecture.head?.reads == .final)
    #expect(network.recognition.connections.allSatisfy { $0.evidence == .given })
    let canonical = try canonicalState(architecture)
    let read = try network.canonical
    for entry in canonical.entries {
      #expect(try entry.tensor.isIdentical(to: #require(read[entry.name])), "\(entry.name)")
    }
    // What the names file promises and the file does not have is named with module, template and tensor.
    var holed = StateDict()
    for entry in state.entries where entry.name != "enc.U_h" {
      try holed.append(entry.name, entry.tensor)
    }
    let failure = reason { _ = try Network(holed, options: ReadOptions(convention: convention)) }
    #expect(failure?.reason == "names.missing")
    for word in ["encoder", "enc.U_{gate}", "enc.U_h"] {
      #expect(failure?.text.contains(word) == true, "\(word) in \(failure?.text ?? "")")
    }
  }

  @Test func theForgetBiasIsAddedToTheForgetGateAlone() throws {
    let architecture = Architecture(cell: .lstm, inputSize: 3, hiddenSize: 5)
    let state = try stored(
      architecture, order: [0, 1, 2, 3], columns: false, sumsBiases: true
    ) { key, _, _, _ in key }
    let convention = try Convention(
      names: json(
        """
        {"schema": 1, "modules": {"cell": {"cell": "lstm", "forget_bias": 1.5,
          "tensors": {"weight_ih": "weight_ih", "weight_hh": "weight_hh", "bias": "bias"}}}}
        """))
    let network = try Network(state, options: ReadOptions(convention: convention))
    let stored = try #require(state["bias"]).doubles()
    let read = try #require(network.canonical["bias_ih_l0"]).doubles()
    #expect(Array(read[5..<10]) == stored[5..<10].map { $0 + 1.5 })
    #expect(Array(read[..<5]) == Array(stored[..<5]))
  }

  @Test(arguments: [
    (#"{"modules": {}}"#, "schema"), (#"{"schema": 1, "modules": {}}"#, "no modules"),
    (#"{"schema": 1, "modules": {"a": {"cell": "lstm"}}}"#, "no tensors"),
    (#"{"schema": 1, "modules": {"a": {"cell": "mamba", "tensors": {}}}}"#, "mamba"),
    (
      #"{"schema": 1, "modules": {"a": {"cell": "lstm", "gates": "i f", "tensors": {"weight_ih": "x", "weight_hh": "y"}}}}"#,
      "gates"
    ),
    (
      #"{"schema": 1, "modules": {"a": {"cell": "gru", "tensors": {"weight_ih": "x"}}}}"#,
      "weight_hh"
    ),
    (
      #"{"schema": 1, "modules": {"a": {"kind": "linear", "tensors": {"weight": "x"}}}, "connections": ["a -> b"]}"#,
      "unknown module"
    ),
    (
      #"{"schema": 1, "modules": {"a": {"kind": "linear", "gate": "x", "tensors": {"weight": "x"}}}}"#,
      "gate"
    ),
  ])
  func whatANamesFileCannotSay(_ text: String, _ word: String) throws {
    let failure = reason { _ = try Convention(names: json(text)) }
    #expect(failure?.reason == "names.format")
    #expect(failure?.text.contains(word) == true, "\(failure?.text ?? "")")
  }

  @Test func draftsNameWhatShapesLookLike() throws {
    var state = StateDict()
    for (name, shape) in [
      ("enc_w_ih", [18, 4]), ("enc_w_hh", [18, 6]), ("enc_b_ih", [18]), ("enc_b_hh", [18]),
      ("enc_emb", [9, 4]),
    ] {
      let count = shape.reduce(1, *)
      try state.append(
        Name(name), Tensor.make((0..<count).map { Double($0) / 7 - 1 }, shape: shape))
    }
    let draft = NamesDraft(state, among: state.names)
    #expect(draft.entries.first?.summary == "gru, input 4, hidden 6")
    let convention = try Convention(names: draft.json)
    let list = try ModuleList(state, options: ReadOptions(convention: convention))
    #expect(list.recurrent.count == 1 && list.recurrent[0].refusal == nil)
    #expect(list.modules.contains { $0.kind == .embedding })
    #expect(NamesDraft(StateDict(), among: []).json == .null)
  }

  // MARK: Guesses

  private func draft(_ tensors: [(String, [Int])]) throws -> NamesDraft {
    var state = StateDict()
    for (name, shape) in tensors {
      try state.append(
        Name(name), Tensor.make([Float](repeating: 0.5, count: shape.reduce(1, *)), shape: shape))
    }
    return NamesDraft(state, among: state.names)
  }

  /// Square matrices: only words tell which of the two multiplies the state.
  @Test(
    arguments: [
      (["enc_w_ih", "enc_w_hh"], true), (["kernel_h", "kernel_x"], false),
      (["w_rec", "w_in"], false),
      (["W", "U"], true), (["W_rec", "W"], false), (["a.recurrent_kernel", "a.kernel"], false),
      (["m.Wx", "m.Wh"], true),
    ] as [([String], Bool)])
  func wordsTellTheMatricesApart(_ names: [String], _ isInputFirst: Bool) throws {
    let entry = try #require(
      try draft(names.map { ($0, [18, 6]) }.filter { _ in true }).entries.first)
    let expected = isInputFirst ? names : names.reversed()
    #expect(entry.tensors.map(\.name.string) == expected)
    #expect(entry.assumed == ["gates"])
  }

  @Test func whatNobodyTellsIsMarked() throws {
    let square = try #require(
      try draft([("p", [24, 6]), ("q", [24, 6]), ("s", [24]), ("t", [24])]).entries.first)
    #expect(square.tensors.map(\.name) == ["p", "q", "s", "t"])
    #expect(square.assumed == ["gates", "weight_ih", "weight_hh", "bias_ih"])
    let plain = try #require(try draft([("p", [6, 6]), ("q", [6, 6])]).entries.first)
    #expect(plain.assumed == ["cell", "orientation", "weight_ih", "weight_hh"])
    let head = try #require(
      try draft([("e", [18, 4]), ("f", [18, 6]), ("out", [3, 5]), ("outb", [5])]).entries.last)
    #expect(!head.isRows && head.summary == "linear 3 -> 5")
  }

  /// Numbered layers, and gates with a tensor each: what belongs together has the same numbers.
  @Test func numbersKeepLayersApart() throws {
    let layers = try draft([
      ("k0", [3, 20]), ("k1", [5, 20]), ("rk0", [5, 20]), ("rk1", [5, 20]), ("b0", [20]),
      ("b1", [20]),
    ]).entries.filter { $0.cell != nil }
    #expect(
      Set(layers.map { $0.tensors.map(\.name.string) }) == [
        ["k0", "rk0", "b0"], ["k1", "rk1", "b1"],
      ])
    #expect(layers.allSatisfy { $0.assumed == ["gates"] })
    let gates = try draft(
      ["i", "f", "c", "o"].flatMap { [("W_" + $0, [5, 3]), ("U_" + $0, [5, 5])] }
    ).entries
    #expect(gates.count == 4 && gates.allSatisfy { $0.assumed.contains("cell") })
    #expect(gates.allSatisfy { $0.tensors[0].name.string.last == $0.tensors[1].name.string.last })
    let attention = try draft(["q", "k", "v", "o"].map { ($0, [6, 6]) }).entries
    #expect(attention.allSatisfy { $0.cell == nil || $0.assumed.contains("weight_hh") })
  }

  @Test func aGuessIsSaidUntilAPersonTakesItOut() throws {
    let state = try stored(
      Architecture(cell: .gru, inputSize: 3, hiddenSize: 5), order: [0, 1, 2], columns: false,
      sumsBiases: false
    ) { key, _, _, _ in "x_" + key }
    func assumptions(_ more: String, gates: String = #""gates": "r z n","#) throws -> [String] {
      let convention = try Convention(
        names: json(
          """
          {"schema": 1, "modules": {"rnn": {"cell": "gru", \(gates) \(more)
            "tensors": {"weight_ih": "x_weight_ih", "weight_hh": "x_weight_hh",
                        "bias_ih": "x_bias_ih", "bias_hh": "x_bias_hh"}}}}
          """))
      return try ModuleList(state, options: ReadOptions(convention: convention)).modules[0]
        .assumptions.map(\.description)
    }
    #expect(
      try assumptions(#""gru_reset": "after","#) == [
        "assumed: rnn takes (T, N, features); pass `batchFirst: true` if not"
      ])
    #expect(
      try assumptions("").contains("assumed reset_after=True; pass `gruReset: .before` if not"))
    #expect(
      try assumptions(#""assumed": ["gates"],"#).contains {
        $0.hasPrefix("assumed: gates of rnn is r z n, as the names file guesses")
      })
    #expect(try assumptions("", gates: "").contains { $0.contains("PyTorch's order r z n") })
    #expect(reason { _ = try assumptions(#""assumed": ["color"],"#) }?.reason == "names.format")
  }

  @Test func connectionsThatDoNotFitAreRefused() throws {
    let state = try stored(
      Architecture(cell: .gru, inputSize: 3, hiddenSize: 5), order: [0, 1, 2], columns: false,
      sumsBiases: true
    ) { key, _, _, _ in key }
    var file = state
    try file.append("head", Tensor.make([Float](repeating: 1, count: 12), shape: [3, 4]))
    let convention = try Convention(
      names: json(
        """
        {"schema": 1, "modules": {
          "rnn": {"cell": "gru", "gates": "r z n",
                  "tensors": {"weight_ih": "weight_ih", "weight_hh": "weight_hh", "bias": "bias"}},
          "fc": {"kind": "linear", "tensors": {"weight": "head"}}}, "connections": ["rnn -> fc"]}
        """))
    #expect(
      reason { _ = try ModuleList(file, options: ReadOptions(convention: convention)) }?.reason
        == "network.sizes")
  }

  /// A table that is the head's matrix too belongs to both modules.
  @Test func twoModulesMayShareATensor() throws {
    var file = try stored(
      Architecture(cell: .rnnTanh, inputSize: 5, hiddenSize: 5), order: [0], columns: false,
      sumsBiases: true
    ) { key, _, _, _ in key }
    try file.append("table", Tensor.make((0..<35).map { Float($0) }, shape: [7, 5]))
    let convention = try Convention(
      names: json(
        """
        {"schema": 1, "modules": {
          "emb": {"kind": "embedding", "tensors": {"weight": "table"}},
          "rnn": {"cell": "rnn_tanh",
                  "tensors": {"weight_ih": "weight_ih", "weight_hh": "weight_hh", "bias": "bias"}},
          "fc": {"kind": "linear", "tensors": {"weight": "table"}}},
         "connections": ["emb -> rnn", "rnn -> fc"]}
        """))
    let reading = ReadOptions(convention: convention)
    #expect(try ModuleList(file, options: reading).modules.count == 3)
    let network = try Network(file, options: reading)
    #expect(network.architecture.head?.classCount == 7)
    #expect(network.architecture.embedding?.tokenCount == 7)
  }
}
