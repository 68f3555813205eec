import Tensors
import TestSupport
import Testing

@testable import RNNEngine

@Suite("A stream has the bits of the whole sequence")
struct StreamingTests {
  @Test(arguments: Kind.allCases, [1, 3])
  func streamsHaveTheBitsOfTheSequence(_ kind: Kind, _ batch: Int) throws {
    for stacking in [Stacking.plain, Stacking(residual: true, layerNorm: true)] {
      var random = SplitMix64(state: 41)
      var configuration = kind.configuration(inputSize: 4, hiddenSize: 19, layerCount: 3)
      configuration.stacking = stacking
      let rnn: RNN<Float> = try random.network(configuration)
      let model = try Model(
        rnn: rnn, head: Linear(weight: random.array([7, configuration.outputSize])),
        embedding: Embedding(weight: random.array([5, 4])))
      let tokens = (0..<6 * batch).map { ($0 * 3 + $0 / 4) % 5 }
      let whole = try model(tokens: NDArray(shape: [6, batch], elements: tokens))
      let stream = try model.stream(batch: batch)
      for _ in 0..<2 {
        for step in 0..<6 {
          try stream.step(tokens: Array(tokens[step * batch..<(step + 1) * batch]))
          let width = batch * configuration.outputSize
          #expect(stream.output == Array(whole.output.elements[step * width..<(step + 1) * width]))
          let logits = try #require(whole.logits).elements
          #expect(stream.logits == Array(logits[step * batch * 7..<(step + 1) * batch * 7]))
        }
        #expect(stream.state.h == whole.hN)
        #expect(stream.state.c == whole.cN)
        stream.resetState()
      }
    }
  }

  /// The state of a single layer may be wider than its input and any other layer's.
  @Test func streamsOfNarrowInput() throws {
    var random = SplitMix64(state: 47)
    let rnn: RNN<Float> = try random.network(
      Kind.lstm.configuration(inputSize: 2, hiddenSize: 9, layerCount: 1))
    let model = try Model(rnn: rnn)
    let x: NDArray<Float> = random.array([1, 3, 2])
    let stream = try model.stream(batch: 3)
    try stream.step(x.elements)
    #expect(try stream.output == model(x).output.elements)
  }

  @Test func streamsGoOnFromAnyState() throws {
    var random = SplitMix64(state: 43)
    let rnn: RNN<Double> = try random.network(
      Kind.lstm.configuration(inputSize: 4, hiddenSize: 6, layerCount: 2))
    let model = try Model(rnn: rnn)
    let x: NDArray<Double> = random.array([1, 2, 4])
    let (h, c): (NDArray<Double>, NDArray<Double>) = (
      random.array([2, 2, 6]), random.array([2, 2, 6])
    )
    let stream = try model.stream(batch: 2)
    try stream.setState(.init(h: h, c: c))
    try stream.step(x.elements)
    let expected = try model(x, state: .init(h: h, c: c))
    #expect(stream.state.h == expected.hN)
    #expect(stream.state.c == expected.cN)
    #expect(stream.logits.isEmpty)
  }

  @Test func streamsStartFromTheModelsInitialState() throws {
    var random = SplitMix64(state: 44)
    var model = try Model<Double>(
      rnn: random.network(Kind.lstm.configuration(inputSize: 4, hiddenSize: 6, layerCount: 2)))
    model.initialState = .init(h: random.array([2, 1, 6]), c: random.array([2, 1, 6]))
    let x: NDArray<Double> = random.array([1, 3, 4])
    let whole = try model(x)
    let stream = try model.stream(batch: 3)
    try stream.step(x.elements)
    #expect(stream.state == whole.state)
    stream.resetState()
    try stream.step(x.elements)
    #expect(stream.state == whole.state)
    // Zeros are a state like any other.
    try stream.setState(.init(h: NDArray(zeros: [2, 3, 6])))
    try stream.step(x.elements)
    #expect(try stream.state == Model(rnn: model.rnn)(x).state)
    try stream.setState(.init())
    try stream.step(x.elements)
    #expect(stream.state == whole.state)
    model.initialState = .init(h: random.array([2, 2, 6]))
    #expect(reason { _ = try model.stream(batch: 3) } == "engine.state-shape")
    #expect(reason { _ = try model(x) } == "engine.state-shape")
  }

  @Test func refusesWhatDoesNotFit() throws {
    var random = SplitMix64(state: 47)
    let rnn: RNN<Double> = try random.network(Kind.gru.configuration(inputSize: 4, hiddenSize: 6))
    let model = try Model(rnn: rnn)
    let stream = try model.stream(batch: 2)
    #expect(reason { try stream.step([1, 2, 3]) } == "engine.input-size")
    #expect(reason { try stream.step(tokens: [1, 2]) } == "engine.no-embedding")
    #expect(
      reason { try stream.setState(.init(h: random.array([1, 3, 6]))) } == "engine.state-shape")
    #expect(
      reason { try stream.setState(.init(c: random.array([1, 2, 6]))) } == "engine.cell-state")
    #expect(reason { _ = try model.stream(batch: 0) } == "engine.batch")
    let both: RNN<Double> = try random.network(
      Kind.gru.configuration(inputSize: 4, hiddenSize: 6, bidirectional: true))
    #expect(
      reason { _ = try Model(rnn: both).stream() } == "engine.stateful")
    let spoken = try Model(rnn: rnn, embedding: Embedding(weight: random.array([5, 4])))
      .stream(batch: 2)
    #expect(reason { try spoken.step(tokens: [1, 5]) } == "engine.index-range")
    #expect(reason { try spoken.step(tokens: [1]) } == "engine.input-size")
  }
}
