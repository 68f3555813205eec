import Containers
import Conversion
import Foundation
import Frameworks
import Networks
import RNNEngine
import Tensors
import TestSupport
import Testing

/// Files of several modules: every module converts under its own name, everything else goes along.
@Suite("Every module converts under its own name, and everything else goes along")
struct SeveralModulesTests {
  /// Numbers that differ from place to place; second biases are zero, so that sums of biases are exact.
  private func append(
    _ state: inout StateDict, _ name: String, _ shape: [Int], _ dtype: DType = .f32
  ) throws {
    let count = shape.reduce(1, *)
    let seed = Double(state.count + 1)
    let values = (0..<count).map { index -> Double in
      name.contains("bias_hh")
        ? 0 : ((Double(index) + seed) * 0.377).remainder(dividingBy: 1) + 0.01
    }
    try state.append(Name(name), Tensor.make(values, shape: shape).converted(to: dtype).0)
  }

  /// An encoder and a decoder of their own, a cell, layers around them and tensors of no module.
  private func file(cell: Cell = .lstm, gates: Int = 4, decoder: DType = .f32) throws -> StateDict {
    var state = StateDict()
    try append(&state, "encoder.embedding.weight", [11, 3])
    for (layer, inputs) in [3, 5].enumerated() {
      try append(&state, "encoder.rnn.weight_ih_l\(layer)", [gates * 5, inputs])
      try append(&state, "encoder.rnn.weight_hh_l\(layer)", [gates * 5, 5])
      try append(&state, "encoder.rnn.bias_ih_l\(layer)", [gates * 5])
      try append(&state, "encoder.rnn.bias_hh_l\(layer)", [gates * 5])
    }
    try append(&state, "norm.weight", [5])
    try state.append(
      "norm.num_batches_tracked", Tensor(dtype: .i64, shape: [], bytes: [7, 0, 0, 0, 0, 0, 0, 0]))
    try append(&state, "decoder.cell.weight_ih", [gates * 6, 4], decoder)
    try append(&state, "decoder.cell.weight_hh", [gates * 6, 6], decoder)
    try append(&state, "decoder.cell.bias_ih", [gates * 6], decoder)
    try append(&state, "decoder.cell.bias_hh", [gates * 6], decoder)
    try append(&state, "decoder.fc.weight", [9, 6])
    try append(&state, "decoder.fc.bias", [9])
    state.metadata["author"] = "me"
    return state
  }

  private func network(
    _ tensors: [(String, [Int])], _ metadata: [String: String] = [:]
  ) throws -> StateDict {
    var state = StateDict()
    for (name, shape) in tensors { try append(&state, name, shape) }
    for (key, value) in metadata { state.metadata[key] = value }
    return state
  }

  private func gru(_ name: String, inputs: Int = 4, hidden: Int = 6) -> [(String, [Int])] {
    [
      ("\(name).weight_ih_l0", [3 * hidden, inputs]),
      ("\(name).weight_hh_l0", [3 * hidden, hidden]),
      ("\(name).bias_ih_l0", [3 * hidden]), ("\(name).bias_hh_l0", [3 * hidden]),
    ]
  }

  private func linear(_ name: String, _ inputs: Int, _ outputs: Int) -> [(String, [Int])] {
    [("\(name).weight", [outputs, inputs]), ("\(name).bias", [outputs])]
  }

  private func write(_ state: StateDict, _ path: String) throws -> String {
    try WeightFormat.safetensors.write(state, to: path) { _ in }
    return path
  }

  private func plan(
    _ from: String, _ to: String, _ change: (inout ConversionOptions) -> Void = { _ in }
  ) throws -> ConversionPlan {
    var options = ConversionOptions()
    change(&options)
    return try ConversionPlan(from: from, to: to, options: options)
  }

  private func failure(_ body: () throws -> Void) -> RecurrentError? {
    do { try body() } catch { return error as? RecurrentError }
    return nil
  }

  /// Other conventions have no cells and Keras no stacks without a model: a cell comes back as one layer, and each layer of a
  /// stack as a module of its own.
  private func asWritten(_ found: StateDict) throws -> StateDict {
    var result = StateDict()
    for entry in found.entries {
      var text = entry.name.string
      if text.hasPrefix("decoder.cell."), text.hasSuffix("_l0") { text.removeLast(3) }
      if text.hasPrefix("encoder.rnn_1."), text.hasSuffix("_l0") {
        text = "encoder.rnn." + text.dropFirst("encoder.rnn_1.".count).dropLast() + "1"
      }
      try result.append(Name(text), entry.tensor)
    }
    return result
  }

