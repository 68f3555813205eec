// A checkpoint is a safetensors file:
//
//   model.*               the weights, in the torch convention, and best.* those of the best validation
//   optimizer.*           what the optimiser accumulated: step, GROUP.PARAMETER.BUFFER
//   state.h, state.c      the state that the next block starts from
//   generator.dropout     the generator, 5056 bytes as torch.get_rng_state()
//   validation.losses     f64, one per validation
//
// Metadata: those of the model, and `rnn-train`, a JSON object with the version, the step, the
// number of processes, the text's size and fingerprint, and the plan.

import Containers
import Conversion
import Frameworks
import Networks
import RNNEngine
import Tensors

/// A training that was saved, to be continued as if it had never stopped.
package struct TrainingCheckpoint: Sendable {
  /// The plan that it was trained by.
  package let plan: TrainingPlan
  /// The steps that were made.
  package let stepCount: Int
  /// The metadata key that makes a file a checkpoint.
  static let metadataKey = "rnn-train"
  private static let version = 1
  private let processCount: Int
  private let state: StateDict
  private let fingerprint: TextFingerprint
  private let path: String

  /// Opens a checkpoint; throws `train.checkpoint` if the file is none.
  package init(path: String) throws {
    self.path = path
    state = try WeightFile(path: path).state
    do {
      guard let text = state.metadata[Self.metadataKey] else {
        throw Self.refusal("no metadata \"\(Self.metadataKey)\"")
      }
      let json = try JSON.parse(Array(text.utf8))
      guard json["version"]?.intValue == Self.version else {
        throw Self.refusal("a version other than \(Self.version)")
      }
      guard let step = json["step"]?.intValue, step >= 0, step <= TrainingPlan.mostSteps,
        let bytes = json["text_bytes"]?.intValue, let hash = json["text_hash"]?.stringValue,
        let plan = json["plan"], let processes = json["processes"]?.intValue
      else { throw Self.refusal("no step, text or plan") }
      stepCount = step
      processCount = processes
      fingerprint = TextFingerprint(count: bytes, hash: hash)
      do {
        self.plan = try TrainingPlan(plan)
      } catch let error as RecurrentError {
        throw Self.refusal("a plan with \(error.message)")
      }
    } catch let error as RecurrentError {
      throw error.inFile(path)
    }
  }

  fileprivate static func refusal(_ found: String) -> RecurrentError {
    RecurrentError(
      .trainCheckpoint, found: found, expected: "a checkpoint of rnn-train")
  }

  /// The tensors whose names begin with a prefix, without it, and all metadata.
  static func part(_ prefix: String, of state: StateDict) throws -> StateDict {
    var result = StateDict()
    for entry in state.entries where entry.name.utf8.starts(with: prefix.utf8) {
      if let name = Name(validating: entry.name.utf8.dropFirst(prefix.utf8.count)) {
        try result.append(name, entry.tensor)
      }
    }
    result.metadata = state.metadata
    return result
  }

  /// Goes on with the same text up to `limit` steps or so many epochs, or as the plan says.
  ///
  /// Throws `train.text-changed` for another text, `train.checkpoint` for tensors that do not fit.
  package func resume<S: Scalar>(
    _ type: S.Type = S.self, text: [UInt8], limit: Int? = nil, epochs: Double? = nil,
    processes: any TrainingProcesses = SingleProcess()
  ) throws -> LanguageModelTrainer<S> {
    do {
      guard TextFingerprint(text) == fingerprint else {
        throw RecurrentError(
          .trainTextChanged, found: "another text of \(text.count) bytes",
          expected: "the \(fingerprint.count) bytes that the checkpoint was trained on")
      }
      guard processes.count == processCount else {
        throw RecurrentError(
          .trainProcesses, found: "\(processes.count) processes",
          expected: "\(processCount), as the training began")
      }
      guard let vocabularyText = state.metadata[Vocabulary.metadataKey] else {
        throw Self.refusal("no vocabulary")
      }
      let vocabulary = try Vocabulary(metadata: vocabularyText)
      var plan = plan
      if let epochs { (plan.limit, plan.epochs) = (0, epochs) }
      if let limit { plan.limit = limit }
      var trainer = try LanguageModelTrainer<S>(
        plan, vocabulary: vocabulary, text: text, processes: processes
      ) {
        try model("model.", vocabulary)
      }
      let optimizerState = try Self.part("optimizer.", of: state)
      var memory = Parameters<S>()
      for entry in optimizerState.entries {
        memory.append(entry.name.string, try NDArray(entry.tensor))
      }
      try trainer.optimizer.restore(memory)
      if let h = state["state.h"] {
        trainer.state = .init(
          h: try processes.ownRows(NDArray(h)),
          c: try state["state.c"].map { try processes.ownRows(NDArray($0)) })
      }
      guard let generator = state["generator.dropout"], let losses = state["validation.losses"]
      else { throw Self.refusal("no generator or no validations") }
      trainer.dropoutGenerator = try TorchGenerator(stateBytes: generator.bytes())
      trainer.validations = try losses.doubles()
      trainer.stepCount = stepCount
      if state.names.contains(where: { $0.utf8.starts(with: "best.".utf8) }) {
        trainer.best = try model("best.", vocabulary)
      }
      trainer.replayLearningRate()
      return trainer
    } catch let error as RecurrentError {
      throw error.inFile(path)
    }
  }

  private func model<S: Scalar>(
    _ prefix: String, _ vocabulary: Vocabulary
  ) throws -> LanguageModel<S> {
    let network = try Network(Self.part(prefix, of: state))
    var result = try LanguageModel<S>(
      network.model(batchFirst: false), vocabulary: vocabulary)
    let found = result.network.rnn.configuration
    guard found.cell == plan.cell, found.hiddenSize == plan.hiddenSize,
      found.layerCount == plan.layerCount,
      result.network.embedding?.weight.shape[1] ?? 0 == plan.embeddingSize
    else { throw Self.refusal("weights of \(result.architecture.summary)") }
    // Weights do not say what is dropped between layers.
    var configuration = found
    configuration.dropout = plan.dropout
    result.network.rnn = try RNN(configuration, parameters: result.network.rnn.parameters)
    return result
  }
}

