import Tensors
import TestSupport
import Testing

@testable import RNNEngine

@Suite("A wrong size is an error that names it, not a trap")
struct WrongShapeTests {
  private func reason(_ body: () throws -> Void) -> String {
    do {
      try body()
      return "none"
    } catch let error as RecurrentError {
      return error.kind == .array ? error.reason.code : "\(error.kind)"
    } catch {
      return "foreign"
    }
  }

  private func network(_ change: (inout RecurrentConfiguration) -> Void = { _ in }) throws -> RNN<
    Double
  > {
    var random = SplitMix64(state: 2)
    var configuration = RecurrentConfiguration(inputSize: 3, hiddenSize: 5, layerCount: 2)
    change(&configuration)
    return try random.network(configuration)
  }

  @Test func inputsMustFit() throws {
    let rnn = try network()
    let cases: [([Int], [Int]?, String)] = [
      ([0, 2, 3], nil, "engine.sequence-length"),
      ([0, 3], nil, "engine.sequence-length"),
      ([4, 2, 7], nil, "engine.input-size"),
      ([1, 4, 2, 3], nil, "engine.input-rank"),
      ([3], nil, "engine.input-rank"),
      ([], nil, "engine.input-rank"),
      ([4, 2, 3], [2, 3, 5], "engine.state-shape"),
      ([4, 2, 3], [2, 5], "engine.state-rank"),
      ([4, 3], [2, 1, 5], "engine.state-rank"),
      ([4, 3], [1, 5], "engine.state-shape"),
      ([4, 0, 3], nil, "none"),
      ([4, 2, 3], [2, 2, 5], "none"),
    ]
    for (x, h0, expected) in cases {
      let found = reason {
        _ = try rnn(NDArray(zeros: x), h0: h0.map { NDArray(zeros: $0) })
      }
      #expect(found == expected, "x \(x), h0 \(h0 ?? [])")
    }
  }