  private func checkEqual(_ found: StateDict, _ expected: StateDict, _ comment: String) throws {
    #expect(Set(found.names) == Set(expected.names), "\(comment)")
    for entry in expected.entries {
      guard let tensor = found[entry.name] else { continue }
      #expect(try tensor.isIdentical(to: entry.tensor), "\(comment): \(entry.name)")
    }
  }

  @Test(arguments: ["keras", "onnx", "mlx", "flax", "nnx", "burn", "tensorflow"])
  func everyModuleGoesThereAndBackUnderItsName(_ name: String) throws {
    let convention = try Convention.named(name)
    for (cell, gates) in [(Cell.lstm, 4), (.gru, 3)] {
      try withTemporaryFolder { directory in
        let original = try file(cell: cell, gates: gates)
        let input = try write(original, directory + "/in.safetensors")
        let there = try plan(input, directory + "/there.safetensors") { $0.convention = convention }
        #expect(
          there.modules.map(\.module.name) == [
            "encoder.embedding", "encoder.rnn", "decoder.cell", "decoder.fc",
          ])
        #expect(
          there.modules.allSatisfy { $0.fate == .converted && $0.outputName == $0.module.name })
        #expect(there.carried == ["norm.weight", "norm.num_batches_tracked"])
        #expect(there.leftBehind.isEmpty && there.unusedTensors.isEmpty, "\(there.leftBehind)")
        guard case .sameModules(let proven, 0, 0) = try there.execute() else {
          Issue.record("\(name): not proven module by module, exactly")
          return
        }
        #expect(proven.count == 4)
        let between = try WeightFile(path: directory + "/there.safetensors").state
        let carried: Name = "norm.weight"
        #expect(
          try between[carried]?.isIdentical(to: #require(original[carried])) == true, "\(name)")
        #expect(between.metadata["author"] == "me")
        let back = try plan(directory + "/there.safetensors", directory + "/back.safetensors") {
          $0.convention = .torch
          $0.reading.convention = convention
        }
        try back.execute()
        let state = try WeightFile(path: directory + "/back.safetensors").state
        try checkEqual(asWritten(state), original, "\(name) \(cell)")
        #expect(state.metadata["author"] == "me")
      }
    }
  }

  @Test func cellsStayCells() throws {
    try withTemporaryFolder { directory in
      let original = try file()
      let input = try write(original, directory + "/in.safetensors")
      for suffix in ["pt", "h5", "npz"] {
        let plan = try plan(input, directory + "/out." + suffix)
        #expect(plan.modules.map(\.fate) == [.copied, .copied, .copied, .copied])
        guard case .identical = try plan.execute() else {
          Issue.record("not identical")
          return
        }
        let list = try ModuleList(WeightFile(path: directory + "/out." + suffix).state)
        #expect(list.recurrent.map(\.kind) == [.recurrent, .cell])
        #expect(list.recurrent.map(\.name) == ["encoder.rnn", "decoder.cell"])
      }
    }
  }

  @Test func everyModuleKeepsItsElementType() throws {
    try withTemporaryFolder { directory in
      let original = try file(decoder: .f16)
      let input = try write(original, directory + "/in.safetensors")
      let there = try plan(input, directory + "/there.safetensors") { $0.convention = .flax }
      for step in there.steps {
        #expect(
          (step.dtype == .f16) == step.sources.contains { $0.string.hasPrefix("decoder.cell") })
      }
      try there.execute()
      try plan(directory + "/there.safetensors", directory + "/back.pt").execute()
      try checkEqual(asWritten(WeightFile(path: directory + "/back.pt").state), original, "flax")
      // One computation has one type.
      var mixed = try network(gru("rnn"))
      for (name, shape) in linear("fc", 6, 3) { try append(&mixed, name, shape, .f16) }
      let one = try write(mixed, directory + "/mixed.safetensors")
      for suffix in ["onnx", "keras"] {
        let error = failure { _ = try plan(one, directory + "/out." + suffix) }
        #expect(
          error?.reason.code == "weights.dtype"
            && error?.advice?.parts.contains(.word(.dtype, DType.f32)) == true)
        try plan(one, directory + "/out." + suffix) { $0.dtype = .f32 }.execute()
      }
    }
  }

  @Test func strictRefusesWhatIsAssumedLeftBehindOrRounded() throws {
    typealias Change = (inout ConversionOptions) -> Void
    let alone = gru("rnn")
    let said = ["cell": "gru", "gru_reset": "after", "batch_first": "true"]
    let cases: [(String, StateDict, String, Bool, Change)] = [
      ("a module alone", try network(alone, said), "h5", false, { _ in }),
      ("a head assumed", try network(alone + linear("fc", 6, 3), said), "h5", true, { _ in }),
      (
        "a head given", try network(alone + linear("fc", 6, 3), said), "h5", false,
        {
          $0.reading.head = .named("fc")
          $0.reading.headReads = .sequence
        }
      ),
      ("metadata", try network(alone, said), "pt", true, { _ in }),
      (
        "other modules", try network(alone + gru("other"), said), "h5", true,
        { $0.reading.module = "rnn" }
      ),
      ("roundings", try network(alone, said), "h5", true, { $0.dtype = .bf16 }),
      (
        "a nonlinearity",
        try network([("rnn.weight_ih_l0", [6, 4]), ("rnn.weight_hh_l0", [6, 6])]),
        "h5", true, { _ in }
      ),
      (
        "a nonlinearity given",
        try network([("rnn.weight_ih_l0", [6, 4]), ("rnn.weight_hh_l0", [6, 6])]),
        "h5", false, { $0.reading.cell = .rnnRelu }
      ),
    ]
    for (what, state, suffix, isRefused, change) in cases {
      try withTemporaryFolder { directory in
        let input = try write(state, directory + "/in.safetensors")
        let output = directory + "/out." + suffix
        let error = failure {
          try plan(input, output) {
            change(&$0)
            $0.isStrict = true
          }.execute()
        }
        #expect(
          error?.reason.code == (isRefused ? "conversion.strict" : nil),
          "\(what): \(error?.description ?? "accepted")")
        #expect(FileManager.default.fileExists(atPath: output) == !isRefused, "\(what)")
        // Without --strict everything converts.
        try plan(input, directory + "/lax." + suffix, change).execute()
      }
    }
  }

  @Test func anOutputWithoutATensorIsRefused() throws {
    try withTemporaryFolder { directory in
      let input = try write(StateDict(), directory + "/in.safetensors")
      for suffix in ["h5", "npz", "safetensors", "pt"] {
        let error = failure { _ = try plan(input, directory + "/out." + suffix) }
        #expect(
          error?.reason.code == "weights.none", "\(suffix): \(error?.description ?? "planned")")
      }
      #expect(try FileManager.default.contentsOfDirectory(atPath: directory).count == 1)
    }
  }

  // MARK: What a network states beyond its tensors

  private func stateful() throws -> StateDict {
    try network(
      gru("net.rnn") + [("net.rnn.h_0", [1, 1, 6])] + linear("fc", 6, 3),
      [
        "cell": "gru", "gru_reset": "after", "batch_first": "false", "initial_state": "stored",
        "connections": "net.rnn -> fc [last] (stated)", "output_activation": "softmax",
      ])
  }

  @Test(arguments: [
    ["h5"], ["npz", "h5"], ["onnx"], ["onnx", "safetensors"], ["h5", "onnx", "npz"],
  ])
  func storedStatesReadsAndActivationsGoAlong(_ suffixes: [String]) throws {
    try withTemporaryFolder { directory in
      let original = try stateful()
      var path = try write(original, directory + "/in.safetensors")
      let first = try Network(WeightFile(path: path).state)
      #expect(first.architecture.storesInitialState && first.architecture.head?.reads == .last)
      for (index, suffix) in suffixes.enumerated() {
        let next = directory + "/\(index)." + suffix
        let plan = try plan(path, next)
        #expect(plan.assumptions.isEmpty && plan.leftBehind.isEmpty, "\(plan.leftBehind)")
        try plan.execute()
        path = next
        let network = try Network(WeightFile(path: path).state)
        #expect(network.architecture.storesInitialState, "\(suffix)")
        #expect(network.architecture.head?.reads == .last, "\(suffix)")
        #expect(network.architecture.head?.activation == "softmax", "\(suffix)")
        #expect(network.recognition.connections.map(\.evidence) == [.stated], "\(suffix)")
        let h = try #require(network.initialState.h)
        #expect(try h.doubles() == first.initialState.h?.doubles())
      }
    }
  }

  @Test func kerasStatesReadsAndActivationsButNoStates() throws {
    try withTemporaryFolder { directory in
      let refused = try write(stateful(), directory + "/stored.safetensors")
      for suffix in ["keras", "weights.h5"] {
        let error = failure { try plan(refused, directory + "/no." + suffix).execute() }
        #expect(error != nil, "a Keras model starts from zeros")
      }
      for (reads, activation) in [("sequence", "softmax"), ("last", "sigmoid"), ("last", "none")] {
        let state = try network(
          gru("net.rnn") + linear("fc", 6, 3),
          [
            "cell": "gru", "gru_reset": "after", "batch_first": "true",
            "connections": "net.rnn -> fc [\(reads)] (stated)", "output_activation": activation,
          ])
        let input = try write(state, directory + "/\(reads)-\(activation).safetensors")
        for suffix in ["keras", "onnx"] {
          let output = directory + "/\(reads)-\(activation)." + suffix
          let plan = try plan(input, output)
          #expect(plan.assumptions.isEmpty)
          guard case .sameNetwork = try plan.execute() else {
            Issue.record("\(suffix) \(reads) \(activation): not the same network")
            continue
          }
          let found = try Network(WeightFile(path: output).state).architecture
          #expect(found.head?.reads.rawValue == reads, "\(suffix)")
          #expect(found.head?.activation ?? "none" == activation, "\(suffix)")
        }
      }
    }
  }

  // MARK: Containers of one network

  @Test func whatIsNotOneNetworkIsRefusedAndTheHintWorks() throws {
    let cases: [(String, StateDict, String)] = [
      (
        "a norm", try network(gru("rnn") + [("norm.weight", [6]), ("norm.bias", [6])]),
        "conversion.not-one-network"
      ),
      (
        "two heads", try network(gru("a.rnn") + linear("policy", 6, 3) + linear("value", 6, 1)),
        "conversion.not-one-network"
      ),
      ("two modules", try network(gru("one") + gru("two")), "weights.ambiguous"),
      ("encoder, decoder", try file(), "weights.ambiguous"),
    ]
    for (what, state, reason) in cases {
      try withTemporaryFolder { directory in
        let input = try write(state, directory + "/in.safetensors")
        for suffix in ["onnx", "keras"] {
          let output = directory + "/out." + suffix
          let error = failure { _ = try plan(input, output) }
          #expect(
            error?.reason.code == reason, "\(what) \(suffix): \(error?.description ?? "planned")")
          let hint = try #require(error?.advice)
          let advised = hint.parts.compactMap { part -> String? in
            if case .means(.module, .name(let name)?) = part { name } else { nil }
          }
          let module = try #require(advised.first, "\(hint)")
          let followed = try plan(input, output) { $0.reading.module = module }
          #expect(followed.modules.contains { $0.module.name == module && $0.fate == .converted })
          #expect(
            followed.modules.contains { $0.fate == .leftBehind } || !followed.leftBehind.isEmpty,
            "\(what)")
          // The module, with what is known to stand around it, and nothing else.
          guard case .sameModules(let proven, _, _) = try followed.execute() else {
            Issue.record("\(what): not proven")
            continue
          }
          let converted = followed.modules.filter { $0.fate == .converted }.map(\.module.name)
          #expect(proven.contains(module) && Set(proven) == Set(converted), "\(what)")
        }
      }
    }
  }

  @Test func theHeadMayBeChosenToo() throws {
    try withTemporaryFolder { directory in
      let state = try network(gru("a.rnn") + linear("policy", 6, 3) + linear("value", 6, 1))
      let input = try write(state, directory + "/in.safetensors")
      for (head, count) in [("policy", 3), ("value", 1)] {
        let output = directory + "/\(head).onnx"
        let plan = try plan(input, output) { $0.reading.head = .named(head) }
        #expect(plan.modules.filter { $0.fate == .leftBehind }.map(\.module.name) != [head])
        try plan.execute()
        #expect(try Network(WeightFile(path: output).state).architecture.head?.classCount == count)
      }
    }
  }
}
