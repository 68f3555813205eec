import Containers
import Conversion
import Foundation
import Frameworks
import Networks
import NetworksTestSupport
import RNNEngine
import Tensors
import TestSupport
import Testing

@Suite("Keras's files mean what Keras computes, in every container")
struct KerasTests {
  static let directory = Checkout.golden("keras")

  static func files(_ folder: String) -> [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return names.filter { !$0.hasSuffix(".npz") && !$0.hasSuffix(".json") && !$0.hasPrefix(".") }
      .sorted()
  }

  @Test func theGoldensAreThere() {
    #expect(Self.files(Self.directory).count == 31)
    #expect(Self.files(Checkout.refused("keras")).count == 10)
  }

  /// The names that the models' authors gave their layers: recurrent ones, heads, embeddings. Weights of Keras 3 before
  /// 3.15 do not keep them, and have the paths of their objects.
  private static func authorsNames(_ file: String) -> (
    recurrent: [String], head: String, table: String
  ) {
    let isWeights = file.contains("weights")
    let rows: [(String, ([String], String, String))] = [
      ("bfloat16", (["simple_rnn"], "", "")), ("cells", (["rnn"], "", "")),
      ("cudnn-gru", (["cu_dnngru"], "", "")), ("cudnn-lstm", (["cu_dnnlstm"], "", "")),
      (
        "keras-3.15-tagger.weights", (["below", "above"], "tags", "words")
      ),
      (
        "keras-3",
        isWeights
          ? (
            ["bidirectional", "bidirectional_1"], "dense", "embedding"
          ) : (["below"], "tags", "words")
      ),
      ("keras1-gru", (["gru_1"], "dense_1", "")), ("keras1-lstm", (["lstm_1"], "dense_1", "")),
      ("mixed", (["lstm_3"], "", "")), ("nested", (["encoder.lstm"], "out", "")),
      ("subclassed", (["lstm_2"], "dense", "")), ("trained", (["lstm_4"], "dense_1", "")),
      ("tf_keras", (isWeights ? ["below", "above"] : ["below"], "out", "")),
    ]
    return rows.first { file.hasPrefix($0.0) }?.1 ?? ([], "", "")
  }

  /// The name of a golden's array (`rnn.weight_ih_l1`) in the converted file; where layers are modules of their own, each
  /// has its own `_l0`.
  private func converted(_ golden: Name, in file: String) -> Name {
    let names = Self.authorsNames(file)
    var text = golden.string
    if text.hasPrefix("classifier.") {
      return Name(names.head + text.dropFirst("classifier".count))
    }
    if text.hasPrefix("embedding.") { return Name(names.table + text.dropFirst("embedding".count)) }
    if text.hasPrefix("rnn.") { text.removeFirst(4) }
    guard names.recurrent.count > 1 else { return Name("\(names.recurrent[0]).\(text)") }
    let layer = text.contains("_l1") ? 1 : 0
    return Name("\(names.recurrent[layer])." + text.replacingOccurrences(of: "_l1", with: "_l0"))
  }

  static let readable = files(directory).filter { !$0.hasPrefix("keras1-") || $0.contains("whole") }

