import ArgumentParser
import Bytes
import CommandSupport
import HostSystem
import Recurrent

/// Trains a language model on a text file.
struct TrainCommand: Tool {
  static let toolName = "rnn-train"
  static let consequence: String? = "The model was not written."
  static let configuration = CommandConfiguration(
    commandName: toolName,
    abstract: "Train a character, byte or word language model on a text file.",
    usage: "rnn-train TEXT MODEL [OPTIONS]\nrnn-train sample MODEL [OPTIONS]\n"
      + "rnn-train plot LOG PAGE [OPTIONS]",
    discussion: """
      The network is --cell × --layers with a linear layer on top, trained by truncated \
      backpropagation through time: the batch's rows start at equal distances in the text, the \
      state is carried from block to block, and the end wraps around. The container of MODEL \
      follows its extension.

      Ctrl-C saves MODEL.checkpoint and ends; --resume goes on as if nothing had happened, to the \
      last bit. The vocabulary is stored in the model.

      Examples:
        rnn-train shakespeare.txt model.h5 --hidden 256 --layers 2 --epochs 20
        rnn-train shakespeare.txt model.h5 --resume --epochs 40
        rnn-train sample model.h5 --prompt "ROMEO:" --length 500 --temperature 0.8
        rnn-train shakespeare.txt model.h5 --html training.html

      rnn-train sample --help lists the options of sampling, rnn-train plot --help those of drawing. \
      A text file that is called "sample" or "plot" is given as ./sample or ./plot.
      """, version: toolVersion)

  @Argument(help: .init("The text to learn.", valueName: "TEXT"), completion: .file())
  var text: String
  @Argument(help: .init("The model file to write.", valueName: "MODEL"), completion: .file())
  var model: String
  @OptionGroup var options: PlanOptions
  @OptionGroup var run: RunOptions

  static let subcommands: [any Tool.Type] = [SampleCommand.self, PlotCommand.self]
  var json: Bool { run.json }
  private var checkpointPath: String { run.checkpoint ?? model + ".checkpoint" }

  func check() throws {
    if options.steps != nil, options.epochs != nil {
      throw RecurrentError(
        .trainOption, found: "--epochs and --steps", expected: "one of them")
    }
    try withFlags(givenPlan)
    _ = try (
      run.stepsBetweenCheckpoints(), run.stepsBetweenLines(), run.stepsBetweenSamples()
    )
    // Hours of work should not end at a name that cannot be written.
    try checkContainer()
    try checkDistinct([
      ("TEXT", text), ("MODEL", model), ("--checkpoint", checkpointPath), ("--log", run.log),
      ("--html", run.html),
    ])
  }

  /// What the options say, checked before any file is looked at.
  private func givenPlan() throws {
    var plan = TrainingPlan()
    for (name, value) in options.given { try plan.set(name, value) }
    if let steps = options.steps, plan.limit == 0,
      let field = TrainingPlan.fields.first(where: { $0.name == "steps" })
    {
      // A plan without a limit has 0 there; nobody asks for that.
      throw RecurrentError(
        .trainOption, at: "steps", found: "\"\(steps)\"", expected: field.allowed)
    }
    // The other options of a training that goes on are in its checkpoint.
    if !run.resume { try plan.validate() }
  }

  mutating func perform() throws -> Int32 { try withFlags(trainOrResume) }

  private func withFlags<Result>(_ work: () throws -> Result) throws -> Result {
    do {
      return try work()
    } catch var error as RecurrentError where error.reason == .trainOption {
      // The plan's fields are flags here.
      if let field = error.place, TrainingPlan.fields.contains(where: { $0.name == field }) {
        error.place = "--\(field)"
      }
      throw error
    }
  }

  private func trainOrResume() throws -> Int32 {
    let given = options.given
    let processes = try OpenMPI.launched()
    try checkWritable(model, hint: nil)
    try checkWritable(
      checkpointPath, hint: "Use --resume to go on from it, or --force to begin again.")
    let bytes = try readText()
    if run.resume {
      let saved = try savedTraining()
      try checkAgreement(of: given, with: saved.plan)
      return saved.plan.precision == .f64
        ? try train(resumed(saved, bytes, processes, Double.self), processes)
        : try train(resumed(saved, bytes, processes, Float.self), processes)
    }
    var plan = TrainingPlan()
    for (name, value) in given { try plan.set(name, value) }
    do {
      return plan.precision == .f64
        ? try train(
          LanguageModelTrainer<Double>(plan, text: bytes, processes: processes ?? SingleProcess()),
          processes)
        : try train(
          LanguageModelTrainer<Float>(plan, text: bytes, processes: processes ?? SingleProcess()),
          processes)
    } catch let error as RecurrentError {
      throw error.kind == .argument ? error : error.inFile(text)
    }
  }

  private func checkContainer() throws {
    do {
      _ = try WeightFormat.forWriting(path: model)
    } catch var error as RecurrentError {
      // There is no other way to name the container.
      if error.advice == "Name the container with \(.outputFormat)." {
        error.advice = "MODEL's extension says how it is stored: \(model).h5, say."
      }
      throw error
    }
  }

  private func readText() throws -> [UInt8] {
    do {
      return try InputFile(path: text).readAll()
    } catch var error as RecurrentError {
      switch error.reason {
      case .fileNotRegular:
        error.advice =
          "TEXT is one plain file: join several, or save what a pipe says, with cat … > text.txt."
      case .fileMissing where nearest(to: text, among: ["sample"]) != nil:
        error.advice = "Did you mean rnn-train sample?"
      default: break
      }
      throw error.inFile(text)
    }
  }

