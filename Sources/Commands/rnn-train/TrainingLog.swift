import Bytes
import CommandSupport
import Recurrent

// A line of a log is one JSON object:
//
//   {"event": "start", "step": 0, "model": …, "network": …, "unit": "char", "limit": …, "settings": {…}}
//   {"step": 1, "loss": 4.1, "bits_per_character": 5.9, "gradient_norm": …, "learning_rate": …, "seconds": …}
//   {"event": "sample", "step": 200, "text": …}
//   {"event": "limit", "step": 2000}
//
// A step that ends with a validation has "validation_loss" too. "resume" begins like "start"; "patience",
// "signal" and "diverged" end like "limit". Readers skip events that they do not know.

/// What a training has told about itself, line by line of `--log`.
struct TrainingLog {
  /// One step.
  struct Step: Equatable {
    var number: Int
    /// The mean cross-entropy of the block, in nats per token.
    var loss: Double
    var gradientNorm: Double?
    var learningRate: Double?
    /// Since the training began, without the time between a stop and its resumption.
    var seconds: Double?
    /// The loss on the held-out text, if the step ended with a validation.
    var validation: Double?
  }

  /// What the model wrote after a step.
  struct Sample: Equatable {
    var step: Int
    var text: String
  }

  /// What is trained, as the training began.
  private(set) var model: String?
  private(set) var facts: [(name: String, value: String)] = []
  private(set) var settings: [(name: String, value: String)] = []
  /// The steps after which the training ends.
  private(set) var limit: Int?
  /// What a token is: char, byte or word.
  private(set) var level: String?
  /// Whether losses are told as perplexities, as those of words are.
  private(set) var tellsPerplexity = false
  private(set) var steps: [Step] = []
  private(set) var samples: [Sample] = []
  /// The event that ended the training; `nil` while it goes on.
  private(set) var ending: String?
  /// The trainings that the log tells of before the last one.
  private(set) var earlierTrainings = 0
  /// The time that a resumed training had taken before.
  private var secondsBefore = 0.0
  /// What a reader should know about the log itself.
  private(set) var remarks: [String] = []

  init() {}

  /// Reads a file of `--log`; of several trainings in it the last is kept.
  ///
  /// Throws `json.…` and `train.log` with the line and the column or key, and what reading throws.
  init(path: String) throws {
    do {
      let bytes = try InputFile(path: path).readAll()
      let lines = bytes.split(separator: 0x0A, omittingEmptySubsequences: false)
      for (index, line) in lines.enumerated() where !line.allSatisfy(Self.isBlank) {
        do {
          try add(JSON.parse(Array(line)))
        } catch let error as RecurrentError {
          // A training may be writing the last line just now.
          if index == lines.count - 1, error.reason == .jsonTruncated {
            remarks.append("Line \(index + 1), the last one, is not complete and was left out.")
            continue
          }
          throw Self.located(error, line: index + 1)
        }
      }
      guard !steps.isEmpty else {
        throw RecurrentError(
          .trainLog, found: "no steps",
          expected: "a log of rnn-train, with one JSON object per step")
      }
    } catch let error as RecurrentError {
      throw error.inFile(path)
    }
  }

  private static func isBlank(_ byte: UInt8) -> Bool {
    byte == 0x20 || byte == 0x0D || byte == 0x09
  }

  /// `line 3, column 18` for what stands at a byte of a line, `line 3, key "loss"` for a key.
  private static func located(_ error: RecurrentError, line: Int) -> RecurrentError {
    guard let place = error.place, place.hasPrefix("byte "), let byte = Int(place.dropFirst(5))
    else { return error.within("line \(line)") }
    var error = error
    error.place = "line \(line), column \(byte + 1)"
    return error
  }

