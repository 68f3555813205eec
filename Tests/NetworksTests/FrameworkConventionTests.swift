import Containers
import Foundation
import Frameworks
import NetworksTestSupport
import RNNEngine
import Tensors
import TestSupport
import Testing

@testable import Networks

/// Files of MLX, Flax and TensorFlow with what the libraries themselves computed; see
/// tools/goldens/make_others.py.
@Suite("Files of MLX, Flax and TensorFlow compute what those libraries compute")
struct FrameworkConventionTests {
  private struct Expectation: Decodable {
    var x: String?
    var y: String?
    var x_shape: [Int]?
    var y_shape: [Int]?
  }

  private static let golden = URL(fileURLWithPath: "\(Checkout.root)/fixtures/golden")

  private func array(_ hex: String, _ shape: [Int]) throws -> NDArray<Double> {
    let digits = Array(hex.utf8)
    let bytes = try stride(from: 0, to: digits.count, by: 2).map {
      try #require(UInt8(String(decoding: digits[$0..<$0 + 2], as: UTF8.self), radix: 16))
    }
    return try NDArray(Tensor(dtype: .f32, shape: shape, bytes: bytes))
  }

  @Test(arguments: [
    ("mlx", 4, "mlx"), ("flax", 8, "flax"), ("tensorflow", 3, "tensorflow"),
  ])
  func theLibrariesComputeTheSame(folder: String, count: Int, convention: String) throws {
    let url = Self.golden.appendingPathComponent(folder)
    let expected = try JSONDecoder().decode(
      [String: Expectation].self,
      from: Data(contentsOf: url.appendingPathComponent("expected.json")))
    var compared = 0
    for (file, record) in expected {
      guard let x = record.x, let y = record.y, let xShape = record.x_shape,
        let yShape = record.y_shape
      else { continue }
      let state = try WeightFile(path: url.appendingPathComponent(file).path).state
      let network = try Network(state)
      let found = network.recognition.convention.name
      #expect(found == (file.hasPrefix("nnx") ? "nnx" : convention), "\(file)")
      // Every tensor of the file belongs to the network.
      #expect(network.recognition.foreign.allSatisfy { $0 == "step" }, "\(file)")
      let model = try network.model(Double.self, batchFirst: true)
      let output = try model.rnn(array(x, xShape)).output
      let result = try model.head.map { try $0(output) } ?? output
      let wanted = try array(y, yShape)
      #expect(result.shape == wanted.shape, "\(file)")
      for (a, b) in zip(result.elements, wanted.elements) { #expect(abs(a - b) <= 1e-6, "\(file)") }
      compared += 1
    }
    #expect(compared == count)
  }

  private func state(_ names: [(String, [Int])]) throws -> StateDict {
    var state = StateDict()
    for (name, shape) in names {
      let count = shape.reduce(1, *)
      try state.append(
        Name(name), Tensor.make((0..<count).map { Float($0 % 13) / 13 - 0.4 }, shape: shape))
    }
    return state
  }

  private func mlx(_ prefix: String, _ inputs: Int, _ hidden: Int) -> [(String, [Int])] {
    [
      ("\(prefix)Wx", [4 * hidden, inputs]), ("\(prefix)Wh", [4 * hidden, hidden]),
      ("\(prefix)bias", [4 * hidden]),
    ]
  }

  private func summaries(_ names: [(String, [Int])]) throws -> [String] {
    try ModuleList(state(names)).recurrent.map { "\($0.name): \($0.architecture.summary)" }
  }

  @Test func cellsArePutTogetherByNameAndSize() throws {
    #expect(
      try summaries(mlx("lstm2.", 4, 4) + mlx("lstm1.", 3, 4)) == [
        "lstm1: lstm, 2 layers, input 3, hidden 4"
      ])
    #expect(
      try summaries(
        mlx("m.layers.0.", 3, 4) + mlx("m.layers.10.", 4, 4) + mlx("m.layers.2.", 4, 4)) == [
          "m.layers: lstm, 3 layers, input 3, hidden 4"
        ])
    #expect(
      try summaries(mlx("forward_lstm.", 3, 4) + mlx("backward_lstm.", 3, 4)) == [
        "forward_lstm: lstm, 1 layer, bidirectional, input 3, hidden 4"
      ])
    #expect(
      try summaries(
        mlx("l.0.fwd.", 3, 4) + mlx("l.0.bwd.", 3, 4) + mlx("l.1.fwd.", 8, 4)
          + mlx("l.1.bwd.", 8, 4)) == [
          "l: lstm, 2 layers, bidirectional, input 3, hidden 4"
        ])
    // Sizes that do not follow from each other are modules of their own.
    #expect(
      try summaries(mlx("a.0.", 3, 4) + mlx("a.1.", 5, 4)) == [
        "a.0: lstm, 1 layer, input 3, hidden 4", "a.1: lstm, 1 layer, input 5, hidden 4",
      ])
    #expect(
      try summaries(mlx("encoder.", 3, 4) + mlx("decoder.", 4, 4)) == [
        "encoder: lstm, 1 layer, input 3, hidden 4", "decoder: lstm, 1 layer, input 4, hidden 4",
      ])
    // Pairs that only their input tells.
    #expect(
      try summaries(mlx("a.0.", 3, 4) + mlx("a.1.", 3, 4)) == [
        "a: lstm, 1 layer, bidirectional, input 3, hidden 4"
      ])
    // Square: two layers, unless the layer on top says otherwise.
    let square = mlx("a.0.", 4, 4) + mlx("a.1.", 4, 4)
    #expect(try summaries(square) == ["a: lstm, 2 layers, input 4, hidden 4"])
    #expect(
      try summaries(square + [("out.weight", [7, 8]), ("out.bias", [7])]) == [
        "a: lstm, 1 layer, bidirectional, input 4, hidden 4"
      ])
    let assumptions = try Recognition(state(square)).assumptions
    #expect(assumptions.first?.description.contains("a.0, a.1") == true)
  }

  @Test func namesThatTwoConventionsShareAreToldApart() throws {
    func convention(_ names: [(String, [Int])]) throws -> String {
      try Recognition(state(names)).convention.name
    }
    #expect(try convention([("Wx", [3, 4]), ("Wh", [4, 4]), ("b", [4])]) == "textbook-d3")
    #expect(
      try convention([("Wx", [12, 3]), ("Wh", [12, 4]), ("b", [12]), ("bhn", [4])]) == "mlx")
    #expect(try convention([("Wx", [16, 3]), ("Wh", [16, 4]), ("bias", [16])]) == "mlx")
    #expect(try convention([("Wxh", [4, 3]), ("Whh", [4, 4]), ("bias", [4])]) == "mlx")
    #expect(try convention([("Wxh", [4, 3]), ("Whh", [4, 4])]) == "mlx")
    #expect(
      try convention([
        ("Wxh", [3, 4]), ("Whh", [4, 4]), ("bh", [1, 4]), ("Why", [4, 5]), ("by", [1, 5]),
      ]) == "textbook-d1")
  }

  @Test func whatHasNoCounterpartIsRefused() throws {
    let cudnn = [
      ("l.kernel", [3, 16]), ("l.recurrent_kernel", [4, 16]), ("l.bias", [32]),
    ]
    #expect(reason { _ = try Recognition(state(cudnn)) } == "tf.cudnn")
    let cell = [("rnn.lstm_cell.kernel", [7, 16]), ("rnn.lstm_cell.bias", [16])]
    #expect(reason { _ = try Recognition(state(cell)) } == nil)
    for extra in [("rnn.lstm_cell.w_f_diag", [4]), ("rnn.lstm_cell.projection.kernel", [4, 2])] {
      #expect(reason { _ = try Recognition(state(cell + [extra])) } == "tf.cell")
    }
    for convention in [Convention.mlx, .flax, .nnx, .burn, .tensorFlow] {
      let projected = Architecture(cell: .lstm, inputSize: 3, hiddenSize: 5, projSize: 2)
      #expect(
        reason { _ = try convention.storedTensors(of: projected) } == "convention.inexpressible")
    }
    let before = Architecture(cell: .gru, inputSize: 3, hiddenSize: 5, gruReset: .before)
    for convention in [Convention.mlx, .flax, .nnx] {
      #expect(reason { _ = try convention.storedTensors(of: before) } == "convention.inexpressible")
    }
    // NNX's GRU has no recurrent bias.
    let gru = Architecture(cell: .gru, inputSize: 3, hiddenSize: 5)
    let weights = try CanonicalWeights(
      canonicalState(gru), architecture: gru, tensors: Network.parameterTensors(of: gru))
    let target = try Convention.nnx.storedTensors(of: gru)
    #expect(reason { _ = try weights.encoded(as: target) } == "convention.inexpressible")
  }

  /// Tensors without elements can have any shape; a table of such a network must not be built.
  @Test func sizesThatNobodyCanHaveAreNoCells() throws {
    let huge = 1 << 62
    let files: [[(String, [Int])]] = [
      [("Wx", [0, huge]), ("Wh", [16, 4])], [("Wxh", [0, huge]), ("Whh", [4, 4])],
      [("c.ii.kernel", [0, huge]), ("c.hi.kernel", [4, 4])],
      [("c.ii.kernel", [huge, 0]), ("c.hi.kernel", [4, 4])],
      [("c.i.kernel", [huge, 0]), ("c.h.kernel", [4, 4])],
      [("c.dense_i.kernel", [huge, 0]), ("c.dense_h.kernel", [4, 16])],
      [("c.if_.kernel", [0, huge])], [("gate.input_transform.weight", [huge, 0])],
      [("c.kernel", [huge, 0]), ("c.recurrent_kernel", [4, 16])],
      [("gru_cell.candidate.kernel", [huge, 0])], [("basic_rnn_cell.kernel", [0, huge])],
    ]
    for names in files {
      #expect(try ModuleList(state(names)).recurrent.isEmpty, "\(names)")
    }
  }

  @Test func theForgetBiasOfTensorFlow1IsAddedOnce() throws {
    let network = try Network(
      state([("rnn.basic_lstm_cell.kernel", [7, 16]), ("rnn.basic_lstm_cell.bias", [16])]))
    let torch = try network.weights.encoded(as: Network.parameterTensors(of: network.architecture))
    let bias = try #require(torch["bias_ih_l0"]).floats()
    let stored = (0..<16).map { Float($0 % 13) / 13 - 0.4 }
    // i j f o becomes i f g o, and f gets the one.
    #expect(Array(bias[4..<8]) == stored[8..<12].map { $0 + 1 })
    #expect(Array(bias[8..<12]) == Array(stored[4..<8]))
    // Gradients of a sum with a constant are the gradients of the stored number.
    let gradients = try network.stored(torch, sums: .first)
    let gradient = try #require(gradients["rnn.basic_lstm_cell.bias"]).floats()
    #expect(gradient[8..<12] == bias[4..<8])
    let written = try network.stored(torch, sums: .add)
    for (a, b) in zip(try #require(written["rnn.basic_lstm_cell.bias"]).floats(), stored) {
      #expect(abs(a - b) < 1e-6)
    }
    #expect(network.recognition.assumptions.contains(.forgetBias))
  }
}