extension LanguageModelTrainer {
  /// Goes on from a checkpoint with the same text, to the same bits as if training had never stopped.
  ///
  /// Throws `train.text-changed` for another text, `train.checkpoint` for a file that is no checkpoint or whose tensors
  /// do not fit.
  public init(resuming path: String, text: [UInt8]) throws {
    self = try TrainingCheckpoint(path: path).resume(S.self, text: text)
  }

  /// Replaces the checkpoint at a path, read back and compared before it appears.
  ///
  /// All processes call it, and the first one writes.
  ///
  /// Throws what writing throws; then the checkpoint that was there stays.
  public func writeCheckpoint(to path: String) throws {
    let state = try checkpoint()
    guard processes.rank == 0 else { return }
    try WeightFormat.safetensors.write(state, to: path, overwrite: true) { written in
      try written.checkReadBack(of: state)
    }
  }

  private func checkpoint() throws -> StateDict {
    let model = try current.stateDict()
    var state = StateDict()
    state.metadata = model.metadata
    for entry in model.entries { try state.append("model.\(entry.name)", entry.tensor) }
    for entry in try best?.stateDict().entries ?? [] {
      try state.append("best.\(entry.name)", entry.tensor)
    }
    for (name, array) in optimizer.state.entries {
      try state.append("optimizer.\(name)", array.tensor)
    }
    if let h = self.state.h { try state.append("state.h", processes.gatherRows(h).tensor) }
    if let c = self.state.c { try state.append("state.c", processes.gatherRows(c).tensor) }
    let generator = dropoutGenerator.stateBytes
    try state.append(
      "generator.dropout", Tensor(dtype: .u8, shape: [generator.count], bytes: generator))
    try state.append("validation.losses", .make(validations, shape: [validations.count]))
    state.metadata[TrainingCheckpoint.metadataKey] =
      JSON.object([
        "version": .number(1), "step": .number(stepCount),
        "processes": .number(processes.count), "text_bytes": .number(fingerprint.count),
        "text_hash": .string(fingerprint.hash),
        "plan": plan.json,
      ]).serialized()
    return state
  }

  /// Brings a fresh schedule to where it was: schedules go from rate to rate.
  fileprivate mutating func replayLearningRate() {
    var validated = 0
    for step in 0..<stepCount {
      rate.step()
      if (step + 1) % plan.validateEvery == 0, validated < validations.count {
        rate.observe(validations[validated])
        validated += 1
      }
    }
  }
}

/// What tells one text from another.
struct TextFingerprint: Sendable, Equatable {
  let count: Int
  let hash: String

  init(count: Int, hash: String) { (self.count, self.hash) = (count, hash) }

  init(_ text: [UInt8]) {
    // FNV-1a, 64 bits: guards against mistakes, not against malice.
    let hash = text.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    self.init(count: text.count, hash: String(hash, radix: 16))
  }
}
