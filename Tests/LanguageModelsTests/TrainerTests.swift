import Containers
import Conversion
import Foundation
import Frameworks
import Networks
import RNNEngine
import Tensors
import TestSupport
import Testing

@testable import LanguageModels

/// Text with structure, and nothing periodic in it that a batch could resonate with.
let sampleText: [UInt8] = {
  var generator = TorchGenerator(seed: 7)
  let words = ["the", "cat", "sat", "on", "a", "mat", "and", "slept", "all", "day"]
  var text = ""
  for index in 0..<400 {
    text += words[Int(generator.next32() % 10)] + (index % 11 == 10 ? "\n" : " ")
  }
  return Array(text.utf8)
}()

func plan(_ settings: [String: String]) throws -> TrainingPlan {
  var plan = TrainingPlan()
  let defaults = ["hidden": "7", "batch": "3", "bptt": "5", "validate-every": "4", "steps": "30"]
  for (name, value) in defaults.merging(settings, uniquingKeysWith: { $1 }) {
    try plan.set(name, value)
  }
  return plan
}

@Suite("Training stops and resumes bit for bit")
struct TrainerTests {
  /// Two trainings, one of them stopped and continued from its file; every combination of what is saved.
  @Test(arguments: [
    ["cell": "lstm", "layers": "2", "dropout": "0.3", "embedding": "4"],
    ["cell": "gru", "optimizer": "sgd", "momentum": "0.9", "schedule": "cosine", "lr": "0.1"],
    [
      "cell": "rnn_tanh", "optimizer": "rmsprop", "schedule": "plateau", "period": "1",
      "lr": "0.05",
    ],
    [
      "cell": "rnn_relu", "optimizer": "adagrad", "schedule": "step", "period": "7", "warm-up": "5",
    ],
    [
      "level": "word", "embedding": "3", "optimizer": "adamw", "weight-decay": "0.1",
      "dtype": "f64",
    ],
    ["level": "byte", "validation": "0", "schedule": "exponential", "factor": "0.9"],
  ])
  func resumedTrainingIsBitEqual(_ settings: [String: String]) throws {
    let plan = try plan(settings)
    if plan.precision == .f64 {
      try compare(plan, Double.self)
    } else {
      try compare(plan, Float.self)
    }
  }

