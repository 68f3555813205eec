import Foundation
import RNNEngine
import TestSupport
import Testing

@testable import LanguageModels

@Suite("A model that writes while it learns learns the same")
struct SamplingTests {
  /// A model that writes while it is trained draws random numbers of its own.
  @Test func samplesDoNotTouchTheTraining() throws {
    let plan = try plan(["cell": "lstm", "layers": "2", "dropout": "0.4", "embedding": "4"])
    let folder = try TemporaryFolder()
    var alone = try LanguageModelTrainer<Float>(plan, text: sampleText)
    var watched = alone
    var texts: Set<String> = []
    while !alone.isFinished {
      #expect(try alone.advance() == watched.advance())
      texts.insert(
        try watched.current.text(
          after: "", length: 30, choice: TokenChoice(temperature: 0.8), seed: 0))
    }
    #expect(texts.count > 1)
    for (trainer, name) in [(alone, "a"), (watched, "b")] {
      try trainer.writeCheckpoint(to: folder.file(name))
    }
    let first = FileManager.default.contents(atPath: folder.file("a"))
    #expect(first != nil && first == FileManager.default.contents(atPath: folder.file("b")))
  }
}
