import Bytes
import CommandSupport
import Recurrent

/// What a training leaves behind besides the model: the log, the page, and samples for both.
///
/// None of it touches the training: samples come from a copy of the model and random numbers of their own.
final class TrainingRecord {
  private let file: LogFile?
  private let page: PageFile?
  private let title: String
  private let sampleEvery: Int?
  private var log = TrainingLog()
  private var lastSample = -1

  /// Opens what `run` asks for; `nil` where it asks for nothing. A page of a resumed training begins with
  /// the steps that its log has from before.
  init?(_ run: RunOptions, model: String) throws {
    guard run.log != nil || run.html != nil else { return nil }
    page = try run.html.map { try PageFile($0) }
    if page != nil, run.resume, let path = run.log, let earlier = try? TrainingLog(path: path) {
      log = earlier
    }
    file = try run.log.map { try LogFile(path: $0) }
    title = model
    // The log alone stays small unless samples are asked for.
    sampleEvery = try run.stepsBetweenSamples() ?? (run.html == nil ? 0 : nil)
  }

  func begin<S>(_ trainer: LanguageModelTrainer<S>, text: String, isResumed: Bool) throws {
    let plan = trainer.plan
    try write(
      .object([
        "event": .string(isResumed ? "resume" : "start"), "step": .number(trainer.stepCount),
        "model": .string(title), "text": .string(text),
        "network": .string(try trainer.current.architecture.summary),
        "level": .string(plan.level.rawValue), "tokens": .number(trainer.tokenCount),
        "held_out": .number(trainer.heldOutCount),
        "vocabulary": .number(trainer.vocabulary.count), "limit": .number(plan.limit),
        "steps_per_epoch": .number(trainer.stepsPerEpoch),
        "settings": .object(
          TrainingPlan.fields.map { .init(key: $0.name, value: .string($0.text(plan))) }),
      ]))
  }

  /// Takes in a step, and lets the model write when it is time to.
  func add<S>(_ step: JSON, of trainer: LanguageModelTrainer<S>) throws {
    try write(step)
    let interval = sampleEvery ?? max(1, trainer.plan.limit / 10)
    if interval > 0, trainer.stepCount % interval == 0 { try sample(trainer) }
  }

  /// Brings the page up to date.
  func refresh() throws { try page?.write(log, title: title) }

  /// Says how the training ended: `limit`, `patience`, `signal` or `diverged`.
  func end<S>(_ event: String, _ trainer: LanguageModelTrainer<S>) throws {
    if sampleEvery != 0, event != "diverged", lastSample != trainer.stepCount, trainer.stepCount > 0
    {
      try sample(trainer)
    }
    try write(.object(["event": .string(event), "step": .number(trainer.stepCount)]))
    try refresh()
  }

  private func write(_ line: JSON) throws {
    try file?.write(line)
    try log.add(line)
  }

  private func sample<S>(_ trainer: LanguageModelTrainer<S>) throws {
    lastSample = trainer.stepCount
    let length = trainer.plan.level == .word ? 40 : 200
    let text: String
    do {
      text = try trainer.current.text(
        after: "", length: length, choice: TokenChoice(temperature: 0.8), seed: 0)
    } catch let error as RecurrentError where error.reason == .engineSampling {
      // A model about to diverge has nothing to say; its training says so itself.
      return
    }
    try write(
      .object([
        "event": .string("sample"), "step": .number(trainer.stepCount), "text": .string(text),
      ]))
  }
}
