import Foundation
import Tensors
import TestSupport
import Testing

@testable import RNNEngine

/// The error inputs of PyTorch's own tests, captured by tools/goldens/capture_common_modules.py from
/// `torch.testing._internal.common_modules`: what is an error there is one here, in words that
/// contain PyTorch's.
@Suite("What is an error in PyTorch's own tests is one here")
struct TorchErrorTests {
  private struct File: Decodable {
    let errors: [Example]
  }

  private struct Example: Decodable {
    let module, call, regex: String
    let arguments: [String: Value]
    let inputs: [String: [Int]]
    let inputTypes: [String: String]

    enum CodingKeys: String, CodingKey {
      case module, call, regex, arguments, inputs
      case inputTypes = "input_dtypes"
    }
  }

  /// A Python argument.
  private enum Value: Decodable {
    case bool(Bool)
    case int(Int)
    case other

    init(from decoder: Decoder) throws {
      let container = try decoder.singleValueContainer()
      if let value = try? container.decode(Bool.self) {
        self = .bool(value)
      } else if let value = try? container.decode(Int.self) {
        self = .int(value)
      } else {
        self = .other
      }
    }
  }

  /// Why Swift's compiler refuses a call before anything could run.
  private enum Inexpressible: Hashable {
    /// `bias` and `batchFirst` are `Bool`: neither 0 nor "True" is one.
    case flag
    /// `inputSize` and `hiddenSize` are `Int`: neither 3.0 nor "10" is one.
    case size
    /// An `NDArray<Double>` is no argument of an `RNN<Float>`.
    case elementType
  }

  private static func examples() throws -> [Example] {
    let bytes = try fileBytes(Checkout.fixture("torch/common-modules/errors.json"))
    return try JSONDecoder().decode(File.self, from: Data(bytes)).errors
  }

  private func obstacle(_ example: Example) -> Inexpressible? {
    if example.regex.contains("should be of type bool") { return .flag }
    if example.regex.contains("should be of type int") { return .size }
    return example.inputTypes["x"] == "torch.float64" ? .elementType : nil
  }

