import RNNEngine
import Tensors

// The utilities of document D1, section 5.4: prepare_sequences, train_words and predict.

extension Vocabulary {
  /// The characters of words, and the space that ends each.
  public init(words: [String]) throws {
    try self.init(.char, of: Array((words.joined() + " ").utf8))
  }

  /// The characters of every word, and those that follow them, the last of which is a space
  /// (`prepare_sequences` in D1); words without characters give none.
  ///
  /// Throws `train.unknown-character` for a character that the vocabulary lacks.
  public func prepareSequences(
    _ words: [String]
  ) throws -> [(inputs: [Int], targets: [Int])] {
    let end = try encode(" ")
    return try words.compactMap { word in
      let inputs = try encode(word)
      return inputs.isEmpty ? nil : (inputs, inputs.dropFirst() + end)
    }
  }
}

extension LanguageModel {
  /// D1's model of words: one `rnn_tanh` layer that reads one-hot characters, V → H → V.
  ///
  /// The weights are D1's: normal with a deviation of `scale`, and biases of 0.
  public init(words: [String], hiddenSize: Int, scale: Double = 0.01, seed: Int = 0) throws {
    let vocabulary = try Vocabulary(words: words)
    var plan = TrainingPlan()
    (plan.cell, plan.hiddenSize, plan.seed) = (.rnnTanh, hiddenSize, seed)
    try self.init(plan, vocabulary: vocabulary)
    var generator = TorchGenerator(seed: seed)
    var groups = network.parameterGroups
    for index in groups.indices {
      for (name, array) in groups[index].entries {
        groups[index][name] =
          name.contains("bias")
          ? NDArray(zeros: array.shape)
          : try generator.normal(shape: array.shape, standardDeviation: scale)
      }
    }
    try network.setParameterGroups(groups)
  }

  /// Learns words, one update per word and epoch (`train_words` in D1): the loss is summed over the
  /// characters, the gradients are limited to ±`clip`, and every word starts from a zero state.
  ///
  /// A plain recurrent cell has one bias in D1, so `bias_hh` stays what it is. Every `printInterval` epochs `report` gets the epoch, from 1, and the loss of all words in it.
  /// Returns the loss of the last epoch.
  @discardableResult
  public mutating func trainWords(
    _ words: [String], epochs: Int = 1000, learningRate: Double = 0.01, clip: Double = 5,
    printInterval: Int = 100, report: (Int, Double) -> Void = { _, _ in }
  ) throws -> Double {
    let sequences = try vocabulary.prepareSequences(words)
    var optimizer = SGD<S>(learningRate: learningRate)
    var total = 0.0
    for epoch in 1...max(1, epochs) {
      total = 0
      for sequence in sequences {
        let shape = [sequence.inputs.count, 1]
        var gradients = try network.backward(
          vectors(sequence.inputs, shape: shape),
          targets: .classes(sequence.targets, shape: shape), loss: .crossEntropy(reduction: .sum))
        total += Double(gradients.loss)
        if !network.rnn.configuration.cell.hasGates {
          for (name, array) in gradients.recurrent.entries where name.hasPrefix("bias_hh") {
            gradients.recurrent[name] = NDArray(zeros: array.shape)
          }
        }
        gradients.clipByValue(max: S(clip))
        try optimizer.step(&network, gradients: gradients)
      }
      if printInterval > 0, epoch % printInterval == 0 { report(epoch, total) }
    }
    return total
  }

  /// The most likely `length` characters after a text (`predict` in D1).
  ///
  /// Throws `train.unknown-character` for a character that the vocabulary lacks.
  public func predict(_ seedText: String, length: Int) throws -> String {
    try text(after: seedText, length: length, choice: .greedy)
  }
}

extension Cell {
  fileprivate var hasGates: Bool { self == .lstm || self == .gru }
}
