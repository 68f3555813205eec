import Tensors
import Testing

@testable import RNNEngine

@Suite("Dropout falls between layers, in training alone")
struct DropoutTests {
  private func masks(_ seed: UInt64, _ counts: @escaping (Int) -> Void = { _ in }) -> DropoutMasks {
    var random = SplitMix64(state: seed)
    return DropoutMasks { count, keep in
      counts(count)
      return (0..<count).map { _ in Double(random.next() >> 11) * 0x1p-53 < keep }
    }
  }

  private func network(
    _ kind: Kind, dropout: Double, batchFirst: Bool = false
  ) throws -> RNN<Double> {
    var random = SplitMix64(state: 41)
    var configuration = kind.configuration(
      inputSize: 3, hiddenSize: 4, layerCount: 3, batchFirst: batchFirst, bidirectional: true)
    configuration.dropout = dropout
    return try random.network(configuration)
  }

  @Test(arguments: Kind.allCases)
  func gradientsAgreeWithDifferences(_ kind: Kind) throws {
    let rnn = try network(kind, dropout: 0.4)
    var random = SplitMix64(state: 42)
    let x: NDArray<Double> = random.array([4, 3, 3])
    let (result, tape) = try rnn.record(x, lengths: [2, 4, 3], dropout: masks(1))
    let gradOutput: NDArray<Double> = random.array(result.output.shape)
    let expected = try differences(x) {
      let (moved, _) = try rnn.record($0, lengths: [2, 4, 3], dropout: masks(1))
      return dot(moved.output, gradOutput)
    }
    #expect(deviation(try rnn.backward(tape, gradOutput: gradOutput).x, from: expected) < 1e-7)
    #expect(result != (try rnn(x, lengths: [2, 4, 3])))
  }

  @Test func masksAreTimeMajorEvenIfBatchFirst() throws {
    var random = SplitMix64(state: 43)
    let x: NDArray<Double> = random.array([4, 3, 3])
    var counts: [Int] = []
    let (timeMajor, _) = try network(.gru, dropout: 0.4).record(
      x, dropout: masks(2) { counts.append($0) })
    // One mask of (T, N, 2·H) for each layer but the last.
    #expect(counts == [96, 96])
    let (batchMajor, _) = try network(.gru, dropout: 0.4, batchFirst: true).record(
      x.exchangingLeadingAxes(), dropout: masks(2))
    #expect(batchMajor.output.exchangingLeadingAxes() == timeMajor.output)
  }

  @Test func nothingIsDroppedInEvaluation() throws {
    var random = SplitMix64(state: 44)
    let x: NDArray<Double> = random.array([4, 3, 3])
    let plain = try network(.lstm, dropout: 0)(x)
    #expect(try network(.lstm, dropout: 0.4)(x) == plain)
    #expect(try network(.lstm, dropout: 0.4).record(x).0 == plain)
    #expect(try network(.lstm, dropout: 0).record(x, dropout: masks(3)).0 == plain)
  }

  @Test func everythingIsDroppedAtOne() throws {
    let rnn = try network(.tanh, dropout: 1)
    var random = SplitMix64(state: 45)
    let (result, tape) = try rnn.record(random.array([4, 3, 3]), dropout: masks(4))
    let gradients = try rnn.backward(tape, gradOutput: result.output)
    #expect(gradients.x.elements.allSatisfy { $0 == 0 })
    #expect(gradients.parameters["weight_hh_l2"]?.elements.allSatisfy { $0 != 0 } == true)
  }

  @Test func masksMustFit() throws {
    let rnn = try network(.tanh, dropout: 0.5)
    let error = #expect(throws: RecurrentError.self) {
      try rnn.record(NDArray(zeros: [4, 3, 3]), dropout: DropoutMasks { _, _ in [true] })
    }
    #expect(error?.reason.code == "engine.dropout-mask")
  }
}