  /// What Keras says its arrays are, under its authors' names, is what conversion makes of the file.
  @Test(arguments: readable) func goldensMeanWhatKerasSays(_ name: String) throws {
    try withTemporaryFolder { directory in
      let path = Self.directory + "/" + name
      let expected = try WeightFile(path: path + ".npz").state
      let isBefore = name.hasPrefix("keras1-gru")
      // A reset gate before the product needs a container that can say so.
      let output = directory + (isBefore ? "/out.h5" : "/out.pt")
      let plan = try ConversionPlan(from: path, to: output, options: .init())
      #expect(
        plan.modules.filter { $0.module.isRecurrent }.map(\.outputName)
          == Self.authorsNames(name).recurrent)
      for fate in plan.modules where fate.module.isRecurrent {
        #expect(fate.module.architecture.gruReset == (isBefore ? .before : .after))
      }
      guard case .sameModules(let proven, 0, 0) = try plan.execute() else {
        Issue.record("no proof by running")
        return
      }
      #expect(Set(proven) == Set(plan.modules.map(\.module.name)))
      let state = try WeightFile(path: output).state
      #expect(Set(state.names) == Set(expected.names.map { converted($0, in: name) }))
      for entry in expected.entries {
        let tensor = try #require(state[converted(entry.name, in: name)])
        let wide = try tensor.converted(to: .f32).0
        #expect(try wide.isIdentical(to: entry.tensor), "\(entry.name)")
      }
    }
  }

  /// Keras 1's gates were hard sigmoids unless the configuration says otherwise.
  @Test(arguments: ["keras1-gru-weights.h5", "keras1-lstm-weights.h5"])
  func gatesThatNobodyStatesAreNotGuessed(_ name: String) throws {
    try withTemporaryFolder { directory in
      let path = Self.directory + "/" + name
      let list = try ModuleList(WeightFile(path: path).state)
      #expect(list.recurrent.count == 1)
      for suffix in ["pt", "npz", "safetensors", "h5", "onnx", "keras"] {
        let error = #expect(throws: RecurrentError.self) {
          try ConversionPlan(from: path, to: directory + "/out." + suffix, options: .init())
        }
        #expect(error?.reason.code == "keras.activation" && error?.hint != nil, "\(suffix)")
      }
      let written = try FileManager.default.contentsOfDirectory(atPath: directory)
      #expect(written.isEmpty)
    }
  }

  @Test(arguments: files(Checkout.refused("keras")))
  func whatPyTorchCannotExpressIsRefused(_ name: String) throws {
    let folder = Checkout.refused("keras")
    let json = try JSON.parse(
      Array(#require(FileManager.default.contents(atPath: folder + "/refusals.json"))))
    let reason = try #require(json[name]?.stringValue)
    try withTemporaryFolder { directory in
      let output = directory + "/out.pt"
      guard name != "cells.keras" else {
        // Cells of different sizes are no stack, and two modules.
        let plan = try ConversionPlan(from: folder + "/" + name, to: output, options: .init())
        #expect(plan.modules.map(\.module.kind) == [.cell, .cell])
        #expect(plan.modules.map(\.module.architecture.hiddenSize) == [3, 2])
        guard case .sameModules(_, 0, 0) = try plan.execute() else {
          Issue.record("not proven")
          return
        }
        #expect {
          _ = try ConversionPlan(
            from: folder + "/" + name, to: directory + "/out.onnx", options: .init())
        } throws: {
          ($0 as? RecurrentError)?.reason.code == "weights.ambiguous"
        }
        return
      }
      do {
        _ = try ConversionPlan(from: folder + "/" + name, to: output, options: .init()).execute()
        Issue.record("converted")
      } catch let error as RecurrentError {
        #expect(error.reason.code == reason)
        #expect(error.hint != nil)
      }
      #expect(!FileManager.default.fileExists(atPath: output))
    }
  }

  private func write(_ architecture: Architecture, to path: String, dtype: DType) throws {
    let canonical = try Network.parameterTensors(of: architecture)
    var state = try CanonicalWeights(
      canonicalState(architecture, dtype: dtype), architecture: architecture, tensors: canonical
    ).encoded(
      as: Convention.torch.storedTensors(of: architecture, naming: Naming(recurrent: "rnn.")))
    state.metadata["cell"] = architecture.cell.rawValue
    state.metadata["gru_reset"] = architecture.gruReset.rawValue
    try WeightFormat.forWriting(path: path).write(state, to: path) { _ in }
  }

  @Test(
    arguments: [Cell.rnnTanh, .rnnRelu, .lstm, .gru], [".keras", ".weights.h5", ".h5"])
  func whatIsWrittenComesBack(_ cell: Cell, _ suffix: String) throws {
    for (dtype, reset) in [(DType.f32, GRUReset.after), (.f64, .before), (.bf16, .after)] {
      try withTemporaryFolder { directory in
        let architecture = Architecture(
          cell: cell, inputSize: 3, hiddenSize: 5, layerCount: 2, bidirectional: true,
          gruReset: cell == .gru ? reset : .after, embedding: .init(tokenCount: 11),
          head: .init(classCount: 7, bias: true))
        let source = directory + "/in.safetensors"
        try write(architecture, to: source, dtype: dtype)
        var options = ConversionOptions()
        options.convention = .keras
        let there = directory + "/there" + suffix
        let plan = try ConversionPlan(from: source, to: there, options: options)
        #expect(
          plan.steps.contains { $0.actions.contains(.biasesSummed) }
            == !(cell == .gru && reset == .after))
        _ = try plan.execute()
        let network = try Network(WeightFile(path: there).state)
        var found = network.architecture
        #expect(found.batchFirst)
        found.batchFirst = false
        #expect(found == architecture)
        let back = directory + "/back.safetensors"
        guard
          case .sameModules = try ConversionPlan(from: there, to: back, options: .init())
            .execute()
        else {
          Issue.record("no proof by running")
          return
        }
      }
    }
  }

  @Test(arguments: [(DType.f16, DType.f32), (.bf16, .f32), (.bf16, .f64), (.f32, .f64)])
  func biasesAreAddedInTheWiderType(_ from: DType, _ to: DType) throws {
    try withTemporaryFolder { directory in
      let architecture = Architecture(cell: .lstm, inputSize: 3, hiddenSize: 5)
      let source = directory + "/in.safetensors"
      try write(architecture, to: source, dtype: from)
      var options = ConversionOptions()
      options.dtype = to
      let plan = try ConversionPlan(
        from: source, to: directory + "/out.keras", options: options)
      for step in plan.steps {
        #expect(step.actions.contains(.converted(from: from, to: to)), "\(step.target)")
      }
      guard case .sameModules(_, let forward, let gradients) = try plan.execute() else {
        Issue.record("no proof by running")
        return
      }
      // Sums of numbers this short are exact in the wider type; f32's need one rounding to f64.
      #expect(max(forward, gradients) <= (from == .f32 ? 1e-11 : 0))
    }
  }

  @Test func hdf5ForKerasIsKerasOwnHoweverItIsAskedFor() throws {
    try withTemporaryFolder { directory in
      let architecture = Architecture(cell: .gru, inputSize: 3, hiddenSize: 5, layerCount: 2)
      let source = directory + "/in.safetensors"
      try write(architecture, to: source, dtype: .f32)
      var options = ConversionOptions()
      options.convention = .keras
      for (format, path) in [(nil, "/a.h5"), (WeightFormat.hdf5, "/b.h5"), (.hdf5, "/c")] {
        options.outputFormat = format
        let plan = try ConversionPlan(
          WeightFile(path: source), to: directory + path, options: options)
        #expect(plan.outputFormat.name == "keras-h5")
        _ = try plan.execute()
        #expect(try WeightFile(path: directory + path).format.name == "keras-h5")
      }
    }
  }

  /// Without its own backward layer, one load in 25 of four such layers fails in Keras 3.15.
  @Test func bidirectionalLayersAreSpelledOutInFull() throws {
    try withTemporaryFolder { directory in
      let architecture = Architecture(
        cell: .gru, inputSize: 3, hiddenSize: 5, layerCount: 2, bidirectional: true)
      let source = directory + "/in.safetensors"
      try write(architecture, to: source, dtype: .f64)
      let path = directory + "/out.keras"
      _ = try ConversionPlan(from: source, to: path, options: .init()).execute()
      let text = try #require(WeightFile(path: path).state.metadata["keras.config"])
      let config = try JSON.parse(Array(text.utf8))
      guard case .array(let layers)? = config["config"]?["layers"] else {
        Issue.record("no layers")
        return
      }
      let wrappers = layers.filter { $0["class_name"]?.stringValue == "Bidirectional" }
      #expect(wrappers.count == 2)
      for wrapper in wrappers {
        let backward = try #require(wrapper["config"]?["backward_layer"])
        #expect(backward["class_name"]?.stringValue == "GRU")
        #expect(backward["config"]?["go_backwards"]?.boolValue == true)
        #expect(backward["config"]?["dtype"]?.stringValue == "float64")
        #expect(wrapper["config"]?["layer"]?["config"]?["go_backwards"] == nil)
      }
    }
  }

  @Test func aPlanSaysWhatHappensToEveryTensor() throws {
    try withTemporaryFolder { directory in
      let path = Self.directory + "/tf_keras-2.21.h5"
      let lstm = try ConversionPlan(from: path, to: directory + "/a.pt", options: .init())
      #expect(lstm.steps.first { $0.target == "below.weight_ih_l0" }?.actions == [.transposed])
      #expect(
        lstm.steps.first { $0.target == "below.bias_hh_l1" }?.actions
          == [.zeroBias])
      let tagger = Self.directory + "/keras-3.15-tagger.keras"
      let gru = try ConversionPlan(from: tagger, to: directory + "/b.pt", options: .init())
      #expect(
        gru.steps.first { $0.target == "below.weight_hh_l1_reverse" }?.actions
          == [.transposed, .gatesPermuted])
    }
  }

  @Test func densesThatFeedAnotherAreNoHead() throws {
    var state = StateDict()
    let shapes: [(Name, [Int])] = [
      ("layers/lstm/cell/vars/0", [3, 8]), ("layers/lstm/cell/vars/1", [2, 8]),
      ("layers/lstm/cell/vars/2", [8]), ("layers/dense/vars/0", [2, 5]),
      ("layers/dense/vars/1", [5]),
    ]
    for (name, shape) in shapes {
      let zeros = [Double](repeating: 0, count: shape.reduce(1, *))
      try state.append(name, Tensor.make(zeros, shape: shape))
    }
    #expect(try Network(state).architecture.head?.classCount == 5)
    try state.append(
      "layers/dense_1/vars/0", Tensor.make([Double](repeating: 0, count: 20), shape: [5, 4]))
    #expect(try Network(state).architecture.head == nil)
  }

  @Test func aProjectionHasNoLayerInKeras() throws {
    let architecture = Architecture(cell: .lstm, inputSize: 3, hiddenSize: 5, projSize: 2)
    #expect {
      _ = try Convention.keras.storedTensors(of: architecture)
    } throws: {
      ($0 as? RecurrentError)?.reason.code == "convention.inexpressible"
    }
  }

  @Test func plainNamesOfVariablesAreRecognised() throws {
    var state = StateDict()
    let kernels = [("kernel:0", [3, 8]), ("recurrent_kernel:0", [2, 8]), ("bias:0", [8])]
    for direction in ["forward_lstm_1", "backward_lstm_1"] {
      for (name, shape) in kernels {
        let numbers = (0..<shape.reduce(1, *)).map { Double($0) / 16 - 0.3 }
        try state.append(
          Name("both/\(direction)/lstm_cell/\(name)"), Tensor.make(numbers, shape: shape))
      }
    }
    let network = try Network(state)
    #expect(network.architecture.bidirectional && network.architecture.cell == .lstm)
    #expect(network.recognition.recurrent.name == "both")
    #expect(network.recognition.convention.name == "keras")
  }

  @Test func arraysThatContradictTheModelAreDamage() throws {
    var empty = StateDict()
    empty.structure = Structure(
      statesConnections: true,
      modules: [
        .init(
          name: "a", kind: .recurrent, className: "LSTM", prefixes: [["layers/lstm/cell/vars/#"]])
      ])
    empty.structure?.modules[0].recurrent.cell = "lstm"
    var wrong = empty
    try wrong.append(
      "layers/lstm/cell/vars/0", Tensor.make([1.0, 2.0, 3.0] as [Double], shape: [1, 3]))
    try wrong.append(
      "layers/lstm/cell/vars/1", Tensor.make([1.0, 2.0, 3.0] as [Double], shape: [1, 3]))
    for (state, reason) in [(empty, "weights.missing"), (wrong, "weights.shape")] {
      #expect { try Network(state) } throws: { ($0 as? RecurrentError)?.reason.code == reason }
    }
  }
}
