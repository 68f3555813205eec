import Bytes
import Foundation
import Tensors
import TestSupport
import Testing

@testable import Containers
@testable import Frameworks

@Suite("Keras's containers of three generations are read and written")
struct KerasFileTests {
  private func tensor(_ shape: [Int], dtype: DType = .f32, from start: Int = 1) throws -> Tensor {
    let count = shape.reduce(1, *)
    let numbers = (0..<count).map { Double(start + $0) / 8 }
    return try Tensor.make(numbers, shape: shape).converted(to: dtype).0
  }

  private let config = """
    {"module":"keras","class_name":"Sequential","config":{"name":"s","layers":[\
    {"class_name":"Bidirectional","config":{"name":"both","layer":{"class_name":"LSTM",\
    "config":{"units":2}}}},{"class_name":"BatchNormalization","config":{"name":"norm"}},\
    {"class_name":"Dense","config":{"name":"out"}}]}}
    """

  private func model(_ dtype: DType) throws -> StateDict {
    var state = StateDict()
    for direction in ["forward_layer", "backward_layer"] {
      for (index, shape) in [[3, 8], [2, 8], [8]].enumerated() {
        try state.append(
          Name("layers/bidirectional/\(direction)/cell/vars/\(index)"),
          tensor(shape, dtype: dtype, from: state.count * 7))
      }
    }
    for index in 0..<4 {
      try state.append(
        Name("layers/batch_normalization/vars/\(index)"), tensor([4], dtype: dtype, from: index))
    }
    try state.append("layers/dense/vars/0", tensor([4, 5], dtype: dtype))
    try state.append("layers/dense/vars/1", tensor([5], dtype: dtype))
    state.metadata["note"] = "kept"
    return state
  }

