import Tensors
import Testing

@testable import RNNEngine

@Suite("A model is its embedding, its layers and its head")
struct ModelTests {
  private func model(
    batchFirst: Bool, headBias: Bool = true
  ) throws -> (Model<Double>, SplitMix64) {
    var random = SplitMix64(state: 31)
    let rnn: RNN<Double> = try random.network(
      RecurrentConfiguration(
        inputSize: 2, hiddenSize: 3, layerCount: 2, batchFirst: batchFirst, bidirectional: true))
    let head = try Linear<Double>(
      weight: random.array([5, 6]), bias: headBias ? random.array([5]) : nil)
    return (try Model(rnn: rnn, head: head), random)
  }

  @Test(arguments: [false, true], Loss.Steps.allCases)
  func gradientsAgreeWithFiniteDifferences(_ batchFirst: Bool, _ steps: Loss.Steps) throws {
    var (model, random) = try model(batchFirst: batchFirst, headBias: !batchFirst)
    let x: NDArray<Double> = random.array(batchFirst ? [3, 4, 2] : [4, 3, 2])
    let h0: NDArray<Double> = random.array([4, 3, 3])
    let all = [1, 0, 4, 2, -100, 3, 3, 0, 1, 2, 4, 4]
    let targets: Targets<Double> =
      steps == .last
      ? .classes([1, 4, 2], shape: [3])
      : .classes(all, shape: batchFirst ? [3, 4] : [4, 3])
    let loss = Loss.crossEntropy(reduction: .meanOverBatch, labelSmoothing: 0.1, steps: steps)
    func value(
      _ model: Model<Double>, _ x: NDArray<Double>, _ h0: NDArray<Double>
    ) throws -> Double {
      let logits = try #require(try model(x, state: .init(h: h0)).logits)
      return try loss.evaluate(logits: logits, targets: targets, batchFirst: batchFirst).value
    }

    let found = try model.backward(x, state: .init(h: h0), targets: targets, loss: loss)
    #expect(found.loss == (try value(model, x, h0)))
    #expect(found.forward == (try model(x, state: .init(h: h0))))
    #expect(found.head.names == (batchFirst ? ["weight"] : ["weight", "bias"]))
    let groups = model.parameterGroups
    for (index, group) in groups.enumerated() {
      for (name, array) in group.entries {
        let expected = try differences(array) {
          var moved = groups
          moved[index][name] = $0
          var changed = model
          try changed.setParameterGroups(moved)
          return try value(changed, x, h0)
        }
        let gradient = try #require(found.parameterGroups[index][name])
        #expect(deviation(gradient, from: expected) < 1e-7, "\(name)")
      }
    }
    #expect(deviation(found.x, from: try differences(x) { try value(model, $0, h0) }) < 1e-7)
    #expect(deviation(found.h0, from: try differences(h0) { try value(model, x, $0) }) < 1e-7)
  }

  @Test func withoutHeadTheLossReadsTheOutput() throws {
    var random = SplitMix64(state: 33)
    let rnn: RNN<Double> = try random.network(RecurrentConfiguration(inputSize: 2, hiddenSize: 3))
    let model = try Model(rnn: rnn)
    let x: NDArray<Double> = random.array([4, 2])
    let targets = Targets<Double>.values(random.array([4, 3]))
    let found = try model.backward(x, targets: targets, loss: .mse())
    let expected = try differences(x) {
      try Loss.mse().evaluate(logits: model($0).output, targets: targets).value
    }
    #expect(deviation(found.x, from: expected) < 1e-7)
    #expect(found.head.names.isEmpty)
    #expect(try model(x).logits == nil)
  }

  @Test func trainingLowersTheLoss() throws {
    var (model, random) = try model(batchFirst: false)
    let x: NDArray<Double> = random.array([4, 3, 2])
    let targets = Targets<Double>.classes([1, 0, 4, 2, 2, 3, 3, 0, 1, 2, 4, 4], shape: [4, 3])
    var losses: [Double] = []
    var optimizer = SGD<Double>(learningRate: 0.5)
    for _ in 0..<40 {
      var gradients = try model.backward(x, targets: targets, loss: .crossEntropy())
      gradients.clipByGlobalNorm(max: 1)
      try optimizer.step(&model, gradients: gradients)
      losses.append(gradients.loss)
    }
    #expect(losses[39] < losses[0] / 2)
  }

  @Test func tokensReachTheEmbedding() throws {
    var (model, random) = try model(batchFirst: true)
    let table: NDArray<Double> = random.array([7, 2])
    model = try Model(
      rnn: model.rnn, head: model.head, embedding: Embedding(weight: table, paddingIndex: 2))
    let tokens = try NDArray([[4, 2, 2, 6], [0, 4, 1, 5], [3, 3, 4, 2]])
    let targets = Targets<Double>.classes([1, 0, 4, 2, 2, 3, 3, 0, 1, 2, 4, 4], shape: [3, 4])
    let loss = Loss.crossEntropy()
    let found = try model.backward(tokens: tokens, targets: targets, loss: loss)
    let gradient = try #require(found.embedding["weight"])
    var expected = try differences(table) {
      var changed = model
      changed.embedding = try Embedding(weight: $0)
      let logits = try #require(try changed(tokens: tokens).logits)
      return try loss.evaluate(logits: logits, targets: targets, batchFirst: true).value
    }
    // The vector of the padding is not trained.
    for column in 0..<2 { expected.elements[2 * 2 + column] = 0 }
    #expect(deviation(gradient, from: expected) < 1e-7)
    #expect(gradient.elements[4..<6].allSatisfy { $0 == 0 })
    #expect(found.parameterGroups.count == model.parameterGroups.count)
    var optimizer = SGD<Double>(learningRate: 0.5)
    try optimizer.step(&model, gradients: found)
    #expect(model.embedding?.weight.elements[8] != table.elements[8])
    #expect(model.embedding?.paddingIndex == 2)
  }

  @Test func embeddingMustFit() throws {
    let (model, _) = try model(batchFirst: false)
    let wide = #expect(throws: RecurrentError.self) {
      try Model(
        rnn: model.rnn, head: model.head, embedding: Embedding(weight: NDArray(zeros: [5, 3])))
    }
    #expect(wide?.reason.code == "engine.embedding-size")
    let none = #expect(throws: RecurrentError.self) { try model(tokens: NDArray([[1]])) }
    #expect(none?.reason.code == "engine.no-embedding")
  }

  @Test func headMustFit() throws {
    let (model, _) = try model(batchFirst: false)
    let error = #expect(throws: RecurrentError.self) {
      try Model(rnn: model.rnn, head: Linear(weight: NDArray(zeros: [5, 3])))
    }
    #expect(error?.reason.code == "engine.head-size")
    let bias = #expect(throws: RecurrentError.self) {
      try Linear<Float>(weight: NDArray(zeros: [5, 3]), bias: NDArray(zeros: [3]))
    }
    #expect(bias?.reason.code == "engine.parameter-shape")
  }
}
