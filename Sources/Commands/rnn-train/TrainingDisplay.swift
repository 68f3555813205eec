import CommandSupport
import HostSystem
import Recurrent

/// What a person sees of a training: a live line on a terminal, else a line now and then.
final class TrainingDisplay {
  /// What losses are told in.
  enum Unit {
    /// Bits per character or byte.
    case char
    /// Perplexity.
    case word
  }

  private let isQuiet: Bool
  private let printEvery: Int
  private let unit: Unit
  private let isLive = isatty(STDERR_FILENO) == 1
  private let start = seconds()
  private var firstStep = 0
  private var lastDrawn = 0.0
  private var isVisible = false
  private var smoothLoss: Double?

  init(isQuiet: Bool, printEvery: Int, unit: Unit) {
    self.isQuiet = isQuiet
    self.printEvery = printEvery
    self.unit = unit
  }

  func begin<S>(_ trainer: LanguageModelTrainer<S>) throws {
    firstStep = trainer.stepCount
    guard !isQuiet else { return }
    let noun = trainer.plan.level.rawValue
    Output.complain(
      "\(try trainer.current.architecture.summary)\n"
        + "\(counted(trainer.tokenCount, noun)) to train on, \(grouped(trainer.heldOutCount)) to"
        + " validate on, \(grouped(trainer.vocabulary.count)) different;"
        + " \(grouped(trainer.plan.limit)) steps, \(grouped(trainer.stepsPerEpoch)) per epoch\n"
        + (firstStep > 0 ? "resumed after step \(grouped(firstStep))\n" : ""))
  }

  /// `2.213 bits per char`, or `perplexity 91.3`.
  private func told(_ loss: Double) -> String {
    switch unit {
    case .char: "\(rounded(loss / Double.log(2))) bits/char"
    case .word: "perplexity \(rounded(Double.exp(loss)))"
    }
  }

  func show<S>(
    _ step: LanguageModelTrainer<S>.Step, of trainer: LanguageModelTrainer<S>
  ) throws {
    smoothLoss = smoothLoss.map { $0 * 0.95 + step.loss * 0.05 } ?? step.loss
    guard !isQuiet else { return }
    let now = seconds()
    let isLast = step.number == trainer.plan.limit
    let line = { self.line(step, trainer, now: now) }
    if isLive {
      if now - lastDrawn >= 0.1 || isLast {
        lastDrawn = now
        isVisible = true
        Output.complain("\r" + String(line().prefix(terminalWidth() - 1)) + "\u{1B}[K")
      }
    } else if printEvery > 0, step.number % printEvery == 0 || isLast {
      Output.complain(line() + "\n")
    }
    if let loss = step.validation {
      let isBest = loss == trainer.validations.min()
      clear()
      Output.complain(
        "step \(grouped(step.number)): validation loss \(rounded(loss)), \(told(loss))"
          + (isBest ? ", the best so far\n" : "\n"))
    }
  }

  private func line<S>(
    _ step: LanguageModelTrainer<S>.Step, _ trainer: LanguageModelTrainer<S>, now: Double
  ) -> String {
    let loss = smoothLoss ?? step.loss
    let elapsed = max(1e-6, now - start)
    let rate = Double(step.number - firstStep) / elapsed
    let left = Int(Double(trainer.plan.limit - step.number) / rate + 0.5)
    let speed = Int(rate * Double(trainer.tokensPerStep))
    return "step \(grouped(step.number)) of \(grouped(trainer.plan.limit))  loss \(rounded(loss))  "
      + "\(told(loss))  \(grouped(speed)) \(trainer.plan.level.rawValue)s/s  \(clock(left)) left"
  }

  /// Erases the live line.
  func clear() {
    if isVisible { Output.complain("\r\u{1B}[K") }
    isVisible = false
  }

  /// A step for `--log`.
  func record<S>(_ step: LanguageModelTrainer<S>.Step) -> JSON {
    var members: [JSON.Member] = [
      .init(key: "step", value: .number(step.number)),
      .init(key: "loss", value: .number(step.loss)), measure(step.loss),
      .init(key: "gradient_norm", value: .number(step.gradientNorm)),
      .init(key: "learning_rate", value: .number(step.learningRate)),
      .init(key: "seconds", value: .number(seconds() - start)),
    ]
    if let loss = step.validation {
      members.append(.init(key: "validation_loss", value: .number(loss)))
    }
    return .object(members)
  }

  private func measure(_ loss: Double) -> JSON.Member {
    unit == .char
      ? .init(key: "bits_per_character", value: .number(loss / Double.log(2)))
      : .init(key: "perplexity", value: .number(Double.exp(loss)))
  }

  /// The result for `--json`.
  func summary<S>(
    _ trainer: LanguageModelTrainer<S>, last: LanguageModelTrainer<S>.Step?, validation: Double?,
    stop: String, files: (model: String?, checkpoint: String)
  ) -> JSON {
    var members: [JSON.Member] = [
      .init(key: "model", value: files.model.map { .string($0) } ?? .null),
      .init(key: "checkpoint", value: .string(files.checkpoint)),
      .init(key: "stopped", value: .string(stop)),
      .init(key: "steps", value: .number(trainer.stepCount)),
      .init(key: "loss", value: last.map { .number($0.loss) } ?? .null),
      .init(key: "validation_loss", value: validation.map { .number($0) } ?? .null),
      .init(key: "seconds", value: .number(seconds() - start)),
    ]
    if let loss = validation ?? last?.loss { members.append(measure(loss)) }
    return .object(members)
  }

  /// The last line for people.
  func end<S>(_ trainer: LanguageModelTrainer<S>, validation: Double?, model: String?) {
    guard let model else { return }
    let loss = validation ?? smoothLoss
    Output.line(
      "\(escapedForTerminal(model)): \(grouped(trainer.stepCount)) steps"
        + (trainer.hasStalled ? ", stopped early" : "")
        + (loss.map {
          ", \(validation == nil ? "" : "validation ")loss \(rounded($0)), \(told($0))"
        }
          ?? "") + ", \(clock(Int(seconds() - start)))")
  }
}

private func rounded(_ value: Double) -> String { short((value * 1000).rounded() / 1000) }

private func clock(_ seconds: Int) -> String {
  let (minutes, rest) = (max(0, seconds) / 60, max(0, seconds) % 60)
  let tail = rest < 10 ? "0\(rest)" : "\(rest)"
  guard minutes >= 60 else { return "\(minutes):\(tail)" }
  return "\(minutes / 60):\(minutes % 60 < 10 ? "0" : "")\(minutes % 60):\(tail)"
}
