import Foundation
import Recurrent
import TestSupport
import Testing

/// Models and modules by name: from files, from Swift, and back into files.
@Suite("Models and modules by name: from files, from Swift, and back into files")
struct ModelFileTests {
  private func state(_ tensors: [(String, [Int])], _ metadata: [String: String] = [:]) throws
    -> StateDict
  {
    var state = StateDict()
    for (number, (name, shape)) in tensors.enumerated() {
      let values = (0..<shape.reduce(1, *)).map {
        Float((Double($0 + 7 * number + 1) * 0.377).remainder(dividingBy: 1))
      }
      try state.append(Name(name), NDArray(shape: shape, elements: values).tensor)
    }
    for (key, value) in metadata { state.metadata[key] = value }
    return state
  }

  private func array(_ state: StateDict, _ name: Name) throws -> NDArray<Float> {
    try NDArray(#require(state[name]))
  }

  private func write(_ state: StateDict, _ path: String) throws {
    try WeightFormat.forWriting(path: path).write(state, to: path) { _ in }
  }

  private let gru: [(String, [Int])] = [
    ("net.rnn.weight_ih_l0", [18, 4]), ("net.rnn.weight_hh_l0", [18, 6]),
    ("net.rnn.bias_ih_l0", [18]), ("net.rnn.bias_hh_l0", [18]),
  ]
  private let head: [(String, [Int])] = [("fc.weight", [3, 6]), ("fc.bias", [3])]

  private func frames(_ steps: Int, _ rows: Int, _ features: Int) throws -> NDArray<Float> {
    try NDArray(
      shape: [steps, rows, features],
      elements: (0..<steps * rows * features).map { Float($0 % 7) / 4 - 0.6 })
  }

  @Test(arguments: ["h5", "npz", "safetensors", "pt"])
  func everyOtherTensorAndAllMetadataAreKept(_ suffix: String) throws {
    try withTemporaryFolder { directory in
      let original = try state(
        gru + [("norm.weight", [6]), ("norm.bias", [6])] + head + [("log_var", [])],
        ["author": "me", "cell": "gru"])
      let path = directory + "/in.safetensors"
      try write(original, path)
      var model = try Model<Float>(path: path)
      #expect(model.head == nil)
      let name: Name = "net.rnn.bias_hh_l0"
      var groups = model.parameterGroups
      groups[0]["bias_hh_l0"]?.elements[5] = 2.5
      try model.setParameterGroups(groups)
      let output = directory + "/out." + suffix
      try model.write(toPath: output)
      let written = try WeightFile(path: output).state
      #expect(written.names == original.names)
      for entry in original.entries {
        let same = try written[entry.name]?.isIdentical(to: entry.tensor) == true
        #expect(same == (entry.name != name), "\(entry.name)")
      }
      #expect(try array(written, name).elements[5] == 2.5)
      if suffix != "pt" { #expect(written.metadata["author"] == "me") }
      // Only what is there is overwritten when asked.
      #expect(throws: RecurrentError.self) { try model.write(toPath: output) }
      try model.write(toPath: output, overwrite: true)
      // Containers of one network hold no file of more.
      for other in ["onnx", "keras"] {
        let error = #expect(throws: RecurrentError.self) {
          try model.write(toPath: directory + "/out." + other)
        }
        #expect(error?.reason.code == "conversion.not-one-network")
      }
    }
  }

  static let made: [(RecurrentConfiguration, Int?, Int?, HeadReads)] = [
    (RecurrentConfiguration(cell: .lstm, inputSize: 4, hiddenSize: 6), 9, 9, .sequence),
    (
      RecurrentConfiguration(
        cell: .gru, inputSize: 4, hiddenSize: 6, layerCount: 2, bidirectional: true), nil, 3, .final
    ),
    (
      RecurrentConfiguration(cell: .gru, inputSize: 4, hiddenSize: 6, gruReset: .before), nil, 3,
      .sequence
    ),
    (
      RecurrentConfiguration(cell: .rnnRelu, inputSize: 4, hiddenSize: 6, bias: false), nil, nil,
      .sequence
    ),
  ]

  @Test(arguments: made.indices, ["h5", "onnx", "keras", "safetensors"])
  func madeFromSwiftSavedAndOpenedAgain(_ index: Int, _ suffix: String) throws {
    let (configuration, tokens, classes, reads) = Self.made[index]
    var generator = TorchGenerator(seed: 17)
    let model = try Model<Float>(
      configuration, tokenCount: tokens, classCount: classes, headReads: reads,
      generator: &generator)
    #expect(model.recognition == nil && model.assumptions.isEmpty)
    try withTemporaryFolder { directory in
      let path = directory + "/model." + suffix
      try model.write(toPath: path)
      let again = try Model<Float>(path: path)
      #expect(again.assumptions.isEmpty, "\(again.assumptions)")
      var found = again.architecture
      found.batchFirst = model.architecture.batchFirst
      #expect(found == model.architecture)
      func run(_ model: Model<Float>) throws -> Model<Float>.Output {
        let batchFirst = model.architecture.batchFirst
        // Five steps of one row: the numbers lie the same either way.
        guard let tokens else {
          let x = try frames(5, 1, 4)
          return try model(
            NDArray(shape: batchFirst ? [1, 5, 4] : [5, 1, 4], elements: x.elements))
        }
        return try model(
          tokens: NDArray(
            shape: batchFirst ? [1, 5] : [5, 1], elements: (0..<5).map { $0 * 2 % tokens }))
      }
      let (before, after) = try (run(model), run(again))
      for (a, b) in zip(before.output.elements, after.output.elements) {
        #expect(abs(a - b) < 1e-6)
      }
      #expect(before.logits?.elements.count == after.logits?.elements.count)
      for (a, b) in zip(before.logits?.elements ?? [], after.logits?.elements ?? []) {
        #expect(abs(a - b) < 1e-6)
      }
    }
  }

  @Test func modulesAreOpenedByName() throws {
    try withTemporaryFolder { directory in
      let file = try state(
        [("encoder.embedding.weight", [11, 4])] + gru.map { ("encoder." + $0.0, $0.1) } + [
          ("decoder.cell.weight_ih", [20, 3]), ("decoder.cell.weight_hh", [20, 5]),
          ("decoder.cell.bias_ih", [20]), ("decoder.cell.bias_hh", [20]),
          ("policy.weight", [2, 5]), ("policy.bias", [2]), ("value.weight", [1, 5]),
          ("value.bias", [1]),
        ])
      for suffix in ["safetensors", "h5", "pt"] {
        let path = directory + "/seq2seq." + suffix
        try write(file, path)
        let weights = try WeightFile(path: path)
        let encoder = try weights.recurrent("encoder.net.rnn", as: Float.self)
        #expect(encoder.configuration.hiddenSize == 6)
        let x = try frames(3, 2, 4)
        var parameters = Parameters<Float>()
        for (name, _) in gru {
          let bare = String(name.dropFirst("net.rnn.".count))
          parameters.append(bare, try array(file, Name("encoder." + name)))
        }
        #expect(
          try encoder(x).output == RNN(encoder.configuration, parameters: parameters)(x).output)
        let cell = try weights.cell("decoder.cell", as: Float.self)
        let frame = try NDArray<Float>(shape: [2, 3], elements: [1, 2, 3, -1, 0.5, 0])
        #expect(try cell.step(frame).h.shape == [2, 5])
        for (name, count) in [("policy", 2), ("value", 1)] {
          let linear = try weights.linear(name, as: Float.self)
          #expect(linear.outputSize == count)
          #expect(try linear.weight == array(file, Name(name + ".weight")))
        }
        let table = try weights.embedding("encoder.embedding", as: Float.self)
        #expect(try table.weight == array(file, "encoder.embedding.weight"))
        #expect(
          try weights.array("value.bias", as: Float.self) == array(file, "value.bias"))
        let missing = #expect(throws: RecurrentError.self) {
          try weights.array("value.bais", as: Float.self)
        }
        #expect(missing?.reason.code == "weights.no-tensor" && missing?.file == path)
        #expect(missing?.hint?.description.contains("value.bias") == true)
        let float = #expect(throws: RecurrentError.self) {
          try weights.array("value.bias", as: Int.self)
        }
        #expect(float?.reason.code == "tensor.not-integer")
        for body in [
          { _ = try weights.recurrent("decoder.cell", as: Float.self) },
          { _ = try weights.linear("encoder.embedding", as: Float.self) },
          { _ = try weights.cell("nobody", as: Float.self) },
        ] as [() throws -> Void] {
          let error = #expect(throws: RecurrentError.self) { try body() }
          #expect(error?.reason.code == "weights.unrecognized" && error?.file == path)
        }
      }
    }
  }

  @Test func integersAreArrays() throws {
    try withTemporaryFolder { directory in
      let ids = try NDArray([[3, -1, 4], [1, 5, 1 << 40]])
      var state = StateDict()
      try state.append("ids", ids.tensor)
      for suffix in ["npz", "safetensors", "h5"] {
        let path = directory + "/ids." + suffix
        try write(state, path)
        let file = try WeightFile(path: path)
        #expect(file.state["ids"]?.dtype == .i64)
        #expect(try file.array("ids", as: Int.self) == ids)
      }
    }
  }

  /// Asking for a matrix as a table says nothing of what stands behind it.
  @Test func aTableOfAnotherWidthIsGivenByName() throws {
    try withTemporaryFolder { directory in
      let file = try state(gru + [("vocabulary.weight", [9, 5])], ["batch_first": "true"])
      try write(file, directory + "/in.safetensors")
      let weights = try WeightFile(path: directory + "/in.safetensors")
      let table = try weights.embedding("vocabulary", as: Float.self)
      #expect(try table.weight == array(file, "vocabulary.weight"))
    }
  }

  @Test(arguments: ["safetensors", "h5", "npz", "onnx"])
  func streamsStartFromTheStoredState(_ suffix: String) throws {
    try withTemporaryFolder { directory in
      let file = try state(
        gru + [("net.rnn.h_0", [1, 1, 6])] + head,
        [
          "cell": "gru", "gru_reset": "after", "batch_first": "false", "initial_state": "stored",
          "connections": "net.rnn -> fc (stated)",
        ])
      let source = directory + "/in.safetensors"
      try write(file, source)
      let path = directory + "/model." + suffix
      if suffix != "safetensors" { try Model<Float>(path: source).write(toPath: path) }
      let model = try Model<Float>(path: suffix == "safetensors" ? source : path)
      #expect(try model.initialState.h?.elements == array(file, "net.rnn.h_0").elements)
      let x = try frames(4, 2, 4)
      let whole = try model(x)
      let given = try model(
        x,
        state: .init(
          h: NDArray(
            shape: [1, 2, 6],
            elements: array(file, "net.rnn.h_0").elements
              + array(file, "net.rnn.h_0").elements)))
      #expect(whole == given)
      #expect(try whole.output != model(x, state: .init(h: NDArray(zeros: [1, 2, 6]))).output)
      let stream = try model.stream(batch: 2)
      var state = Model<Float>.State()
      for step in 0..<4 {
        let frame = Array(x.elements[step * 8..<(step + 1) * 8])
        try stream.step(frame)
        let expected = Array(whole.output.elements[step * 12..<(step + 1) * 12])
        #expect(stream.output == expected)
        let stepped = try model.step(NDArray(shape: [2, 4], elements: frame), state: &state)
        #expect(stepped.output.elements == expected)
      }
      #expect(stream.state.h == whole.hN)
    }
  }
}
