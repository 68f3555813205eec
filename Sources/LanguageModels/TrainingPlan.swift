import Containers
import Frameworks
import RNNEngine
import Tensors

/// Everything that decides what a training computes, apart from the text.
///
/// Equal plans and equal texts give equal weights, to the last bit, on one machine.
public struct TrainingPlan: Sendable, Equatable {
  /// The rule that changes the weights.
  public enum OptimizerName: String, Sendable, CaseIterable {
    /// ``RNNEngine/Adam``, with weight decay in the gradient.
    case adam
    /// ``RNNEngine/Adam`` with decoupled weight decay.
    case adamw
    /// ``RNNEngine/SGD``.
    case sgd
    /// ``RNNEngine/RMSprop``.
    case rmsprop
    /// ``RNNEngine/Adagrad``.
    case adagrad
  }

  /// How the learning rate changes.
  public enum ScheduleName: String, Sendable, CaseIterable {
    /// Not at all.
    case constant
    /// Down to 0 along half a cosine in `period` steps.
    case cosine
    /// Times `factor` every `period` steps.
    case step
    /// Times `factor` in every step.
    case exponential
    /// Times `factor` after `period` validations without improvement.
    case plateau
  }

  /// What one token is.
  public var level = Vocabulary.Level.char
  /// At most so many words; 0 for all.
  public var vocabularySize = 0
  /// The recurrent cell.
  public var cell = Cell.lstm
  /// H.
  public var hiddenSize = 128
  /// L.
  public var layerCount = 1
  /// The features of the embedding; 0 feeds one-hot vectors instead.
  public var embeddingSize = 0
  /// The dropout between layers.
  public var dropout = 0.0
  /// N, the rows of a batch.
  public var rows = 32
  /// T, the steps of a block: how far backpropagation looks back.
  public var blockSteps = 64
  /// The rule that changes the weights.
  public var optimizer = OptimizerName.adam
  /// The learning rate.
  public var learningRate = 2e-3
  /// The momentum of `sgd` and `rmsprop`.
  public var momentum = 0.0
  /// The factor of weight decay.
  public var weightDecay = 0.0
  /// How the learning rate changes.
  public var schedule = ScheduleName.constant
  /// The steps or validations of the schedule; 0 stands for the whole training.
  public var period = 0
  /// The factor of the schedule.
  public var factor = 0.5
  /// The steps in which the learning rate rises to its full value.
  public var warmUp = 0
  /// The largest global 2-norm of the gradients; 0 for any.
  public var clipNorm = 5.0
  /// The largest element of the gradients; 0 for any.
  public var clipValue = 0.0
  /// The share of the text, at its end, that is not trained on.
  public var validation = 0.1
  /// The steps between validations; 0 for once per epoch.
  public var validateEvery = 0
  /// The validations without improvement after which training stops; 0 for never.
  public var patience = 0
  /// The seed of the weights and of dropout.
  public var seed = 0
  /// The element type: f32 or f64.
  public var precision = DType.f32
  /// The steps after which training ends; 0 stands for `epochs`.
  public var limit = 0
  /// How often every row goes through its part of the text, if there is no `limit`.
  public var epochs = 10.0

  /// The defaults.
  public init() {}
}

// One table says how every field is named on the command line and in checkpoints, and what it allows.
extension TrainingPlan {
  /// One field under its name, which is that of the flag of `rnn-train`.
  package struct Field {
    /// The name.
    package let name: String
    /// The value as text.
    package let text: (TrainingPlan) -> String
    /// What is allowed.
    package let allowed: String
    /// The words to choose from; empty for numbers.
    var words: [String] = []
    let set: (inout TrainingPlan, String) -> Bool

    static func number(
      _ name: String, _ path: WritableKeyPath<TrainingPlan, Int>, _ range: ClosedRange<Int>,
      unset: Int? = nil
    ) -> Field {
      Field(
        name: name, text: { "\($0[keyPath: path])" },
        allowed: range.upperBound == .max
          ? "a whole number of at least \(range.lowerBound), below 2^63"
          : "a whole number from \(range.lowerBound) to \(grouped(range.upperBound))"
      ) { plan, text in
        guard let value = Int(text), range.contains(value) || value == unset else { return false }
        plan[keyPath: path] = value
        return true
      }
    }

    static func number(
      _ name: String, _ path: WritableKeyPath<TrainingPlan, Double>, _ range: Range<Double>,
      _ words: String
    ) -> Field {
      Field(
        name: name, text: { "\($0[keyPath: path])" },
        allowed: words
      ) { plan, text in
        guard let value = Double(text), range.contains(value) else { return false }
        plan[keyPath: path] = value
        return true
      }
    }

    static func choice<Value: RawRepresentable<String>>(
      _ name: String, _ path: WritableKeyPath<TrainingPlan, Value>, _ values: [Value]
    ) -> Field {
      Field(
        name: name, text: { $0[keyPath: path].rawValue },
        allowed: "one of " + values.map(\.rawValue).joined(separator: ", "),
        words: values.map(\.rawValue)
      ) { plan, text in
        guard let value = values.first(where: { $0.rawValue == text }) else { return false }
        plan[keyPath: path] = value
        return true
      }
    }
  }

