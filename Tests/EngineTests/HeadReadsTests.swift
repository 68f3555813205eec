import Tensors
import Testing

@testable import RNNEngine

/// Heads that read one step: the last valid one, or the final states of the last layer.
@Suite("A head reads the last valid step or the final states")
struct HeadReadsTests {
  private struct Setup {
    var model: Model<Double>
    var x, h0: NDArray<Double>
    let lengths: [Int]?
    let targets = Targets<Double>.classes([1, 4, 2], shape: [3])
    let loss = Loss.crossEntropy(labelSmoothing: 0.1)

    init(_ reads: HeadReads, batchFirst: Bool, ragged: Bool) throws {
      var random = SplitMix64(state: 77)
      let rnn: RNN<Double> = try random.network(
        RecurrentConfiguration(
          cell: .gru, inputSize: 2, hiddenSize: 4, layerCount: 2, batchFirst: batchFirst,
          bidirectional: true))
      let head = try Linear<Double>(weight: random.array([5, 8]), bias: random.array([5]))
      model = try Model(rnn: rnn, head: head, headReads: reads)
      x = random.array(batchFirst ? [3, 6, 2] : [6, 3, 2])
      h0 = random.array([4, 3, 4])
      lengths = ragged ? [4, 6, 1] : nil
    }

    func value(_ model: Model<Double>, _ x: NDArray<Double>, _ h0: NDArray<Double>) throws
      -> Double
    {
      try model.backward(
        x, state: .init(h: h0), lengths: lengths, targets: targets, loss: loss
      ).loss
    }
  }

  @Test(arguments: [HeadReads.last, .final], [false, true])
  func gradientsAgreeWithFiniteDifferences(_ reads: HeadReads, _ ragged: Bool) throws {
    for batchFirst in [false, true] {
      let setup = try Setup(reads, batchFirst: batchFirst, ragged: ragged)
      let found = try setup.model.backward(
        setup.x, state: .init(h: setup.h0), lengths: setup.lengths, targets: setup.targets,
        loss: setup.loss)
      #expect(found.forward.logits?.shape == [3, 5])
      let groups = setup.model.parameterGroups
      for (index, group) in groups.enumerated() {
        for (name, array) in group.entries {
          let expected = try differences(array) {
            var moved = groups
            moved[index][name] = $0
            var changed = setup.model
            try changed.setParameterGroups(moved)
            return try setup.value(changed, setup.x, setup.h0)
          }
          let gradient = try #require(found.parameterGroups[index][name])
          #expect(deviation(gradient, from: expected) < 1e-7, "\(name)")
        }
      }
      let x = try differences(setup.x) { try setup.value(setup.model, $0, setup.h0) }
      #expect(deviation(found.x, from: x) < 1e-7)
      let h0 = try differences(setup.h0) { try setup.value(setup.model, setup.x, $0) }
      #expect(deviation(found.h0, from: h0) < 1e-7)
    }
  }

  /// `output[-1]` and `cat(h_n[-2], h_n[-1])` differ in the direction that reads backwards.
  @Test func theLastStepIsNotTheFinalState() throws {
    let last = try Setup(.last, batchFirst: false, ragged: false)
    let final = try Setup(.final, batchFirst: false, ragged: false)
    let result = try last.model(last.x, state: .init(h: last.h0))
    let (steps, width) = (6, 8)
    let row = Array(result.output.elements[(steps - 1) * 3 * width..<steps * 3 * width])
    let head = try #require(last.model.head)
    #expect(result.logits == (try head(NDArray(shape: [3, width], elements: row))))
    var joined: [Double] = []
    for n in 0..<3 {
      joined += result.hN.elements[(2 * 3 + n) * 4..<(2 * 3 + n) * 4 + 4]
      joined += result.hN.elements[(3 * 3 + n) * 4..<(3 * 3 + n) * 4 + 4]
    }
    let finals = try final.model(final.x, state: .init(h: final.h0))
    #expect(finals.logits == (try head(NDArray(shape: [3, width], elements: joined))))
    #expect(finals.logits != result.logits)
  }

  @Test func anUnbatchedSequenceHasOneVectorOfLogits() throws {
    let setup = try Setup(.last, batchFirst: false, ragged: false)
    let x = try NDArray(shape: [6, 2], elements: Array(setup.x.elements[..<12]))
    let found = try setup.model.backward(
      x, targets: .classes([3], shape: []), loss: setup.loss)
    #expect(found.forward.logits?.shape == [5])
    let expected = try differences(x) {
      try setup.model.backward($0, targets: .classes([3], shape: []), loss: setup.loss).loss
    }
    #expect(deviation(found.x, from: expected) < 1e-7)
  }
}
