import Containers
import Foundation
import Frameworks
import RNNEngine
import Tensors
import TestSupport
import Testing

@testable import LanguageModels

@Suite("A training checkpoint resumes, or says what is wrong with it")
struct CheckpointTests {
  private func checkpoint(in folder: TemporaryFolder) throws -> String {
    var trainer = try LanguageModelTrainer<Float>(plan(["layers": "2"]), text: sampleText)
    for _ in 0..<5 { try trainer.advance() }
    try trainer.writeCheckpoint(to: folder.file("c"))
    return folder.file("c")
  }

  /// Writes a checkpoint whose state dict was changed.
  private func changed(_ folder: TemporaryFolder, _ change: (inout StateDict) throws -> Void) throws
    -> String
  {
    var state = try WeightFile(path: checkpoint(in: folder)).state
    try change(&state)
    try WeightFormat.safetensors.write(state, to: folder.file("d")) { _ in }
    return folder.file("d")
  }

  private func resumeReason(_ path: String, _ text: [UInt8] = sampleText) -> String? {
    reason { _ = try TrainingCheckpoint(path: path).resume(Float.self, text: text) }
  }

  @Test func goesOnWithTheSameTextOnly() throws {
    let folder = try TemporaryFolder()
    let path = try checkpoint(in: folder)
    #expect(resumeReason(path) == nil)
    var other = sampleText
    other[3] ^= 1
    #expect(resumeReason(path, other) == "train.text-changed")
    #expect(resumeReason(path, sampleText + [32]) == "train.text-changed")
  }

  @Test func everyMissingTensorIsRefused() throws {
    let folder = try TemporaryFolder()
    let names = try WeightFile(path: checkpoint(in: folder)).state.names
    #expect(names.count > 30)
    for missing in names {
      let found = firstPart(missing)
      let path = try changed(try TemporaryFolder()) { state in
        var rest = StateDict()
        for entry in state.entries where entry.name != missing {
          try rest.append(entry.name, entry.tensor)
        }
        rest.metadata = state.metadata
        state = rest
      }
      // A missing carried state is a state of zeros; a missing moment shows at the next step.
      let outcome = reason {
        var trainer = try TrainingCheckpoint(path: path).resume(Float.self, text: sampleText)
        try trainer.advance()
      }
      #expect(outcome != nil || found == "state", "\(missing)")
    }
  }

  @Test func damagedMetadataIsRefused() throws {
    for (key, value) in [
      ("rnn-train", nil), ("rnn-train", "{}"), ("rnn-train", #"{"version":2}"#),
      ("rnn-train", #"{"version":1,"step":-1}"#), ("vocabulary", nil),
      (
        "rnn-train",
        #"{"version":1,"step":5,"text_bytes":3,"text_hash":"0","plan":{"hidden":"zero"}}"#
      ),
    ] {
      let folder = try TemporaryFolder()
      let path = try changed(folder) { $0.metadata[key] = value }
      #expect(resumeReason(path) == "train.checkpoint")
    }
  }

  @Test func weightsOfAnotherPlanAreRefused() throws {
    let folder = try TemporaryFolder()
    let path = try changed(folder) { state in
      let text = try #require(state.metadata["rnn-train"])
      state.metadata["rnn-train"] = text.replacingOccurrences(
        of: #""hidden":"7""#, with: #""hidden":"8""#)
    }
    #expect(resumeReason(path) == "train.checkpoint")
  }

  @Test func limitMayBeRaised() throws {
    let folder = try TemporaryFolder()
    let saved = try TrainingCheckpoint(path: checkpoint(in: folder))
    #expect(try saved.resume(Float.self, text: sampleText).plan.limit == 30)
    #expect(try saved.resume(Float.self, text: sampleText, limit: 44).plan.limit == 44)
    let epochs = try saved.resume(Float.self, text: sampleText, epochs: 2)
    #expect(epochs.plan.limit == 2 * epochs.stepsPerEpoch)
  }
}

private func firstPart(_ name: Name) -> String { String(name.string.prefix { $0 != "." }) }