  @Test(
    arguments: [WeightFormat.keras, .kerasWeights, .kerasLegacy].map(\.name),
    [DType.f64, .f32, .f16, .bf16])
  func comesBackAsWritten(_ format: String, _ dtype: DType) throws {
    try withTemporaryFolder { directory in
      let format = try WeightFormat.named(format)
      var state = try model(dtype)
      state.metadata[KerasMetadata.config] = config
      state = try format.completed(state)
      let typed = try #require(state.metadata[KerasMetadata.config])
      #expect(typed.contains("float64") == (dtype == .f64))
      let path = directory + "/file"
      try format.write(state, to: path) { try $0.checkReadBack(of: state) }
      // Recognised without being told, and written the same a second time.
      let file = try WeightFile(path: path)
      #expect(file.format.name == format.name)
      #expect(file.state.names == state.names)
      try format.write(state, to: path + "2") { _ in }
      #expect(
        FileManager.default.contents(atPath: path)
          == FileManager.default.contents(atPath: path + "2"))
      #expect(try FileManager.default.contentsOfDirectory(atPath: directory).count == 2)
    }
  }

  @Test func theOlderLayoutKeepsNamesAndLongLists() throws {
    try withTemporaryFolder { directory in
      var state = StateDict()
      var names: [JSON.Member] = []
      for index in 0..<500 {
        let number = index == 0 ? "" : "_\(index)"
        try state.append(Name("layers/dense\(number)/vars/0"), tensor([2, 3], from: index))
        try state.append(Name("layers/dense\(number)/vars/1"), tensor([3], from: index))
        let long = String(repeating: "x", count: 200) + String(index)
        names.append(.init(key: "layers/dense\(number)", value: .string(long)))
      }
      state.metadata[KerasMetadata.version] = "2.2.4"
      KerasMetadata.set(names: names, in: &state)
      let path = directory + "/long.h5"
      try WeightFormat.kerasLegacy.write(state, to: path) { try $0.checkReadBack(of: state) }
      let contents = try HDF5.contents(of: InputFile(path: path))
      guard case .group(let root)? = contents.nodes.first?.object else {
        Issue.record("no root")
        return
      }
      #expect(root.attributes.contains { $0.name == "layer_names1" })
    }
  }

  @Test func classesAreSpelledAsKerasSpellsThem() {
    let spellings = [
      "LSTM": "lstm", "GRU": "gru", "SimpleRNN": "simple_rnn", "LSTMCell": "lstm_cell",
      "StackedRNNCells": "stacked_rnn_cells", "Conv1D": "conv1d",
      "TimeDistributed": "time_distributed", "MyCustomLSTM": "my_custom_lstm",
      "BatchNormalization": "batch_normalization", "My Layer!2": "my_layer2",
    ]
    for (className, name) in spellings { #expect(kerasSnakeCase(className) == name) }
  }

  @Test func oldContainersAndBackslashesAreUnderstood() throws {
    try withTemporaryFolder { directory in
      let path = directory + "/old.weights.h5"
      let kernel = try tensor([2, 8])
      try HDF5Writer([
        HDF5Object(path: [], content: .group),
        HDF5Object(
          path: ["_layer_checkpoint_dependencies\\lstm\\cell\\vars\\0"], content: .dataset(kernel)),
        HDF5Object(path: ["optimizer"], content: .group),
        HDF5Object(path: ["optimizer", "vars"], content: .group),
        HDF5Object(path: ["optimizer", "vars", "0"], content: .dataset(kernel)),
      ]).write(toFileAt: path)
      let state = try HDF5.interpret(InputFile(path: path), as: KerasHDF5.objects)
      #expect(state.names == ["layers/lstm/cell/vars/0"])
      #expect(state.skipped.contains { $0.contains("/optimizer: 1 array") })
    }
  }

  private func expect(
    _ reason: String, _ body: () throws -> Void, line: Int = #line
  ) {
    do {
      try body()
      Issue.record("line \(line): no error, expected \(reason)")
    } catch let error as RecurrentError {
      #expect(error.reason.code == reason, "line \(line)")
    } catch {
      Issue.record("line \(line): \(error)")
    }
  }

  /// An `.h5` of one layer group with any attributes.
  private func legacy(
    _ directory: String, layers: [String], weights: [String], arrays: [(Name, Tensor)],
    config: String? = nil
  ) throws -> InputFile {
    var root: [(key: String, value: HDF5Object.Value)] = [("layer_names", .texts(layers))]
    if let config { root.append(("model_config", .text(config))) }
    var objects = [
      HDF5Object(path: [], content: .group, attributes: root),
      HDF5Object(
        path: ["inner"], content: .group, attributes: [("weight_names", .texts(weights))]),
    ]
    for (name, tensor) in arrays {
      objects.append(HDF5Object(path: ["inner", name], content: .dataset(tensor)))
    }
    let path = directory + "/\(UUID().uuidString).h5"
    try HDF5Writer(objects).write(toFileAt: path)
    let file = try InputFile(path: path)
    #expect(KerasHDF5.legacy.recognizes(try HDF5.contents(of: file)))
    return file
  }

  private func readLegacy(_ file: InputFile) throws -> StateDict {
    try HDF5.interpret(file, as: KerasHDF5.legacy)
  }

  @Test func contradictionsInTheOlderLayoutAreRefused() throws {
    try withTemporaryFolder { directory in
      let kernel = try tensor([2, 12])
      let recurrent = try tensor([3, 12])
      let arrays: [(Name, Tensor)] = [("a", kernel), ("b", recurrent)]
      expect("keras.legacy") {
        _ = try readLegacy(
          legacy(directory, layers: ["elsewhere"], weights: ["a"], arrays: arrays))
      }
      expect("keras.legacy") {
        _ = try readLegacy(
          legacy(directory, layers: ["inner"], weights: ["a", "c"], arrays: arrays))
      }
      let lstm = """
        {"class_name":"Sequential","config":[{"class_name":"LSTM","config":{"name":"inner"}}]}
        """
      expect("keras.legacy") {
        _ = try readLegacy(
          legacy(directory, layers: ["inner"], weights: ["b"], arrays: arrays, config: lstm))
      }
      let both = """
        {"class_name":"Sequential","config":[{"class_name":"Bidirectional","config":{"name":"inner",\
        "layer":{"class_name":"LSTM","config":{}}}}]}
        """
      expect("keras.legacy") {
        _ = try readLegacy(
          legacy(directory, layers: ["inner"], weights: ["a"], arrays: arrays, config: both))
      }
      let nested = """
        {"class_name":"Sequential","config":[{"class_name":"Sequential","config":{"name":"inner",\
        "layers":[{"class_name":"Mystery","config":{"name":"m"}},\
        {"class_name":"LSTM","config":{"name":"l"}}]}}]}
        """
      expect("keras.nested") {
        _ = try readLegacy(
          legacy(directory, layers: ["inner"], weights: ["a", "b"], arrays: arrays, config: nested))
      }
      // Twelve arrays of Keras 1 whose gates differ in size.
      var old: [(Name, Tensor)] = []
      for gate in 0..<4 {
        old.append((Name("W\(gate)"), try tensor([2, 3])))
        old.append((Name("U\(gate)"), try tensor([3, 3])))
        old.append((Name("b\(gate)"), try tensor([gate == 2 ? 4 : 3])))
      }
      expect("keras.legacy") {
        _ = try readLegacy(
          legacy(
            directory, layers: ["inner"], weights: old.map(\.0.string), arrays: old, config: lstm))
      }
    }
  }

  @Test func namesThatNoGroupCanHaveAreRefused() throws {
    try withTemporaryFolder { directory in
      for names in [["a//vars/0"], ["layers/a", "layers/a/vars/0"], ["layers/a\\b/vars/0"]] {
        var state = StateDict()
        for name in names { try state.append(Name(name), tensor([2])) }
        expect("keras.name") {
          try WeightFormat.kerasWeights.write(state, to: directory + "/x.weights.h5") { _ in }
        }
      }
      var state = StateDict()
      try state.append("layers/dense/vars/0", tensor([2, 2]))
      let endless = String(repeating: "n", count: 70_000)
      KerasMetadata.set(
        names: [.init(key: "layers/dense", value: .string(endless))], in: &state)
      expect("keras.name") {
        try WeightFormat.kerasLegacy.write(state, to: directory + "/x.h5") { _ in }
      }
    }
  }

  @Test func archivesWithoutAModelOrInPiecesAreRefused() throws {
    try withTemporaryFolder { directory in
      let state = try model(.f32)
      expect("keras.config") {
        try WeightFormat.keras.write(state, to: directory + "/x.keras") { _ in }
      }
      let sink = MemorySink()
      var zip = ZipWriter(sink)
      try zip.add("config.json", [MemorySource(Array("{}".utf8))])
      try zip.add("model.weights.json", [MemorySource(Array("{}".utf8))])
      try zip.finish()
      let source = MemorySource(sink.bytes)
      #expect(KerasArchive.recognizes(source))
      expect("keras.sharded") { _ = try KerasArchive.read(source) }
      let broken = MemorySink()
      var other = ZipWriter(broken)
      let path = directory + "/w.weights.h5"
      try WeightFormat.kerasWeights.write(state, to: path) { _ in }
      try other.add("config.json", [MemorySource([0x7B, 0xFF, 0x7D])])
      try other.add("model.weights.h5", [InputFile(path: path)])
      try other.finish()
      expect("keras.config") { _ = try KerasArchive.read(MemorySource(broken.bytes)) }
    }
  }

  @Test func modelsOfTooManyLayersAreRefused() throws {
    let layer = #"{"class_name":"Dropout","config":{}}"#
    let many = Array(repeating: layer, count: KerasGraph.layerLimit + 1).joined(separator: ",")
    expect("keras.layers") {
      _ = try KerasGraph("{\"class_name\":\"Sequential\",\"config\":[\(many)]}")
    }
    #expect(try KerasGraph(#"{"class_name":"MyModel","config":{}}"#) == nil)
    expect("json.syntax") { _ = try KerasGraph("nonsense") }
  }
}
