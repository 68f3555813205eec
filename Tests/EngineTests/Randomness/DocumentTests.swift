import Tensors
import Testing

@testable import RNNEngine

/// The documents' scripts, from their seeds alone: the losses of the corrected code, as Errata.md has it.
@Suite("The documents' scripts, from their seeds alone")
struct DocumentTests {
  /// "RNN Training": data of `default_rng(0)`, weights of `default_rng(42)`, 50 steps.
  @Test func theTrainingRunOfD0() throws {
    let (inputs, hidden, classes, steps, batch) = (16, 32, 5, 8, 4)
    var rng = NumPyGenerator(seed: 0)
    var numbers: [Double] = []
    for _ in 0..<steps {
      numbers += try rng.normal(shape: [batch, inputs]).elements.map { Double(Float($0)) }
    }
    let labels = try (0..<steps).flatMap { _ in try rng.integers(0..<classes, count: batch) }
    #expect(labels.prefix(4) == [3, 2, 1, 3] && labels.suffix(4) == [0, 0, 0, 3])

    rng = NumPyGenerator(seed: 42)
    var weights = Parameters<Double>()
    weights.append("weight_ih_l0", try rng.normal(0, 0.1, shape: [hidden, inputs]))
    weights.append("weight_hh_l0", try rng.normal(0, 0.1, shape: [hidden, hidden]))
    weights.append("bias_ih_l0", NDArray(zeros: [hidden]))
    weights.append("bias_hh_l0", NDArray(zeros: [hidden]))
    var head = Parameters<Double>()
    head.append("weight", try rng.normal(0, 0.1, shape: [classes, hidden]))
    head.append("bias", NDArray(zeros: [classes]))
    #expect(weights["weight_ih_l0"]?.elements[0] == 0.030471707975443137)
    #expect(weights["weight_hh_l0"]?.elements[0] == 0.009947747301573849)
    #expect(head["weight"]?.elements[0] == 0.07492229272008546)

    var model = try Model(
      rnn: RNN(
        RecurrentConfiguration(inputSize: inputs, hiddenSize: hidden), parameters: weights),
      head: Linear(parameters: head))
    let x = try NDArray(shape: [steps, batch, inputs], elements: numbers)
    var losses: [Double] = []
    var optimizer: any Optimizer<Double> = SGD<Double>(learningRate: 0.05)
    for _ in 0...50 {
      var gradients = try model.backward(
        x, targets: .classes(labels, shape: [steps, batch]),
        loss: .crossEntropy(reduction: .meanOverBatch))
      // The document adds 1e-12 to the probabilities, which shows from the eleventh decimal on.
      let logits = try #require(gradients.forward.logits).elements
      losses.append(
        labels.indices.reduce(0) { sum, row in
          let exponents = logits[row * classes..<(row + 1) * classes].map(Double.exp)
          let share = exponents[labels[row]] / exponents.reduce(0, +)
          return sum - Double.log(share + 1e-12) / Double(batch)
        })
      #expect(abs(losses[losses.count - 1] - gradients.loss) < 1e-10)
      // The document's network has one bias.
      gradients.recurrent["bias_ih_l0"] = NDArray(zeros: [hidden])
      gradients.clipByValue(max: 1)
      try optimizer.step(&model, gradients: gradients)
    }
    let printed = [
      (0, 12.737317832128072), (1, 11.817176663480385), (2, 11.005340826152862),
      (10, 5.711089941229164), (25, 1.5060865873346037), (50, 0.36732929292547956),
    ]
    for (step, loss) in printed { #expect(abs(losses[step] - loss) < 1e-13) }
  }

  /// The same document's PyTorch script after `torch.manual_seed(0)`, its first steps, measured by
  /// tools/goldens/engine_documents.py.
  @Test func theTorchScriptOfD0() throws {
    let (batch, steps, inputs, hidden, classes) = (32, 20, 64, 128, 10)
    var generator = TorchGenerator(seed: 0)
    let configuration = RecurrentConfiguration(
      inputSize: inputs, hiddenSize: hidden, batchFirst: true)
    let rnn = try RNN<Float>(configuration, generator: &generator)
    var model = try Model(
      rnn: rnn, head: Linear(inputSize: hidden, outputSize: classes, generator: &generator))
    var adam = Adam<Float>(learningRate: 1e-3)
    let printed: [(loss: Float, norm: Float, labels: [Int])] = [
      (2.338876247406006, 0.2658427953720093, [3, 0, 3]),
      (2.3239688873291016, 0.2633097767829895, [2, 1, 5]),
      (2.3182384967803955, 0.2775600552558899, [4, 3, 6]),
    ]
    for (loss, norm, labels) in printed {
      let x: NDArray<Float> = try generator.randn(shape: [batch, steps, inputs])
      let y = try generator.randint(0..<classes, count: batch * steps)
      #expect(Array(y.prefix(3)) == labels)
      var gradients = try model.backward(
        x, targets: .classes(y, shape: [batch, steps]), loss: .crossEntropy())
      #expect(abs(gradients.loss - loss) < 1e-6)
      let found = gradients.clipByGlobalNorm(max: 1)
      #expect(abs(found - norm) < 1e-6)
      try adam.step(&model, gradients: gradients)
    }
  }

  /// "VanillaRNN": weights of `np.random.seed(0)`, 1000 steps, of all parameters and of `by` alone.
  ///
  /// The document's X has five distinct rows, its last target is the first of them; "hello" is what its
  /// comments say, with one row for both l and a space to end with. The losses are those of NumPy: of a run of
  /// `by` alone, and of tools/goldens/make_fixtures.py.
  @Test(arguments: [
    ([0, 1, 2, 3, 4], [1, 2, 3, 4, 0], 8.047197900586498, 8.047197852644729, 0.1142141360242454),
    ([0, 1, 2, 2, 3], [1, 2, 2, 3, 4], 8.04703709751874, 6.738163126893344, 0.1515025189542901),
  ])
  func theTrainingRunOfD1(
    _ tokens: [Int], _ targets: [Int], _ first: Double, _ lastOfHead: Double, _ last: Double
  ) throws {
    for headAlone in [false, true] {
      let losses = try vanillaRNN(tokens, targets, headAlone: headAlone)
      #expect(abs(losses[0] - first) < 1e-14)
      #expect(abs(losses[1000] - (headAlone ? lastOfHead : last)) < 1e-13)
    }
  }

  private func vanillaRNN(
    _ tokens: [Int], _ targets: [Int], headAlone: Bool
  ) throws -> [Double] {
    var legacy = NumPyRandomState(seed: 0)
    func weights(_ rows: Int, _ columns: Int) throws -> NDArray<Double> {
      // The document's matrices multiply from the right.
      let drawn = try legacy.randn(shape: [rows, columns]).elements.map { $0 * 0.01 }
      return try NDArray(
        shape: [columns, rows],
        elements: (0..<rows * columns).map { drawn[$0 % rows * columns + $0 / rows] })
    }
    let (size, hidden) = (5, 8)
    var parameters = Parameters<Double>()
    parameters.append("weight_ih_l0", try weights(size, hidden))
    parameters.append("weight_hh_l0", try weights(hidden, hidden))
    parameters.append("bias_ih_l0", NDArray(zeros: [hidden]))
    parameters.append("bias_hh_l0", NDArray(zeros: [hidden]))
    var model = try Model(
      rnn: RNN(RecurrentConfiguration(inputSize: size, hiddenSize: hidden), parameters: parameters),
      head: Linear(weight: weights(hidden, size), bias: NDArray(zeros: [size])))
    let x = try NDArray<Double>(oneHot: tokens, shape: [size], classes: size)
    var losses: [Double] = []
    var optimizer = SGD<Double>(learningRate: 0.01)
    for _ in 0...1000 {
      var gradients = try model.backward(
        x, targets: .classes(targets, shape: [size]), loss: .crossEntropy(reduction: .sum))
      losses.append(gradients.loss)
      gradients.recurrent["bias_ih_l0"] = NDArray(zeros: [hidden])
      if headAlone {
        gradients.recurrent = Parameters(zeros: model.rnn.configuration.parameterShapes)
        gradients.head["weight"] = NDArray(zeros: [size, hidden])
      }
      gradients.clipByValue(max: 5)
      try optimizer.step(&model, gradients: gradients)
    }
    return losses
  }
}
