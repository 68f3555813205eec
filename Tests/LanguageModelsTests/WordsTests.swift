import RNNEngine
import Tensors
import TestSupport
import Testing

@testable import LanguageModels

/// The utilities of document D1.
@Suite("The utilities of document D1")
struct WordsTests {
  @Test func sequencesAreShiftedByOne() throws {
    let vocabulary = try Vocabulary(words: ["hello"])
    #expect(vocabulary.symbols.map(\.string) == [" ", "e", "h", "l", "o"])
    let sequences = try vocabulary.prepareSequences(["hello", "", "oh"])
    #expect(sequences.map(\.inputs) == [[2, 1, 3, 3, 4], [4, 2]])
    #expect(sequences.map(\.targets) == [[1, 3, 3, 4, 0], [2, 0]])
    #expect(reason { _ = try vocabulary.prepareSequences(["help"]) } == "train.unknown-character")
  }

  /// D1's network (5 → 8 → 5), limits (±5) and epochs learn to say hello.
  @Test func helloIsSaid() throws {
    for seed in 0..<5 {
      var model = try LanguageModel<Double>(words: ["hello"], hiddenSize: 8, seed: seed)
      #expect(try model.predict("h", length: 4) != "ello")
      var reports: [(Int, Double)] = []
      let loss = try model.trainWords(["hello"], epochs: 1000, printInterval: 250) {
        reports.append(($0, $1))
      }
      #expect(reports.map(\.0) == [250, 500, 750, 1000])
      #expect(reports.map(\.1) == reports.map(\.1).sorted(by: >))
      #expect(reports.last?.1 == loss)
      #expect(loss < 0.5)
      #expect(try model.predict("h", length: 5) == "ello ")
      #expect(try model.predict("he", length: 3) == "llo")
    }
  }

  /// D1's example with its errata corrected, from `np.random.seed(0)`: NumPy's loss after 1000 epochs.
  @Test func lossIsThatOfTheDocumentsProgram() throws {
    var random = NumPyRandomState(seed: 0)
    var model = try LanguageModel<Double>(words: ["hello"], hiddenSize: 8)
    // D1 has row vectors: Wxh (5, 8), Whh (8, 8), Why (8, 5); the engine's matrices are transposed.
    func transposed(_ rows: Int, _ columns: Int) throws -> NDArray<Double> {
      let values = (0..<rows * columns).map { _ in random.standardNormal() * 0.01 }
      let elements = (0..<rows * columns).map { values[$0 % rows * columns + $0 / rows] }
      return try NDArray(shape: [columns, rows], elements: elements)
    }
    var groups = model.network.parameterGroups
    groups[0]["weight_ih_l0"] = try transposed(5, 8)
    groups[0]["weight_hh_l0"] = try transposed(8, 8)
    groups[1]["weight"] = try transposed(8, 5)
    try model.network.setParameterGroups(groups)
    let loss = try model.trainWords(["hello"])
    #expect(abs(loss - 0.1442578815935202) < 1e-9)
    #expect(try model.predict("h", length: 4) == "ello")
  }

  @Test func severalWordsAreLearned() throws {
    let words = ["hello", "yes", "no"]
    var model = try LanguageModel<Float>(words: words, hiddenSize: 12, seed: 1)
    try model.trainWords(words, epochs: 600, learningRate: 0.05)
    for word in words {
      #expect(
        try model.predict(String(word.prefix(1)), length: word.count) == word.dropFirst() + " ")
    }
  }
}
