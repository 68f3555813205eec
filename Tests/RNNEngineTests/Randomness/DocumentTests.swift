import Tensors
import Testing

@testable import RNNEngine

/// The documents' scripts, from their seeds alone (engine.md C3).
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

    var model = try SequenceModel(
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
      losses.append(gradients.loss)
      // The document's network has one bias.
      gradients.recurrent["bias_ih_l0"] = NDArray(zeros: [hidden])
      clipByValue(&gradients.parameterGroups, max: 1)
      try optimizer.step(&model, gradients: gradients)
    }
    let printed = [
      (0, 12.737317832128072), (1, 11.817176663480385), (2, 11.005340826152862),
      (10, 5.711089941229164), (25, 1.5060865873346037), (50, 0.36732929292547956),
    ]
    // The document adds 1e-12 to probabilities: up to 4e-11 in the loss.
    for (step, loss) in printed { #expect(abs(losses[step] - loss) < 1e-10) }
  }

  /// "VanillaRNN": weights of `np.random.seed(0)`, 1000 steps.
  @Test func theTrainingRunOfD1() throws {
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
    var model = try SequenceModel(
      rnn: RNN(RecurrentConfiguration(inputSize: size, hiddenSize: hidden), parameters: parameters),
      head: Linear(weight: weights(hidden, size), bias: NDArray(zeros: [size])))
    var x = NDArray<Double>(zeros: [size, size])
    for step in 0..<size { x.elements[step * (size + 1)] = 1 }
    var losses: [Double] = []
    for _ in 0...1000 {
      var gradients = try model.backward(
        x, targets: .classes([1, 2, 3, 4, 0], shape: [size]), loss: .crossEntropy(reduction: .sum))
      losses.append(gradients.loss)
      gradients.recurrent["bias_ih_l0"] = NDArray(zeros: [hidden])
      clipByValue(&gradients.parameterGroups, max: 5)
      try SGD(learningRate: 0.01).step(&model, gradients)
    }
    #expect(abs(losses[0] - 8.047197900586498) < 1e-12)
    // As tools/make_fixtures.py has it; engine.md's 8.047197852644729 is a run that updates by alone.
    #expect(abs(losses[1000] - 0.1142141360242454) < 1e-9)
  }
}
