import Containers
import Conversion
import Frameworks
import Networks
import RNNEngine
import Tensors
import TestSupport
import Testing

@testable import LanguageModels

@Suite("Saved models generate the same text")
struct GenerationTests {
  private func model(_ settings: [String: String]) throws -> LanguageModel<Float> {
    let plan = try plan(settings)
    return try LanguageModelTrainer<Float>(plan, text: sampleText).current
  }

  /// Every container that can be written, every kind of input; .pt with the vocabulary of another file.
  @Test(arguments: ["h5", "safetensors", "npz", "pt"], ["char", "byte", "word"])
  func fileAloneIsEnough(_ container: String, _ level: String) throws {
    let folder = try TemporaryFolder()
    for (cell, embedding) in [("rnn_relu", "0"), ("gru", "5")] {
      let model = try model(["level": level, "cell": cell, "embedding": embedding, "layers": "2"])
      let path = folder.file("\(cell).\(container)")
      try model.write(toPath: path)
      let other = folder.file("\(cell)-vocabulary.npz")
      try model.write(toPath: other)
      let again =
        container == "pt"
        ? try LanguageModel<Float>(path: path, vocabularyFile: other)
        : try LanguageModel<Float>(path: path)
      #expect(again.vocabulary == model.vocabulary)
      let draw = try TokenChoice(temperature: 0.9, topK: 9, topP: 0.95)
      let text = try model.text(after: "the c", length: 40, choice: draw, seed: 5)
      #expect(try again.text(after: "the c", length: 40, choice: draw, seed: 5) == text)
      #expect(try again.text(after: "the c", length: 40, choice: draw, seed: 6) != text)
    }
  }

  @Test func missingOrWrongVocabularyIsRefused() throws {
    let folder = try TemporaryFolder()
    let model = try model([:])
    try model.write(toPath: folder.file("a.pt"))
    #expect(
      reason { _ = try LanguageModel<Float>(path: folder.file("a.pt")) }
        == "train.vocabulary")
    #expect(
      reason { _ = try LanguageModel(model.network, vocabulary: .bytes) } == "train.vocabulary")
  }

  @Test func checkpointGivesTheBestWeights() throws {
    let folder = try TemporaryFolder()
    var trainer = try LanguageModelTrainer<Float>(plan(["lr": "0.05"]), text: sampleText)
    for _ in 0..<6 { try trainer.advance() }
    try trainer.writeCheckpoint(to: folder.file("c"))
    let read = try LanguageModel<Float>(path: folder.file("c"))
    let text = try trainer.result.text(after: "the", length: 30, choice: .greedy)
    #expect(try read.text(after: "the", length: 30, choice: .greedy) == text)
    let head = try #require(trainer.best?.network.head?.weight)
    #expect(read.network.head?.weight == head)
    #expect(try trainer.current.network.head?.weight != head)
  }

  /// A vocabulary larger than the 64 KiB that an HDF5 object header holds.
  @Test(arguments: ["h5", "npz", "safetensors"])
  func largeVocabularyTravels(_ container: String) throws {
    let text = Array((0..<20_000).map { "word\($0)" }.joined(separator: " ").utf8)
    let model = try LanguageModelTrainer<Float>(
      plan(["level": "word", "hidden": "2", "embedding": "2"]), text: text
    ).current
    let folder = try TemporaryFolder()
    try model.write(toPath: folder.file("large." + container))
    let read = try LanguageModel<Float>(path: folder.file("large." + container))
    #expect(read.vocabulary == model.vocabulary)
    #expect(read.vocabulary.count == 20_001)
  }

  @Test func choicesFollowTheirDefinition() throws {
    var generator = TorchGenerator(seed: 3)
    let logits: [Double] = [0.1, 2, 1, -1, 2]
    #expect(try TokenChoice.greedy(logits, using: &generator) == 1)
    #expect(generator == TorchGenerator(seed: 3))
    func counts(_ choice: TokenChoice) throws -> [Int] {
      var counts = [0, 0, 0, 0, 0]
      for _ in 0..<20_000 { counts[try choice(logits, using: &generator)] += 1 }
      return counts
    }
    let weights = logits.map { Double.exp($0 / 0.7) }
    let total = weights.reduce(0, +)
    for (count, weight) in zip(try counts(TokenChoice(temperature: 0.7)), weights) {
      // Five standard deviations.
      let share = weight / total
      #expect(
        abs(Double(count) - 20_000 * share) < 5 * (20_000 * share * (1 - share)).squareRoot())
    }
    #expect(try counts(TokenChoice(topK: 1))[1] == 20_000)
    #expect(try counts(TokenChoice(topK: 3)).map { $0 > 0 } == [false, true, true, false, true])
    // The two 2s have 0.379 each, 1 has 0.139: 0.7 needs the 2s, 0.8 all three.
    #expect(try counts(TokenChoice(topP: 0.7)).map { $0 > 0 } == [false, true, false, false, true])
    #expect(try counts(TokenChoice(topP: 0.8)).map { $0 > 0 } == [false, true, true, false, true])
    #expect(
      try counts(TokenChoice(topP: 0.01)).map { $0 > 0 } == [false, true, false, false, false])
    #expect(
      try counts(TokenChoice(topK: 3, topP: 0.8)).map { $0 > 0 }
        == [false, true, false, false, true])
  }

  @Test func impossibleChoicesAreRefused() {
    var generator = TorchGenerator(seed: 3)
    for (temperature, topK, topP) in [
      (0.0, 1, 1.0), (-1, 1, 1), (.nan, 1, 1), (1, 0, 1), (1, 1, 0), (1, 1, 1.5), (1, 1, .nan),
    ] {
      #expect(
        reason { _ = try TokenChoice(temperature: temperature, topK: topK, topP: topP) }
          == "engine.sampling")
    }
    for logits in [[], [0, Double.nan], [.infinity, 1]] {
      #expect(
        reason { _ = try TokenChoice.greedy(logits, using: &generator) } == "engine.sampling")
    }
  }

  @Test func unknownPromptIsRefused() throws {
    let model = try model([:])
    #expect(
      reason { _ = try model.text(after: "QQQ", length: 3, choice: .greedy) }
        == "train.unknown-character")
  }

  @Test func generationIsTheWholeSequencesArgmax() throws {
    let model = try model(["cell": "lstm", "layers": "2"])
    let text = try model.text(after: "the ", length: 12, choice: .greedy)
    let tokens = try model.vocabulary.encode("the " + text)
    #expect(tokens.count == 16)
    let output = try model.network(
      NDArray(oneHot: tokens, shape: [16, 1], classes: model.vocabulary.count))
    let logits = try #require(output.logits?.elements)
    let size = model.vocabulary.count
    for step in 3..<15 {
      let row = Array(logits[step * size..<(step + 1) * size])
      #expect(row.firstIndex(of: row.max() ?? 0) == tokens[step + 1])
    }
  }
}