  /// A bound for counts of steps that files and users give.
  static let mostSteps = 1 << 32

  /// All fields, in order.
  package static var fields: [Field] {
    let many = 1 << 30
    let share = "a number of at least 0 and below 1"
    let million = "a number of at least 0 and below 1,000,000"
    return [
      .choice("level", \.level, Vocabulary.Level.allCases),
      .number("vocabulary-size", \.vocabularySize, 0...many),
      .choice("cell", \.cell, Cell.allCases),
      .number("hidden", \.hiddenSize, 1...1 << 16),
      .number("layers", \.layerCount, 1...64),
      .number("embedding", \.embeddingSize, 0...1 << 16),
      .number("dropout", \.dropout, 0..<1, share),
      .number("batch", \.rows, 1...1 << 20),
      .number("bptt", \.blockSteps, 1...1 << 20),
      .choice("optimizer", \.optimizer, OptimizerName.allCases),
      .number("lr", \.learningRate, 0..<1e6, million),
      .number("momentum", \.momentum, 0..<1, share),
      .number("weight-decay", \.weightDecay, 0..<1e6, million),
      .choice("schedule", \.schedule, ScheduleName.allCases),
      .number("period", \.period, 0...many),
      .number("factor", \.factor, 0..<1.0.nextUp, "a number from 0 to 1"),
      .number("warm-up", \.warmUp, 0...many),
      .number("clip-norm", \.clipNorm, 0..<1e300, "a number of at least 0 and below 1e300"),
      .number("clip-value", \.clipValue, 0..<1e300, "a number of at least 0 and below 1e300"),
      .number("validation", \.validation, 0..<1, share),
      .number("validate-every", \.validateEvery, 0...many),
      .number("patience", \.patience, 0...many),
      .number("seed", \.seed, 0...Int.max),
      .choice("dtype", \.precision, [.f32, .f64]),
      .number("steps", \.limit, 1...Self.mostSteps, unset: 0),
      .number(
        "epochs", \.epochs, Double.leastNonzeroMagnitude..<1e9,
        "a number above 0 and below 1,000,000,000"),
    ]
  }

  /// Sets the field with a name; throws `train.option` for an unknown name or a value out of range.
  package mutating func set(_ name: String, _ text: String) throws {
    guard let field = Self.fields.first(where: { $0.name == name }) else {
      throw RecurrentError(
        .trainOption, at: name, found: "option \"\(name)\"",
        expected: "one of " + Self.fields.map(\.name).joined(separator: ", "))
    }
    guard field.set(&self, text) else {
      throw RecurrentError(
        .trainOption, at: name, found: "\"\(text)\"", expected: field.allowed,
        hint: nearest(to: text, among: field.words).map { "Did you mean \($0)?" })
    }
  }

  /// Throws `train.option` for fields that contradict each other.
  public func validate() throws {
    let needsValidation: Advice = "Set \(.validation) above 0."
    let contradictions: [(Bool, String, String, String, Advice?)] = [
      (
        dropout > 0 && layerCount < 2, "dropout", "\(dropout) with one layer",
        "at least 2 layers: dropout lies between them", "Set \(.layerCount) to 2 or more."
      ),
      (
        patience > 0 && validation == 0, "patience", "\(patience) without validation",
        "a part of the text to validate on", needsValidation
      ),
      (
        schedule == .plateau && validation == 0, "schedule", "plateau without validation",
        "a part of the text to validate on", needsValidation
      ),
      (
        vocabularySize == 1 || vocabularySize > 0 && level != .word, "vocabulary-size",
        "\(vocabularySize) at level \(level.rawValue)", "at least 2, at level word", nil
      ),
      (
        momentum > 0 && optimizer != .sgd && optimizer != .rmsprop, "momentum",
        "\(momentum) with \(optimizer.rawValue)", "optimizer sgd or rmsprop", nil
      ),
    ]
    for (isWrong, place, found, expected, hint) in contradictions where isWrong {
      throw RecurrentError(
        .trainOption, at: place, found: found, expected: expected, hint: hint)
    }
  }

  /// All fields as text, for checkpoints.
  var json: JSON {
    .object(Self.fields.map { .init(key: $0.name, value: .string($0.text(self))) })
  }

  /// Reads the fields of a checkpoint; what it does not have keeps its default.
  init(_ json: JSON) throws {
    self.init()
    for member in json.objectValue ?? [] { try set(member.key, member.value.stringValue ?? "") }
  }
}

/// `65,536`.
private func grouped(_ number: Int) -> String {
  let digits = String(number)
  return digits.enumerated().map { index, digit in
    index > 0 && (digits.count - index) % 3 == 0 ? ",\(digit)" : "\(digit)"
  }.joined()
}
