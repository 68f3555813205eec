import RNNEngine
import Tensors
import Testing

@Suite("State is carried from block to block exactly")
struct StateTests {
  /// D2's example, block by block.
  @Test func blocksFollowTheDocuments() throws {
    let order = try SequentialBlocks(length: 1000, steps: 10, rows: 2)
    func row(_ block: Int, _ row: Int) -> [Int] {
      order.positions(ofBlock: block)[.all, row].elements
    }
    #expect(row(0, 0) == Array(0...9))
    #expect(row(0, 1) == Array(500...509))
    #expect(row(49, 0) == Array(490...499))
    #expect(row(49, 1) == Array(990...999))
    #expect(row(50, 0) == Array(500...509))
    #expect(row(50, 1) == Array(0...9))
    #expect(order.positions(ofBlock: 100) == order.positions(ofBlock: 0))
    #expect(throws: RecurrentError.self) { try SequentialBlocks(length: 3, steps: 2, rows: 4) }
    #expect(throws: RecurrentError.self) { try SequentialBlocks(length: 3, steps: 0, rows: 1) }
  }

  @Test func targetsAreTheNextTokens() throws {
    let tokens = [7, 1, 4, 2, 9]
    let order = try SequentialBlocks(length: 5, steps: 3, rows: 1)
    let (inputs, targets) = try order.languageModelBlock(1, of: tokens)
    #expect(inputs == (try NDArray([[2], [9], [7]])))
    #expect(targets == (try NDArray([[9], [7], [1]])))
    #expect(throws: RecurrentError.self) { try order.languageModelBlock(0, of: [1, 2]) }
    let vectors = try NDArray<Float>(oneHot: [2, 0], shape: [2, 1], classes: 3)
    #expect(vectors.shape == [2, 1, 3])
    #expect(vectors.elements == [0, 0, 1, 1, 0, 0])
    #expect(throws: RecurrentError.self) {
      try NDArray<Float>(oneHot: [3], shape: [1], classes: 3)
    }
  }

  @Test(arguments: Cell.allCases)
  func blocksWithCarriedStateAreOneSequence(_ cell: Cell) throws {
    var random = SplitMix64(state: 11)
    let configuration = RecurrentConfiguration(
      cell: cell, inputSize: 3, hiddenSize: 4, layerCount: 2)
    let model = try SequenceModel(rnn: random.network(configuration) as RNN<Double>)
    let x: NDArray<Double> = random.array([6, 2, 3])
    let targets: NDArray<Double> = random.array([3, 2, 4])
    let whole = try model(x)
    var stateful = try StatefulModel(model)
    let first = try stateful(x[0..<3])
    let state = (stateful.h, stateful.c)
    let second = try stateful(x[3..<6])
    #expect(first.output.elements + second.output.elements == whole.output.elements)
    #expect(second.hN == whole.hN && second.cN == whole.cN)

    // The gradient stops at the block, and dh is that of the state it started from.
    stateful.setState(h: try #require(state.0), c: state.1)
    let truncated = try stateful.backward(
      x[3..<6], targets: .values(targets), loss: .mse(reduction: .sum))
    let direct = try model.backward(
      x[3..<6], h0: state.0, c0: state.1, targets: .values(targets),
      loss: .mse(reduction: .sum))
    #expect(truncated.x == direct.x)
    #expect(stateful.dh == direct.h0 && stateful.dc == direct.c0)
    stateful.resetState()
    #expect(try stateful(x[0..<3]).output == first.output)
    let other: NDArray<Double> = random.array([3, 5, 3])
    #expect(throws: RecurrentError.self) { try stateful(other) }
  }

  @Test func tokensCarryTheStateToo() throws {
    var random = SplitMix64(state: 6)
    let network: RNN<Double> = try random.network(
      RecurrentConfiguration(cell: .lstm, inputSize: 2, hiddenSize: 3))
    let model = try SequenceModel(
      rnn: network, head: Linear(weight: random.array([5, 3])),
      embedding: Embedding(weight: random.array([5, 2])))
    let order = try SequentialBlocks(length: 12, steps: 3, rows: 2)
    let corpus = (0..<12).map { $0 * 7 % 5 }
    var (byTokens, byVectors) = (try StatefulModel(model), try StatefulModel(model))
    for block in 0..<3 {
      let (tokens, targets) = try order.languageModelBlock(block, of: corpus)
      let classes = Targets<Double>.classes(targets)
      let found = try byTokens.backward(tokens, targets: classes, loss: .crossEntropy())
      let expected = try byVectors.backward(
        model.vectors(of: tokens), targets: classes, loss: .crossEntropy())
      #expect(found.loss == expected.loss && found.forward == expected.forward)
      #expect(found.embedding["weight"]?.shape == [5, 2])
      #expect(byTokens.h == byVectors.h && byTokens.dh == byVectors.dh)
    }
    let next = try NDArray([[1, 2]])
    #expect(try byTokens(next) == byVectors(model.vectors(of: next)))
  }

  @Test func twoDirectionsHaveNoStateToCarry() throws {
    var random = SplitMix64(state: 5)
    let network: RNN<Float> = try random.network(
      RecurrentConfiguration(inputSize: 2, hiddenSize: 3, bidirectional: true))
    #expect(throws: RecurrentError.self) { try StatefulModel(SequenceModel(rnn: network)) }
  }

  @Test func learnedStatesHaveTheGradientOfAllRows() throws {
    var random = SplitMix64(state: 3)
    let network: RNN<Double> = try random.network(
      RecurrentConfiguration(inputSize: 2, hiddenSize: 3, layerCount: 2))
    let x: NDArray<Double> = random.array([4, 5, 2])
    let upstream: NDArray<Double> = random.array([4, 5, 3])
    let learned = try LearnedState(random.array([2, 3]) as NDArray<Double>)
    func loss(_ vectors: NDArray<Double>) throws -> Double {
      try dot(network(x, h0: LearnedState(vectors).expanded(rows: 5)).output, upstream)
    }
    let (_, tape) = try network.record(x, h0: learned.expanded(rows: 5))
    let gradient = try learned.gradient(
      of: network.backward(tape, gradOutput: upstream).h0)
    let expected = try differences(learned.vectors, loss)
    #expect(deviation(gradient, from: expected) < 1e-7)
    #expect(throws: RecurrentError.self) { try learned.gradient(of: NDArray(zeros: [1, 5, 3])) }
  }
}
