import Recurrent
import TestSupport
import Testing

/// What a model carries on when it changes, and what it is then written as.
@Suite("A model is written as what it is, or not at all")
struct ModelChangeTests {
  private func gru(_ directory: String, _ metadata: [String: String] = [:]) throws -> String {
    var state = StateDict()
    for (name, shape) in [
      ("rnn.weight_ih_l0", [18, 4]), ("rnn.weight_hh_l0", [18, 6]), ("rnn.bias_ih_l0", [18]),
      ("rnn.bias_hh_l0", [18]), ("rnn.h_0", [1, 1, 6]), ("fc.weight", [3, 6]), ("fc.bias", [3]),
    ] where name != "rnn.h_0" || metadata["initial_state"] != nil {
      let values = (0..<shape.reduce(1, *)).map { Float($0 % 11) / 8 - 0.6 }
      try state.append(Name(name), NDArray(shape: shape, elements: values).tensor)
    }
    for (key, value) in metadata { state.metadata[key] = value }
    let path = directory + "/gru\(metadata.count).safetensors"
    try WeightFormat.forWriting(path: path).write(state, to: path) { _ in }
    return path
  }

  @Test func aModelThatIsNoLongerItsFilesIsNotWrittenAsIt() throws {
    try withTemporaryFolder { directory in
      let path = try gru(directory, ["cell": "gru", "batch_first": "false"])
      let model = try Model<Float>(path: path)
      #expect(model.head != nil && model.recognition != nil)
      var generator = TorchGenerator(seed: 1)
      func changed(_ change: (inout RecurrentConfiguration) -> Void) throws -> Model<Float> {
        var (other, configuration) = (model, model.rnn.configuration)
        change(&configuration)
        other.rnn = try RNN(configuration, generator: &generator)
        return other
      }
      var others = try [
        changed { $0.hiddenSize = 7 }, changed { $0.layerCount = 2 }, changed { $0.cell = .lstm },
        changed { $0.gruReset = .before }, changed { $0.batchFirst = true },
        changed { $0.bidirectional = true },
      ]
      var other = model
      other.head = nil
      others.append(other)
      other = model
      other.headReads = .last
      others.append(other)
      other = model
      other.embedding = try Embedding(weight: NDArray(zeros: [9, 4]))
      others.append(other)
      other = model
      other.initialState = .init(h: NDArray(zeros: [1, 1, 6]))
      others.append(other)
      for (number, other) in others.enumerated() {
        let found = reason { try other.write(toPath: directory + "/wrong.h5") }
        // A head that does not fit is said before anything else.
        #expect(found == "model.changed" || found == "engine.head-size", "\(number)")
        #expect(other.recognition != nil)
      }
      #expect(others[3].architecture.gruReset == .before && others[8].architecture.embedding != nil)
      let stacked = try changed { $0.residual = true }
      #expect(
        reason { try stacked.write(toPath: directory + "/wrong.h5") } == "convention.inexpressible")
      other = model
      other.rnn.parameters["weight_hh_l0"] = NDArray(zeros: [18, 7])
      #expect(
        reason { try other.write(toPath: directory + "/wrong.h5") } == "engine.parameter-shape")
      // Dropout is for training; a copy with other weights is still the file's network.
      let trained = try changed { $0.dropout = 0.5 }
      try trained.write(toPath: directory + "/right.h5")
      let again = try Model<Float>(path: directory + "/right.h5")
      #expect(
        again.rnn.parameters.entries.map(\.array) == trained.rnn.parameters.entries.map(\.array))
      #expect(again.head?.weight == model.head?.weight)
    }
  }

  @Test(arguments: ["safetensors", "h5", "npz", "onnx"])
  func aTrainedInitialStateIsWritten(_ suffix: String) throws {
    try withTemporaryFolder { directory in
      let path = try gru(
        directory,
        ["cell": "gru", "gru_reset": "after", "batch_first": "false", "initial_state": "stored"])
      var model = try Model<Float>(path: path, options: ReadOptions(head: .named("fc")))
      let state = try #require(model.initialState.h)
      model.initialState.h = try state * -2
      let output = directory + "/out." + suffix
      try model.write(toPath: output)
      let again = try Model<Float>(path: output)
      #expect(try again.initialState.h?.elements == (state * -2).elements)
      let x = NDArray<Float>(repeating: 0.5, shape: [3, 2, 4])
      #expect(try again(x).output == model(x).output)
      model.initialState = .init(h: NDArray(zeros: [1, 2, 6]))
      #expect(
        reason { try model.write(toPath: output, overwrite: true) } == "model.changed")
      model.initialState = .init()
      #expect(
        reason { try model.write(toPath: output, overwrite: true) } == "model.changed")
    }
  }

  @Test(arguments: ["safetensors", "h5", "npz", "onnx", "pt", "keras"], ["torch", "mlx", nil])
  func aMadeModelKeepsItsInitialState(_ suffix: String, _ convention: String?) throws {
    guard convention == nil || !["onnx", "pt", "keras"].contains(suffix) else { return }
    try withTemporaryFolder { directory in
      var generator = TorchGenerator(seed: 3)
      var model = try Model<Float>(
        RecurrentConfiguration(cell: .lstm, inputSize: 4, hiddenSize: 6), classCount: 3,
        generator: &generator)
      model.initialState = try .init(
        h: generator.randn(shape: [1, 1, 6]), c: generator.randn(shape: [1, 1, 6]))
      let path = directory + "/made." + suffix
      func write() throws {
        try model.write(toPath: path, convention: convention.map { try .named($0) })
      }
      guard suffix != "pt", suffix != "keras" else {
        #expect(throws: RecurrentError.self) { try write() }
        return
      }
      try write()
      let again = try Model<Float>(path: path)
      #expect(again.initialState.h?.elements == model.initialState.h?.elements)
      #expect(again.initialState.c?.elements == model.initialState.c?.elements)
      #expect(again.architecture.storesInitialState)
      let x = NDArray<Float>(repeating: 0.5, shape: [3, 2, 4])
      let (found, expected) = try (again(x).output.elements, model(x).output.elements)
      #expect(zip(found, expected).allSatisfy { abs($0 - $1) < 1e-6 })
      model.initialState.h = NDArray(zeros: [1, 6])
      #expect(
        reason { try model.write(toPath: path, overwrite: true) } == "engine.state-shape")
    }
  }
}