  private func compare<S: Scalar>(_ plan: TrainingPlan, _ type: S.Type) throws {
    let folder = try TemporaryFolder()
    var whole = try LanguageModelTrainer<S>(plan, text: sampleText)
    var steps: [LanguageModelTrainer<S>.Step] = []
    while !whole.isFinished { steps.append(try whole.advance()) }
    #expect(steps.count == 30)
    #expect(plan.validation == 0 || Set(steps.compactMap(\.validation)).count == 7)

    var part = try LanguageModelTrainer<S>(plan, text: sampleText)
    for _ in 0..<17 { try part.advance() }
    try part.writeCheckpoint(to: folder.file("c"))
    let saved = try TrainingCheckpoint(path: folder.file("c"))
    #expect(saved.stepCount == 17)
    var rest = try saved.resume(S.self, text: sampleText)
    for index in 17..<30 { #expect(try rest.advance() == steps[index]) }
    #expect(rest.isFinished)
    #expect(rest.validations == whole.validations)
    for (trainer, name) in [(whole, "a"), (rest, "b")] {
      try trainer.result.write(toPath: folder.file(name + ".h5"))
      try trainer.current.write(toPath: folder.file(name + ".safetensors"))
      try trainer.writeCheckpoint(to: folder.file(name + ".checkpoint"))
    }
    for ending in [".h5", ".safetensors", ".checkpoint"] {
      let first = FileManager.default.contents(atPath: folder.file("a" + ending))
      #expect(first != nil)
      #expect(first == FileManager.default.contents(atPath: folder.file("b" + ending)))
    }
  }

  /// A step is what the engine's own parts give when they are put together by hand.
  @Test func stepIsTruncatedBackpropagation() throws {
    let plan = try plan(["cell": "gru", "validation": "0", "optimizer": "sgd", "lr": "0.5"])
    var trainer = try LanguageModelTrainer<Double>(plan, text: sampleText)
    let vocabulary = trainer.vocabulary
    let tokens = try vocabulary.encode(sampleText)
    var (model, state) = (try trainer.current.network, Model<Double>.State())
    let stride = tokens.count / 3
    for block in 0..<4 {
      let places = (0..<5).flatMap { t in (0..<3).map { $0 * stride + block * 5 + t } }
      let gradients = try model.backward(
        NDArray(oneHot: places.map { tokens[$0] }, shape: [5, 3], classes: vocabulary.count),
        state: &state, targets: .classes(places.map { tokens[$0 + 1] }, shape: [5, 3]),
        loss: .crossEntropy())
      var optimizer = SGD<Double>(learningRate: 0.5)
      try optimizer.step(&model, gradients: gradients)
      #expect(try trainer.advance().loss == gradients.loss)
    }
    let ours = try trainer.current.network.parameterGroups.flatMap(\.entries)
    let theirs = model.parameterGroups.flatMap(\.entries)
    for (one, other) in zip(ours, theirs) { #expect(one.array == other.array) }
  }

  @Test func earlyStoppingKeepsTheBest() throws {
    // A rate at which the loss soon rises again.
    var trainer = try LanguageModelTrainer<Float>(
      plan(["optimizer": "sgd", "lr": "30", "patience": "3", "steps": "4000"]), text: sampleText)
    while !trainer.isFinished { try trainer.advance() }
    #expect(trainer.hasStalled)
    #expect(trainer.stepCount < 4000)
    let best = trainer.validations.min()
    #expect(trainer.validations.suffix(3).allSatisfy { $0 >= best ?? 0 })
    let last = try trainer.validationLoss()
    #expect(last == trainer.validations.last)
    trainer.network = try trainer.result.network
    #expect(try trainer.validationLoss() == best)
  }

  @Test func learningReducesTheLoss() throws {
    var trainer = try LanguageModelTrainer<Float>(
      plan(["hidden": "32", "steps": "400", "lr": "0.01", "validate-every": "100"]),
      text: sampleText)
    let first = try trainer.advance()
    while !trainer.isFinished { try trainer.advance() }
    // Untrained it guesses; the words are random, but not their spelling.
    #expect(abs(first.loss - Double.log(Double(trainer.vocabulary.count))) < 0.3)
    #expect(try #require(try trainer.validationLoss()) < 1.3)
  }

  @Test func valueClippingLimitsEveryElement() throws {
    var free = try LanguageModelTrainer<Double>(
      plan(["optimizer": "sgd", "lr": "1", "clip-norm": "0"]), text: sampleText)
    var clipped = try LanguageModelTrainer<Double>(
      plan(["optimizer": "sgd", "lr": "1", "clip-norm": "0", "clip-value": "0.001"]),
      text: sampleText)
    let before = try clipped.current.network.parameterGroups
    #expect(try free.advance().gradientNorm == clipped.advance().gradientNorm)
    let after = try clipped.current.network.parameterGroups
    for (old, new) in zip(before.flatMap(\.entries), after.flatMap(\.entries)) {
      for (a, b) in zip(old.array.elements, new.array.elements) {
        #expect(abs(a - b) <= 0.001 + 1e-12)
      }
    }
  }

  @Test func badInputIsRefused() throws {
    func start(_ settings: [String: String], _ text: [UInt8]) -> String? {
      reason { _ = try LanguageModelTrainer<Float>(plan(settings), text: text) }
    }
    #expect(start([:], []) == "train.empty-text")
    #expect(start([:], bytes("ab")) == "train.empty-text")
    #expect(start(["patience": "2", "validation": "0.01"], bytes("abcdefg")) == "train.empty-text")
    #expect(start(["dropout": "0.5"], sampleText) == "train.option")
    #expect(start(["patience": "2", "validation": "0"], sampleText) == "train.option")
    #expect(start(["schedule": "plateau", "validation": "0"], sampleText) == "train.option")
    #expect(start(["vocabulary-size": "9"], sampleText) == "train.option")
    #expect(start(["momentum": "0.5"], sampleText) == "train.option")
    for (name, value) in [
      ("hidden", "0"), ("hidden", "x"), ("dropout", "1"), ("lr", "nan"), ("cell", "LSTM"),
      ("dtype", "f16"), ("shoe-size", "43"),
    ] {
      #expect(reason { _ = try plan([name: value]) } == "train.option")
    }
  }

  @Test func divergenceIsAnErrorThatChangesNothing() throws {
    var trainer = try LanguageModelTrainer<Float>(
      plan([
        "cell": "rnn_relu", "optimizer": "sgd", "lr": "1e5", "clip-norm": "0", "steps": "500",
        "validation": "0",
      ]), text: sampleText)
    #expect(reason { while !trainer.isFinished { try trainer.advance() } } == "train.diverged")
    let step = trainer.stepCount
    #expect(reason { try trainer.advance() } == "train.diverged")
    #expect(trainer.stepCount == step)
  }

  @Test func limitComesFromEpochs() throws {
    let trainer = try LanguageModelTrainer<Float>(
      plan(["steps": "0", "epochs": "1.5", "validation": "0"]), text: Array(sampleText[..<100]))
    // 100 / 3 = 33 per row, 7 blocks of 5.
    #expect(trainer.stepsPerEpoch == 7)
    #expect(trainer.plan.limit == 11)
  }
}
