import ArgumentParser
import Recurrent

/// The options that decide what is computed; they are the fields of `TrainingPlan` under their names.
struct PlanOptions: ParsableArguments {
  @Option(
    help: "Tokens: byte, char or word (default: char).",
    completion: .list(words(Vocabulary.Level.self)))
  var level: String?
  @Option(help: "At level word, keep the most frequent words only.") var vocabularySize: String?
  @Option(
    help: "rnn_tanh, rnn_relu, lstm or gru (default: lstm).", completion: .list(words(Cell.self)))
  var cell: String?
  @Option(help: "Hidden size (default: 128).") var hidden: String?
  @Option(help: "Layers (default: 1).") var layers: String?
  @Option(help: "Embedding size; 0 reads one-hot vectors (default: 0).") var embedding: String?
  @Option(help: "Dropout between layers (default: 0).") var dropout: String?
  @Option(help: "Rows of a batch (default: 32).") var batch: String?
  @Option(help: "Steps of a block, how far gradients look back (default: 64).") var bptt: String?
  @Option(
    help: "adam, adamw, sgd, rmsprop or adagrad (default: adam).",
    completion: .list(words(TrainingPlan.OptimizerName.self)))
  var optimizer: String?
  @Option(help: "Learning rate (default: 0.002).") var lr: String?
  @Option(help: "Momentum of sgd and rmsprop (default: 0).") var momentum: String?
  @Option(help: "Weight decay (default: 0).") var weightDecay: String?
  @Option(
    help: "constant, cosine, step, exponential or plateau (default: constant).",
    completion: .list(words(TrainingPlan.ScheduleName.self)))
  var schedule: String?
  @Option(help: "Steps of cosine and step, validations of plateau (default: all; 2).")
  var period: String?
  @Option(help: "Factor of step, exponential and plateau (default: 0.5).") var factor: String?
  @Option(help: "Steps in which the learning rate rises (default: 0).") var warmUp: String?
  @Option(help: "Largest norm of all gradients; 0 for any (default: 5).") var clipNorm: String?
  @Option(help: "Largest element of the gradients; 0 for any (default: 0).") var clipValue: String?
  @Option(help: "Share of the text, its end, to validate on (default: 0.1).")
  var validation: String?
  @Option(help: "Steps between validations (default: once per epoch).") var validateEvery: String?
  @Option(help: "Stop after so many validations without improvement (default: never).")
  var patience: String?
  @Option(help: "Seed of weights and dropout (default: 0).") var seed: String?
  @Option(
    help: "Arithmetic and weights: f32 or f64 (default: f32).", completion: .list(["f32", "f64"]))
  var dtype: String?
  @Option(help: "Steps in all, instead of --epochs.") var steps: String?
  @Option(help: "Passes through the text (default: 10).") var epochs: String?

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
