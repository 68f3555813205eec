import Tensors
import Testing

@testable import RNNEngine

@Suite("Rows of different lengths are PyTorch's packed sequences")
struct RaggedTests {
  @Test func packingFollowsPyTorch() throws {
    // torch.nn.utils.rnn.pack_padded_sequence of arange(12).reshape(4, 3) with lengths 2, 4, 3.
    let padded = try NDArray<Double>(shape: [4, 3], elements: (0..<12).map(Double.init))
    let packed = try PackedSequence(padded, lengths: [2, 4, 3])
    #expect(packed.data.elements == [1, 2, 0, 4, 5, 3, 7, 8, 10])
    #expect(packed.batchSizes == [3, 3, 2, 1])
    #expect(packed.sortedIndices == [1, 2, 0])
    #expect(packed.unsortedIndices == [2, 0, 1])
    #expect(packed.lengths == [2, 4, 3])
    let (back, lengths) = try packed.padded(paddingValue: -1, totalLength: 5)
    #expect(lengths == [2, 4, 3])
    #expect(back.shape == [5, 3])
    #expect(back.elements == [0, 1, 2, 3, 4, 5, -1, 7, 8, -1, 10, -1, -1, -1, -1])
  }

  @Test func paddingAndPackingRoundTrip() throws {
    var random = SplitMix64(state: 31)
    let sequences: [NDArray<Float>] = [3, 1, 5, 3].map { random.array([$0, 2, 3]) }
    for batchFirst in [false, true] {
      let padded = try NDArray(padding: sequences, batchFirst: batchFirst, paddingValue: 7)
      #expect(padded.shape == (batchFirst ? [4, 5, 2, 3] : [5, 4, 2, 3]))
      let packed = try PackedSequence(padded, lengths: [3, 1, 5, 3], batchFirst: batchFirst)
      #expect(
        try packed.padded(batchFirst: batchFirst, paddingValue: 7).padded == padded)
      #expect(
        try padded.unpadded(lengths: [3, 1, 5, 3], batchFirst: batchFirst) == sequences)
      let copy = try PackedSequence(
        data: packed.data, batchSizes: packed.batchSizes, sortedIndices: packed.sortedIndices)
      #expect(copy == packed)
    }
  }

  @Test func sequencesPackAndUnpack() throws {
    // torch.nn.utils.rnn.pack_sequence of [1, 2], [3, 4, 5], [6].
    let sequences = try [[1, 2], [3, 4, 5], [6]].map {
      try NDArray<Float>(shape: [$0.count], elements: $0)
    }
    let packed = try PackedSequence(sequences)
    #expect(packed.data.elements == [3, 1, 6, 4, 2, 5])
    #expect(packed.batchSizes == [3, 2, 1] && packed.sortedIndices == [1, 0, 2])
    #expect(try packed.sequences() == sequences)
    let error = #expect(throws: RecurrentError.self) {
      try PackedSequence(sequences, enforceSorted: true)
    }
    #expect(error?.reason.code == "engine.lengths")
    let left = try NDArray(padding: sequences, batchFirst: true, paddingValue: -1, onTheLeft: true)
    #expect(left.elements == [-1, 1, 2, 3, 4, 5, -1, -1, 6])
  }

  @Test(arguments: Kind.allCases)
  func packedSequencesRunAsLengths(_ kind: Kind) throws {
    var random = SplitMix64(state: 32)
    let rnn: RNN<Float> = try random.network(
      kind.configuration(inputSize: 3, hiddenSize: 4, layerCount: 2, bidirectional: true))
    let x: NDArray<Float> = random.array([5, 3, 3])
    let expected = try rnn(x, lengths: [2, 5, 3])
    let (output, hN, cN) = try rnn(PackedSequence(x, lengths: [2, 5, 3]))
    #expect(try output.padded().padded == expected.output)
    #expect(hN == expected.hN)
    #expect(cN == expected.cN)
  }

  @Test func lossesIgnorePadding() throws {
    var random = SplitMix64(state: 33)
    for batchFirst in [false, true] {
      let lengths = [2, 4, 3]
      let logits: NDArray<Double> = random.array(batchFirst ? [3, 4, 5] : [4, 3, 5])
      // Padding targets that would be errors if anyone looked at them.
      var classes = (0..<12).map { ($0 * 3) % 5 }
      var values = logits
      var ignored = classes
      for n in 0..<3 {
        for t in lengths[n]..<4 {
          let row = batchFirst ? n * 4 + t : t * 3 + n
          classes[row] = 99
          ignored[row] = -100
          for c in 0..<5 { values.elements[row * 5 + c] = .nan }
        }
      }
      let shape = Array(logits.shape.dropLast())
      for reduction in Reduction.allCases {
        let found = try Loss.crossEntropy(reduction: reduction).evaluate(
          logits: logits, targets: .classes(classes, shape: shape), batchFirst: batchFirst,
          lengths: lengths)
        let expected = try Loss.crossEntropy(reduction: reduction).evaluate(
          logits: logits, targets: .classes(ignored, shape: shape), batchFirst: batchFirst)
        #expect(abs(found.value - expected.value) < 1e-14)
        #expect(deviation(found.gradLogits, from: expected.gradLogits) < 1e-14)
      }
      let squared = try Loss.mse().evaluate(
        logits: logits, targets: .values(values), batchFirst: batchFirst, lengths: lengths)
      #expect(squared.value == 0)
      #expect(squared.gradLogits.elements.allSatisfy { $0 == 0 })
    }
  }

  @Test func theLastStepIsTheLastValidOne() throws {
    var random = SplitMix64(state: 34)
    let logits: NDArray<Double> = random.array([4, 3, 5])
    let targets = Targets<Double>.classes([1, 4, 0], shape: [3])
    let found = try Loss.crossEntropy(steps: .last).evaluate(
      logits: logits, targets: targets, lengths: [2, 4, 3])
    var last: [Double] = []
    for (n, length) in [2, 4, 3].enumerated() {
      let start = ((length - 1) * 3 + n) * 5
      last += logits.elements[start..<start + 5]
    }
    let expected = try Loss.crossEntropy().evaluate(
      logits: NDArray(shape: [3, 5], elements: last), targets: targets)
    #expect(found.value == expected.value)
    #expect(found.gradLogits.elements.filter { $0 != 0 }.count == 15)
  }

  @Test func modelGradientsAgreeWithDifferences() throws {
    var random = SplitMix64(state: 35)
    let rnn: RNN<Double> = try random.network(
      Kind.lstm.configuration(inputSize: 3, hiddenSize: 4, layerCount: 2, bidirectional: true))
    let model = try Model(rnn: rnn, head: Linear(weight: random.array([5, 8])))
    let x: NDArray<Double> = random.array([4, 3, 3])
    let c0: NDArray<Double> = random.array([4, 3, 4])
    let targets = Targets<Double>.classes((0..<12).map { $0 % 5 }, shape: [4, 3])
    func run(_ x: NDArray<Double>, _ c0: NDArray<Double>) throws -> Model<Double>.Gradients {
      try model.backward(
        x, state: .init(c: c0), lengths: [2, 4, 3], targets: targets, loss: .crossEntropy())
    }
    let gradients = try run(x, c0)
    #expect(deviation(gradients.x, from: try differences(x) { try run($0, c0).loss }) < 1e-7)
    let found = try #require(gradients.c0)
    #expect(deviation(found, from: try differences(c0) { try run(x, $0).loss }) < 1e-7)
  }
}
