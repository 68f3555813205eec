import ArgumentParser
import Recurrent

/// The options that decide what is computed; they are the fields of `TrainingPlan` under their names.
struct PlanOptions: ParsableArguments {
  @Option(
    help: .init("Tokens: byte, char or word (default: char).", valueName: "LEVEL"),
    completion: .list(words(Vocabulary.Level.self)))
  var level: String?
  @Option(help: .init("At level word, keep the most frequent words only.", valueName: "N"))
  var vocabularySize: String?
  @Option(
    help: .init("rnn_tanh, rnn_relu, lstm or gru (default: lstm).", valueName: "CELL"),
    completion: .list(words(Cell.self)))
  var cell: String?
  @Option(help: .init("Hidden size (default: 128).", valueName: "N"))
  var hidden: String?
  @Option(help: .init("Layers (default: 1).", valueName: "N"))
  var layers: String?
  @Option(help: .init("Embedding size; 0 reads one-hot vectors (default: 0).", valueName: "N"))
  var embedding: String?
  @Option(help: .init("Dropout between layers (default: 0).", valueName: "SHARE"))
  var dropout: String?
  @Option(help: .init("Rows of a batch (default: 32).", valueName: "N"))
  var batch: String?
  @Option(
    help: .init("Steps of a block, how far gradients look back (default: 64).", valueName: "N"))
  var bptt: String?
  @Option(
    help: .init("adam, adamw, sgd, rmsprop or adagrad (default: adam).", valueName: "NAME"),
    completion: .list(words(TrainingPlan.OptimizerName.self)))
  var optimizer: String?
  @Option(help: .init("Learning rate (default: 0.002).", valueName: "RATE"))
  var lr: String?
  @Option(help: .init("Momentum of sgd and rmsprop (default: 0).", valueName: "X"))
  var momentum: String?
  @Option(help: .init("Weight decay (default: 0).", valueName: "X"))
  var weightDecay: String?
  @Option(
    help: .init(
      "constant, cosine, step, exponential or plateau (default: constant).", valueName: "NAME"),
    completion: .list(words(TrainingPlan.ScheduleName.self)))
  var schedule: String?
  @Option(
    help: .init(
      "Steps of cosine and step, validations of plateau (default: all; 2).", valueName: "N"))
  var period: String?
  @Option(help: .init("Factor of step, exponential and plateau (default: 0.5).", valueName: "X"))
  var factor: String?
  @Option(help: .init("Steps in which the learning rate rises (default: 0).", valueName: "N"))
  var warmUp: String?
  @Option(help: .init("Largest norm of all gradients; 0 for any (default: 5).", valueName: "X"))
  var clipNorm: String?
  @Option(help: .init("Largest element of the gradients; 0 for any (default: 0).", valueName: "X"))
  var clipValue: String?
  @Option(
    help: .init("Share of the text, its end, to validate on (default: 0.1).", valueName: "SHARE"))
  var validation: String?
  @Option(help: .init("Steps between validations (default: once per epoch).", valueName: "N"))
  var validateEvery: String?
  @Option(
    help: .init(
      "Stop after so many validations without improvement (default: never).", valueName: "N"))
  var patience: String?
  @Option(help: .init("Seed of weights and dropout (default: 0).", valueName: "N"))
  var seed: String?
  @Option(
    help: .init("Arithmetic and weights: f32 or f64 (default: f32).", valueName: "TYPE"),
    completion: .list(["f32", "f64"]))
  var dtype: String?
  @Option(help: .init("Steps in all, instead of --epochs.", valueName: "N"))
  var steps: String?
  @Option(help: .init("Passes through the text (default: 10).", valueName: "X"))
  var epochs: String?

  /// What was given on the command line, in the order of the fields.
  var given: [(name: String, value: String)] {
    let all: [(String, String?)] = [
      ("level", level), ("vocabulary-size", vocabularySize), ("cell", cell), ("hidden", hidden),
      ("layers", layers), ("embedding", embedding), ("dropout", dropout), ("batch", batch),
      ("bptt", bptt), ("optimizer", optimizer), ("lr", lr), ("momentum", momentum),
      ("weight-decay", weightDecay), ("schedule", schedule), ("period", period),
      ("factor", factor), ("warm-up", warmUp), ("clip-norm", clipNorm),
      ("clip-value", clipValue), ("validation", validation), ("validate-every", validateEvery),
      ("patience", patience), ("seed", seed), ("dtype", dtype), ("steps", steps),
      ("epochs", epochs),
    ]
    return all.compactMap { name, value in value.map { (name, $0) } }
  }
}

private func words<T: CaseIterable & RawRepresentable<String>>(_ type: T.Type) -> [String] {
  T.allCases.map(\.rawValue)
}