  /// Takes in one line; throws `train.log` for a key that is missing or holds something else.
  mutating func add(_ line: JSON) throws {
    guard line.objectValue != nil else {
      throw RecurrentError(
        .trainLog, found: "no object", expected: "one JSON object per line")
    }
    guard let event = line["event"] else {
      try addStep(line)
      return
    }
    guard let event = event.stringValue else { throw Self.error("event", event, "a string") }
    switch event {
    case "start", "resume": try begin(line, isResumed: event == "resume")
    case "sample":
      let step = try Self.integer("step", of: line)
      guard let text = line["text"]?.stringValue else {
        throw Self.error("text", line["text"], "a string")
      }
      forget(from: step, samplesOnly: true)
      samples.append(Sample(step: step, text: text))
    case "limit", "patience", "signal", "diverged": ending = event
    default: break
    }
  }

  private mutating func addStep(_ line: JSON) throws {
    let number = try Self.integer("step", of: line)
    guard let loss = try Self.number("loss", of: line) else {
      throw Self.error("loss", nil, "a number")
    }
    let step = Step(
      number: number, loss: loss, gradientNorm: try Self.number("gradient_norm", of: line),
      learningRate: try Self.number("learning_rate", of: line),
      seconds: try Self.number("seconds", of: line).map { $0 + secondsBefore },
      validation: try Self.number("validation_loss", of: line))
    if line["perplexity"] != nil { tellsPerplexity = true }
    // A training that was killed goes on from its last checkpoint and makes some steps again.
    forget(from: number, samplesOnly: false)
    steps.append(step)
    ending = nil
  }

  private mutating func begin(_ line: JSON, isResumed: Bool) throws {
    let step = try Self.integer("step", of: line)
    if isResumed {
      forget(from: step + 1, samplesOnly: false)
    } else if !steps.isEmpty {
      earlierTrainings += 1
      (steps, samples, tellsPerplexity) = ([], [], false)
    }
    secondsBefore = steps.last?.seconds ?? 0
    ending = nil
    // Logs of earlier versions have none of these.
    model = line["model"]?.stringValue ?? model
    level = line["level"]?.stringValue ?? level
    limit = line["limit"]?.intValue ?? limit
    let names = [("network", "network"), ("text", "text"), ("tokens", "tokens to train on")]
    let more = [
      ("held_out", "tokens to validate on"), ("vocabulary", "different tokens"),
      ("steps_per_epoch", "steps per epoch"),
    ]
    let found = (names + more).compactMap { key, name in
      line[key].map { (name: name, value: Self.text($0)) }
    }
    if !found.isEmpty { facts = found }
    if let members = line["settings"]?.objectValue {
      settings = members.map { ($0.key, Self.text($0.value)) }
    }
  }

  private mutating func forget(from step: Int, samplesOnly: Bool) {
    while let last = samples.last, last.step >= step { samples.removeLast() }
    guard !samplesOnly else { return }
    while let last = steps.last, last.number >= step { steps.removeLast() }
  }

  private static func text(_ json: JSON) -> String {
    json.stringValue ?? json.intValue.map(grouped) ?? json.serialized()
  }

  private static func integer(_ key: String, of line: JSON) throws -> Int {
    guard let number = line[key]?.intValue, number >= 0 else {
      throw error(key, line[key], "a number of steps")
    }
    return number
  }

  /// The number of a key; `nil` where there is none.
  private static func number(_ key: String, of line: JSON) throws -> Double? {
    guard let value = line[key], value != .null else { return nil }
    // JSON has no such numbers; the log spells them as strings.
    let special = ["NaN": Double.nan, "Infinity": .infinity, "-Infinity": -.infinity]
    guard let number = value.doubleValue ?? value.stringValue.flatMap({ special[$0] }) else {
      throw error(key, value, "a number")
    }
    return number
  }

  private static func error(_ key: String, _ found: JSON?, _ expected: String) -> RecurrentError {
    RecurrentError(
      .trainLog, at: "key \"\(key)\"", found: found?.serialized() ?? "no such key",
      expected: expected)
  }
}