  @Test func emptySequenceSaysWhatPyTorchSays() throws {
    let rnn = try network()
    let error = #expect(throws: RecurrentError.self) { try rnn(NDArray(zeros: [0, 2, 3])) }
    #expect(
      error?.found.hasSuffix(": Expected sequence length to be larger than 0 in RNN") == true)
  }

  @Test func sizesMustBePositive() {
    #expect(reason { _ = try network { $0.hiddenSize = 0 } } == "engine.configuration")
    #expect(reason { _ = try network { $0.inputSize = 0 } } == "engine.configuration")
    #expect(reason { _ = try network { $0.layerCount = 0 } } == "engine.configuration")
    let absurd = RecurrentConfiguration(inputSize: 1, hiddenSize: .max)
    #expect(reason { try absurd.validate() } == "engine.configuration")
  }

  @Test func optionsMustFitTheCell() {
    let refusals: [(String, (inout RecurrentConfiguration) -> Void)] = [
      ("only supported for LSTM", { $0.projSize = 2 }),
      ("only supported for LSTM", { ($0.cell, $0.projSize) = (.gru, 2) }),
      ("smaller than hidden_size", { ($0.cell, $0.projSize) = (.lstm, 5) }),
      ("positive integer or zero", { ($0.cell, $0.projSize) = (.lstm, -1) }),
      ("range [0, 1]", { $0.dropout = 1.5 }),
      ("range [0, 1]", { $0.dropout = -0.1 }),
      ("range [0, 1]", { $0.dropout = .nan }),
    ]
    for (message, change) in refusals {
      let error = #expect(throws: RecurrentError.self) { try network(change) }
      #expect(error?.reason.code == "engine.configuration")
      #expect(error?.found.contains(message) == true, "\(message)")
    }
    #expect(reason { _ = try network { ($0.cell, $0.projSize) = (.lstm, 4) } } == "none")
  }

  @Test func lengthsMustFit() throws {
    let rnn = try network()
    for lengths in [[4, 0], [5, 4], [4], [4, 4, 4], [-1, 2], [.max, 1]] {
      #expect(
        reason { _ = try rnn(NDArray(zeros: [4, 2, 3]), lengths: lengths) } == "engine.lengths")
      #expect(
        reason { _ = try PackedSequence(NDArray<Float>(zeros: [4, 2, 3]), lengths: lengths) }
          == "engine.lengths")
    }
    #expect(reason { _ = try rnn(NDArray(zeros: [4, 3]), lengths: [4]) } == "engine.lengths")
    #expect(reason { _ = try rnn(NDArray(zeros: [4, 0, 3]), lengths: []) } == "none")
    let unsorted = reason {
      _ = try PackedSequence(NDArray<Float>(zeros: [4, 2]), lengths: [1, 2], enforceSorted: true)
    }
    #expect(unsorted == "engine.lengths")
    let short = reason {
      let packed = try PackedSequence(NDArray<Float>(zeros: [4, 2]), lengths: [1, 4])
      _ = try packed.padded(totalLength: 3)
    }
    #expect(short == "engine.lengths")
  }

  @Test func onlyLSTMHasCellStates() throws {
    let found = reason {
      _ = try network()(NDArray(zeros: [4, 2, 3]), c0: NDArray(zeros: [2, 2, 5]))
    }
    #expect(found == "engine.cell-state")
    let lstm = try network { $0.cell = .lstm }
    let shape = reason { _ = try lstm(NDArray(zeros: [4, 2, 3]), c0: NDArray(zeros: [2, 2, 4])) }
    #expect(shape == "engine.state-shape")
  }

  @Test func parametersMustFit() throws {
    let good = try network()
    let configuration = good.configuration
    func change(_ body: (inout Parameters<Double>) -> Void) -> RecurrentError? {
      var parameters = good.parameters
      body(&parameters)
      do {
        _ = try RNN(configuration, parameters: parameters)
        return nil
      } catch {
        return error as? RecurrentError
      }
    }
    let missing = change { $0["weight_hh_l1"] = nil }
    #expect(missing?.reason.code == "engine.missing-parameter")
    #expect(missing?.place == "weight_hh_l1")
    let extra = change { $0["weight_hh_l2"] = NDArray(zeros: [5, 5]) }
    #expect(extra?.reason.code == "engine.extra-parameter")
    #expect(extra?.place == "weight_hh_l2")
    let wrong = change { $0["weight_ih_l0"] = NDArray(zeros: [3, 5]) }
    #expect(wrong?.reason.code == "engine.parameter-shape")
    #expect(wrong?.found.contains("[3, 5]") == true)
    #expect(wrong?.expected == "shape [5, 3]")
    let hollow = change { $0["weight_ih_l0"]?.elements = [] }
    #expect(hollow?.reason.code == "engine.parameter-shape")
    let double = change { $0.append("bias_ih_l0", NDArray(zeros: [5])) }
    #expect(double?.reason.code == "engine.duplicate-parameter")
    #expect(change { _ in } == nil)
  }

  @Test func replacedParametersAreChecked() throws {
    var rnn = try network()
    rnn.parameters["weight_ih_l0"] = NDArray(zeros: [5, 4])
    #expect(reason { _ = try rnn(NDArray(zeros: [4, 2, 3])) } == "engine.parameter-shape")
  }

  @Test func parameterNamesFollowPyTorch() {
    let configuration = RecurrentConfiguration(
      inputSize: 3, hiddenSize: 5, layerCount: 2, bidirectional: true)
    let names = configuration.parameterShapes.map(\.name)
    #expect(names.count == 16)
    #expect(
      names[..<5] == [
        "weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "weight_ih_l0_reverse",
      ])
    #expect(names[15] == "bias_hh_l1_reverse")
    #expect(configuration.parameterShapes[8].shape == [5, 10])
  }

  @Test func backwardChecksItsArguments() throws {
    let rnn = try network()
    let (_, tape) = try rnn.record(NDArray(zeros: [4, 2, 3]))
    let badOutput = reason {
      _ = try rnn.backward(tape, gradOutput: NDArray(zeros: [2, 4, 5]))
    }
    #expect(badOutput == "engine.output-shape")
    let badState = reason { _ = try rnn.backward(tape, gradHN: NDArray(zeros: [2, 4, 5])) }
    #expect(badState == "engine.state-shape")
    let other = try network { $0.bidirectional = true }
    #expect(reason { _ = try other.backward(tape) } == "engine.tape")
  }

  @Test func arraysMustBeFull() {
    #expect(reason { _ = try NDArray<Float>(shape: [2, 3], elements: [1]) } == "engine.shape")
    #expect(reason { _ = try NDArray<Float>(shape: [-1], elements: []) } == "engine.shape")
    #expect(reason { _ = try NDArray<Float>(shape: [.max, 4], elements: []) } == "engine.shape")
  }
}
