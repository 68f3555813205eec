import Tensors
import TestSupport
import Testing

@testable import RNNEngine

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
    let model = try Model<Double>(rnn: random.network(configuration))
    let x: NDArray<Double> = random.array([6, 2, 3])
    let targets: NDArray<Double> = random.array([3, 2, 4])
    let whole = try model(x)
    var state = Model<Double>.State()
    let first = try model(x[0..<3], state: &state)
    #expect(state == first.state)
    let middle = state
    let second = try model(x[3..<6], state: &state)
    #expect(first.output.elements + second.output.elements == whole.output.elements)
    #expect(second.hN == whole.hN && second.cN == whole.cN)

    // The gradient stops at the block, and h0 and c0 are those of the state it started from.
    state = middle
    let truncated = try model.backward(
      x[3..<6], state: &state, targets: .values(targets), loss: .mse(reduction: .sum))
    let direct = try model.backward(
      x[3..<6], state: middle, targets: .values(targets), loss: .mse(reduction: .sum))
    #expect(truncated.x == direct.x)
    #expect(truncated.h0 == direct.h0 && truncated.c0 == direct.c0)
    #expect(state == second.state && state == direct.forward.state)
    for loss in [Loss.mse(), .mse(reduction: .sum)] {
      func value(_ h: NDArray<Double>) throws -> Double {
        try model.backward(
          x[3..<6], state: .init(h: h, c: middle.c), targets: .values(targets), loss: loss
        ).loss
      }
      let found = try model.backward(
        x[3..<6], state: middle, targets: .values(targets), loss: loss)
      let expected = try differences(try #require(middle.h), value)
      #expect(deviation(found.h0, from: expected) < 1e-7)
    }
    state = .init()
    #expect(try model(x[0..<3], state: &state).output == first.output)
    // Another batch size is an error, and leaves the state alone.
    let other: NDArray<Double> = random.array([3, 5, 3])
    let before = state
    #expect(reason { _ = try model(other, state: &state) } == "engine.state-shape")
    #expect(
      reason {
        _ = try model.backward(
          other, state: &state, targets: .values(NDArray(zeros: [3, 5, 4])), loss: .mse())
      } == "engine.state-shape")
    #expect(state == before)
  }

  @Test func tokensCarryTheStateToo() throws {
    var random = SplitMix64(state: 6)
    let network: RNN<Double> = try random.network(
      RecurrentConfiguration(cell: .lstm, inputSize: 2, hiddenSize: 3))
    let model = try Model(
      rnn: network, head: Linear(weight: random.array([5, 3])),
      embedding: Embedding(weight: random.array([5, 2])))
    let order = try SequentialBlocks(length: 12, steps: 3, rows: 2)
    let corpus = (0..<12).map { $0 * 7 % 5 }
    var (byTokens, byVectors) = (Model<Double>.State(), Model<Double>.State())
    for block in 0..<3 {
      let (tokens, targets) = try order.languageModelBlock(block, of: corpus)
      let classes = Targets<Double>.classes(targets)
      let found = try model.backward(
        tokens: tokens, state: &byTokens, targets: classes, loss: .crossEntropy())
      let expected = try model.backward(
        model.vectors(of: tokens), state: &byVectors, targets: classes, loss: .crossEntropy())
      #expect(found.loss == expected.loss && found.forward == expected.forward)
      #expect(found.embedding["weight"]?.shape == [5, 2])
      #expect(byTokens == byVectors && found.h0 == expected.h0)
    }
    let next = try NDArray([[1, 2]])
    #expect(
      try model(tokens: next, state: &byTokens) == model(model.vectors(of: next), state: &byVectors)
    )
    #expect(byTokens == byVectors)
  }

  @Test func twoDirectionsHaveNoStateToCarry() throws {
    var random = SplitMix64(state: 5)
    let network: RNN<Float> = try random.network(
      RecurrentConfiguration(inputSize: 2, hiddenSize: 3, bidirectional: true))
    let model = try Model(rnn: network)
    let x: NDArray<Float> = random.array([4, 1, 2])
    var state = Model<Float>.State()
    #expect(reason { _ = try model(x, state: &state) } == "engine.stateful")
    #expect(
      reason {
        _ = try model.backward(
          x, state: &state, targets: .values(NDArray(zeros: [4, 1, 6])), loss: .mse())
      } == "engine.stateful")
    #expect(state == .init())
    // A state of one's own for both directions is another matter.
    #expect(try model(x, state: .init(h: NDArray(zeros: [2, 1, 3]))) == model(x))
  }

  @Test(arguments: [false, true])
  func initialStatesHaveTheGradientOfAllRows(_ batchFirst: Bool) throws {
    var random = SplitMix64(state: 3)
    var model = try Model<Double>(
      rnn: random.network(
        RecurrentConfiguration(
          cell: .lstm, inputSize: 2, hiddenSize: 3, layerCount: 2, batchFirst: batchFirst)))
    model.initialState = .init(h: random.array([2, 1, 3]), c: random.array([2, 1, 3]))
    let x: NDArray<Double> = random.array(batchFirst ? [5, 4, 2] : [4, 5, 2])
    let targets: NDArray<Double> = random.array(batchFirst ? [5, 4, 3] : [4, 5, 3])
    func gradients(
      _ initial: Model<Double>.State, _ x: NDArray<Double>, _ targets: NDArray<Double>
    ) throws -> Model<Double>.Gradients {
      var moved = model
      moved.initialState = initial
      return try moved.backward(x, targets: .values(targets), loss: .mse())
    }
    let (h, c) = (try #require(model.initialState.h), try #require(model.initialState.c))
    for (x, targets) in [(x, targets), (x[0], targets[0])] {
      let found = try gradients(model.initialState, x, targets).initialState
      #expect(found.h?.shape == [2, 1, 3])
      let expectedH = try differences(h) { try gradients(.init(h: $0, c: c), x, targets).loss }
      let expectedC = try differences(c) { try gradients(.init(h: h, c: $0), x, targets).loss }
      #expect(deviation(try #require(found.h), from: expectedH) < 1e-7)
      #expect(deviation(try #require(found.c), from: expectedC) < 1e-7)
    }
    // Given by hand for every row, it is the same state.
    func rows(_ array: NDArray<Double>) -> NDArray<Double> {
      array.selecting([0, 0, 0, 0, 0], axis: 1)
    }
    #expect(try model(x) == Model(rnn: model.rnn)(x, state: .init(h: rows(h), c: rows(c))))
    #expect(try model(x, state: .init(h: rows(h))) != model(x))
  }

  /// One step has the bits of the sequence, whichever way the batch lies.
  @Test(arguments: [false, true]) func stepsStartFromTheInitialState(_ batchFirst: Bool) throws {
    var random = SplitMix64(state: 9)
    var model = try Model<Float>(
      rnn: random.network(
        RecurrentConfiguration(cell: .gru, inputSize: 2, hiddenSize: 3, batchFirst: batchFirst)),
      head: Linear(weight: random.array([4, 3])),
      embedding: Embedding(weight: random.array([6, 2]))
    )
    model.initialState = .init(h: random.array([1, 1, 3]))
    let tokens = try NDArray([[1, 5], [0, 2], [3, 3]])
    let whole = try model(tokens: batchFirst ? tokens.transposed() : tokens)
    var state = Model<Float>.State()
    for step in 0..<3 {
      let found = try model.step(tokens: tokens[step].elements, state: &state)
      let logits = try #require(whole.logits)
      #expect(found.logits == (batchFirst ? logits[.all, step] : logits[step]))
    }
    #expect(state == whole.state)
  }

  @Test func changedWeightsLeaveTheRestAlone() throws {
    var random = SplitMix64(state: 12)
    var model = try Model<Float>(
      rnn: random.network(RecurrentConfiguration(inputSize: 2, hiddenSize: 3)),
      head: Linear(weight: random.array([4, 3])), headReads: .last,
      initialState: .init(h: random.array([1, 1, 3])))
    model.origin = "a file"
    let before = model
    let gradients = try model.backward(
      random.array([3, 1, 2]), targets: .classes([2], shape: [1]), loss: .crossEntropy())
    var optimizer = SGD<Float>(learningRate: 0.1)
    try optimizer.step(&model, gradients: gradients)
    #expect(model.head?.weight != before.head?.weight)
    #expect(model.headReads == .last && model.initialState == before.initialState)
    #expect(model.origin as? String == "a file")
  }
}