  private func run(_ example: Example) throws {
    func size(_ name: String) -> Int? {
      if case .int(let value)? = example.arguments[name] { value } else { nil }
    }
    let kinds: [String: Cell] = ["RNN": .rnnTanh, "LSTM": .lstm, "GRU": .gru]
    let isCell = example.module.hasSuffix("Cell")
    let cell = try #require(kinds[isCell ? String(example.module.dropLast(4)) : example.module])
    let inputSize = try #require(size("input_size"))
    let hiddenSize = try #require(size("hidden_size"))
    let configuration = RecurrentConfiguration(
      cell: cell, inputSize: inputSize, hiddenSize: hiddenSize,
      layerCount: size("num_layers") ?? 1)
    var generator = TorchGenerator(seed: 1)
    let rnn = try RNN<Float>(configuration, generator: &generator)
    // A third argument of a cell is its bias, and "relu" as true as any other string.
    try #require(isCell)
    var parameters = Parameters<Float>()
    for (name, array) in rnn.parameters.entries {
      parameters.append(String(name.dropLast(3)), array)
    }
    let single = try RecurrentCell(
      cell, inputSize: inputSize, hiddenSize: hiddenSize, parameters: parameters)
    func array(_ name: String) -> NDArray<Float>? {
      example.inputs[name].map { NDArray(zeros: $0) }
    }
    _ = try single.step(#require(array("x")), h: array("h_0"), c: array("c_0"))
  }

  @Test func everyErrorInputIsAnError() throws {
    let examples = try Self.examples()
    #expect(examples.count == 58)
    var obstacles: [Inexpressible: Int] = [:]
    var found = 0
    for example in examples {
      if let obstacle = obstacle(example) {
        obstacles[obstacle, default: 0] += 1
        continue
      }
      let error = #expect(throws: RecurrentError.self, "\(example.call)") { try run(example) }
      let message = try #require(error).description
      let words = try Regex(example.regex)
      #expect(message.contains(words), "\(example.call): \(message)")
      found += 1
    }
    #expect(obstacles == [.flag: 18, .size: 9, .elementType: 3])
    #expect(found == 28)
  }

  /// What torch 2.13 says to more mistakes, measured; the part that both messages have.
  @Test func moreMistakesHavePyTorchsWords() throws {
    var random = SplitMix64(state: 2)
    let rnn: RNN<Float> = try random.network(
      RecurrentConfiguration(inputSize: 10, hiddenSize: 20, layerCount: 2))
    let lstm: RNN<Float> = try random.network(
      RecurrentConfiguration(cell: .lstm, inputSize: 10, hiddenSize: 20, layerCount: 2))
    func zeros(_ shape: [Int]?) -> NDArray<Float>? { shape.map { NDArray(zeros: $0) } }
    let mistakes: [(RNN<Float>, [Int], [Int]?, [Int]?, String)] = [
      (
        rnn, [4, 3, 11], nil, nil,
        "input.size(-1) must be equal to input_size. Expected 10, got 11"
      ),
      (rnn, [4, 11], nil, nil, "input.size(-1) must be equal to input_size. Expected 10, got 11"),
      (lstm, [1, 4, 3, 10], nil, nil, "got 4D instead"),
      (lstm, [10], nil, nil, "got 1D instead"),
      (rnn, [0, 3, 10], nil, nil, "Expected sequence length to be larger than 0 in RNN"),
      (rnn, [4, 3, 10], [2, 3, 21], nil, "Expected hidden size (2, 3, 20), got [2, 3, 21]"),
      (rnn, [4, 3, 10], [2, 5, 20], nil, "Expected hidden size (2, 3, 20), got [2, 5, 20]"),
      (rnn, [4, 3, 10], [2, 20], nil, "For batched 3-D input, hx should also be 3-D but got 2-D"),
      (
        rnn, [4, 10], [2, 1, 20], nil, "For unbatched 2-D input, hx should also be 2-D but got 3-D"
      ),
      (lstm, [4, 3, 10], [2, 3, 21], nil, "Expected hidden[0] size (2, 3, 20), got [2, 3, 21]"),
      (lstm, [4, 3, 10], nil, [2, 3, 21], "Expected hidden[1] size (2, 3, 20), got [2, 3, 21]"),
      (lstm, [4, 3, 10], nil, [2, 20], "should also be 3-D but got 2-D"),
    ]
    for (network, x, h0, c0, words) in mistakes {
      let error = #expect(throws: RecurrentError.self, "\(words)") {
        try network(NDArray(zeros: x), h0: zeros(h0), c0: zeros(c0))
      }
      #expect(error?.description.contains(words) == true, "\(words): \(error?.description ?? "")")
    }
    let padded = NDArray<Float>(zeros: [4, 3, 10])
    for (lengths, sorted, words) in [
      ([4, 0, 2], false, "Length of all samples has to be greater than 0"),
      ([2, 3, 4], true, "`lengths` array must be sorted in decreasing order"),
      (
        [4, 3], false, "Expected `len(lengths)` to be equal to batch_size, but got 2 (batch_size=3)"
      ),
    ] {
      let error = #expect(throws: RecurrentError.self, "\(words)") {
        try PackedSequence(padded, lengths: lengths, enforceSorted: sorted)
      }
      #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
    }
    let packed = try PackedSequence(padded, lengths: [4, 3, 2])
    let error = #expect(throws: RecurrentError.self) { try packed.padded(totalLength: 3) }
    #expect(
      error?.description.contains(
        "but got total_length=3 and max sequence length being 4") == true)
  }

  /// What only a second state of a cell, or none of PyTorch's own inputs, can get wrong.
  @Test func cellsCheckEveryState() throws {
    var random = SplitMix64(state: 2)
    var parameters = Parameters<Float>()
    for (name, shape) in [
      ("weight_ih", [8, 3]), ("weight_hh", [8, 2]), ("bias_ih", [8]), ("bias_hh", [8]),
    ] {
      parameters.append(name, random.array(shape))
    }
    let cell = try RecurrentCell(.lstm, inputSize: 3, hiddenSize: 2, parameters: parameters)
    let mistakes: [([Int], [Int]?, [Int]?, String)] = [
      ([4, 3, 1], nil, nil, "Expected input to be 1D or 2D, got 3D instead"),
      ([], nil, nil, "Expected input to be 1D or 2D, got 0D instead"),
      ([4, 3], [4, 2], [4, 5], "hidden1 has inconsistent hidden_size: got 5, expected 2"),
      ([4, 3], [4, 2], [5, 2], "Input batch size 4 doesn't match hidden1 batch size 5"),
      ([4, 3], nil, [4, 1, 2], "Expected hx[1] to be 1D or 2D, got 3D instead"),
      ([4, 3], [2], nil, "Expected hx[0] to be 2D as the input, got 1D instead"),
      ([3], nil, [1, 2], "Expected hx[1] to be 1D as the input, got 2D instead"),
    ]
    for (x, h, c, words) in mistakes {
      let error = #expect(throws: RecurrentError.self, "\(words)") {
        try cell.step(
          NDArray(zeros: x), h: h.map { NDArray(zeros: $0) }, c: c.map { NDArray(zeros: $0) })
      }
      #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
    }
  }
}