  private func savedTraining() throws -> TrainingCheckpoint {
    do {
      return try TrainingCheckpoint(path: checkpointPath)
    } catch var error as RecurrentError {
      if error.reason == .fileMissing {
        error.advice = "There is nothing to go on from: leave --resume out to begin."
      }
      throw error
    }
  }

  private func checkWritable(_ path: String, hint: Advice?) throws {
    do {
      try OutputFile(path: path, overwrite: run.force || run.resume).discard()
    } catch var error as RecurrentError {
      if let hint, error.reason == .outputExists { error.advice = hint }
      throw error.inFile(path)
    }
  }

  /// What decides the weights cannot change on the way.
  private func checkAgreement(
    of given: [(name: String, value: String)], with saved: TrainingPlan
  ) throws {
    var plan = saved
    for (name, value) in given { try plan.set(name, value) }
    for field in TrainingPlan.fields where field.name != "steps" && field.name != "epochs" {
      guard field.text(plan) == field.text(saved) else {
        throw RecurrentError(
          .trainResumeOptions, at: "--\(field.name)", found: field.text(plan),
          expected: "\(field.text(saved)), as the training began",
          hint: "Leave the option out, or begin again with --force.")
      }
    }
  }

  private func resumed<S: Scalar>(
    _ saved: TrainingCheckpoint, _ bytes: [UInt8], _ processes: OpenMPI?, _ type: S.Type
  ) throws -> LanguageModelTrainer<S> {
    var plan = saved.plan
    for (name, value) in options.given { try plan.set(name, value) }
    return try saved.resume(
      text: bytes, limit: options.steps == nil ? nil : plan.limit,
      epochs: options.epochs == nil ? nil : plan.epochs,
      processes: processes ?? SingleProcess())
  }

  private func train<S: Scalar>(
    _ start: LanguageModelTrainer<S>, _ processes: OpenMPI?
  ) throws -> Int32 {
    var trainer = start
    let isFirst = start.processes.rank == 0
    let record =
      try isFirst
      ? TrainingRecord(run, model: model) : nil
    let stepsBetweenCheckpoints = try run.stepsBetweenCheckpoints()
    let display = try TrainingDisplay(
      isQuiet: run.quiet || json || !isFirst, printEvery: run.stepsBetweenLines(),
      unit: trainer.plan.level == .word ? .word : .char)
    try display.begin(trainer)
    try record?.begin(trainer, text: text, isResumed: run.resume)
    Interruption.deferSignals()
    var last: LanguageModelTrainer<S>.Step?
    var stop = 0
    var isPatienceKnown = processes == nil || !isFirst || run.quiet || json
    while !trainer.isFinished {
      // All processes must stop after the same step.
      stop = Int(Interruption.signal ?? 0)
      if let processes { stop = try processes.largest(stop) }
      if stop != 0 { break }
      let began = seconds()
      let step: LanguageModelTrainer<S>.Step
      do {
        step = try trainer.advance()
      } catch let error as RecurrentError where error.reason == .trainDiverged {
        try record?.end("diverged", trainer)
        throw error
      }
      last = step
      if !isPatienceKnown, seconds() - began > 0.3 {
        isPatienceKnown = true
        Output.complain(
          "note: mpirun ends everything a second or two after Ctrl-C, and a step may take longer;"
            + " kill -INT \(getpid()) saves in any case.\n")
      }
      try record?.add(display.record(step), of: trainer)
      try display.show(step, of: trainer)
      if stepsBetweenCheckpoints > 0, step.number % stepsBetweenCheckpoints == 0 {
        try trainer.writeCheckpoint(to: checkpointPath)
        try record?.refresh()
      }
    }
    display.clear()
    try trainer.writeCheckpoint(to: checkpointPath)
    let signal = stop == 0 ? nil : Int32(stop)
    defer { processes?.finish() }
    guard isFirst else { return 0 }
    var finalLoss: Double?
    if signal == nil {
      finalLoss = try finish(&trainer)
    }
    let reason = signal != nil ? "signal" : trainer.hasStalled ? "patience" : "limit"
    // What is written to files does not depend on whether anybody listens.
    try record?.end(reason, trainer)
    if json {
      Output.line(
        display.summary(
          trainer, last: last, validation: finalLoss, stop: reason,
          files: (signal == nil ? model : nil, checkpointPath)
        ).serialized())
    } else if !run.quiet {
      display.end(trainer, validation: finalLoss, model: signal == nil ? model : nil)
    }
    if let signal {
      Output.complain(
        "rnn-train: stopped at step \(trainer.stepCount); \(escapedForTerminal(checkpointPath)) is"
          + " saved.\nhint: the same command with --resume goes on.\n")
      processes?.finish()
      endProcess(by: signal)
    }
    return 0
  }

  /// Writes the model with the better of its weights: a last validation, which the checkpoint does not
  /// know of, may find the present ones better than those of earlier validations.
  private func finish<S: Scalar>(_ trainer: inout LanguageModelTrainer<S>) throws -> Double? {
    let loss = try trainer.validationLoss()
    let earlier = trainer.validations.min()
    let isBetter = loss.map { $0 < earlier ?? .infinity } ?? true
    let result = try isBetter ? trainer.current : trainer.result
    try result.write(toPath: model, overwrite: run.force || run.resume)
    if let format = try? WeightFormat.forWriting(path: model), !format.carriesMetadata, !run.quiet,
      !json
    {
      Output.complain(
        "note: \(format.name) files hold no vocabulary; sample with --vocabulary"
          + " \(escapedForTerminal(checkpointPath)).\n")
    }
    return isBetter ? loss : earlier
  }
}
