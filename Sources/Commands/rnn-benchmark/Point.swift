import RNNEngine

/// One workload: `lstm f32 forward 8 100 128 128 1 1` is cell, type, kind, N, T, D, H, layers, directions.
///
/// The kinds are `forward`, `train` (with the backward pass), `stream` (one step), and of a training step
/// the parts around these: `adam`, a step of all weights; `clip`, their norm, and scaling by it; `loss`, cross-entropy of N·T rows of H classes
/// and its gradient; `embedding`, N·T of D vectors of H numbers and the gradient of the table.
struct Point: Equatable {
  let cell: Cell
  let isDouble: Bool
  let kind: String
  let batch, steps, input, hidden, layers, directions: Int

  init?(_ words: [String]) {
    let numbers = words.dropFirst(3).compactMap { Int($0) }
    guard words.count == 9, numbers.count == 6, numbers.allSatisfy({ $0 > 0 }),
      let cell = Cell(rawValue: words[0])
    else { return nil }
    self.cell = cell
    isDouble = words[1] == "f64"
    kind = words[2]
    (batch, steps, input, hidden) = (numbers[0], numbers[1], numbers[2], numbers[3])
    (layers, directions) = (numbers[4], numbers[5])
  }

  /// The time steps of one run.
  var stepsPerRun: Int { kind == "forward" || kind == "train" ? steps : 1 }
}

/// A workload ready to run, and some of the numbers that come out of it.
struct Workload {
  let run: () throws -> Void
  let numbers: () throws -> [Double]
}

extension Workload {
  init(_ point: Point) throws {
    self = point.isDouble ? try .make(point, Double.self) : try .make(point, Float.self)
  }

  /// The weights are those of `torch.manual_seed(7)`, so that a peer has them without a file.
  private static func make<S: Scalar>(_ point: Point, _ type: S.Type) throws -> Workload {
    let configuration = RecurrentConfiguration(
      cell: point.cell, inputSize: point.input, hiddenSize: point.hidden,
      layerCount: point.layers, bidirectional: point.directions == 2)
    var generator = TorchGenerator(seed: 7)
    let rnn = try RNN<S>(configuration, generator: &generator)
    func array(_ shape: [Int]) throws -> NDArray<S> {
      let count = shape.reduce(1, *)
      return try NDArray(
        shape: shape, elements: (0..<count).map { S(Double(($0 * 7919) % 2003) / 1001 - 1) })
    }
    let x = try array([point.steps, point.batch, point.input])
    func output() throws -> [Double] { try sample(rnn(x).output.elements) }
    switch point.kind {
    case "train":
      let up = try array([point.steps, point.batch, configuration.outputSize])
      func gradients() throws -> RecurrentGradients<S> {
        let (_, tape) = try rnn.record(x)
        return try rnn.backward(tape, gradOutput: up)
      }
      return Workload(run: { _ = try gradients() }) {
        let gradients = try gradients()
        return gradients.parameters.entries.flatMap { sample($0.array.elements) }
          + sample(gradients.x.elements)
      }
    case "adam":
      var (parameters, adam) = (rnn.parameters, Adam<S>())
      let gradients = parameters
      func step() throws { try adam.step(&parameters, gradients: gradients) }
      return Workload(run: step) {
        try step()
        return parameters.entries.flatMap { sample($0.array.elements) }
      }
    case "clip":
      var gradients = rnn.parameters
      // Above the norm, so that every run scales by 1.
      return Workload(run: { gradients.clipByGlobalNorm(max: 1e6) }) {
        var gradients = rnn.parameters
        gradients.clipByGlobalNorm(max: 1)
        return gradients.entries.flatMap { sample($0.array.elements) }
      }
    case "loss":
      let logits = try array([point.steps, point.batch, point.hidden])
      let classes = (0..<point.steps * point.batch).map { $0 * 7919 % point.hidden }
      let targets = Targets<S>.classes(classes, shape: [point.steps, point.batch])
      func evaluate() throws -> [S] {
        try Loss.crossEntropy().evaluate(logits: logits, targets: targets).gradLogits.elements
      }
      return Workload(run: { _ = try evaluate() }, numbers: { sample(try evaluate()) })
    case "embedding":
      let embedding = try Embedding(weight: array([point.input, point.hidden]))
      let (shape, up) = (
        [point.steps, point.batch], try array([point.steps, point.batch, point.hidden])
      )
      let indices = (0..<point.steps * point.batch).map { $0 * 7919 % point.input }
      func gradient() throws -> [S] {
        _ = try embedding(indices, shape: shape)
        return try embedding.backward(indices, shape: shape, gradOutput: up).elements
      }
      return Workload(run: { _ = try gradient() }, numbers: { sample(try gradient()) })
    case "stream":
      let stream = try Model(rnn: rnn).stream(batch: point.batch)
      let step = Array(x.elements[..<(point.batch * point.input)])
      return Workload(run: { try stream.step(step) }, numbers: output)
    default:
      return Workload(run: { _ = try rnn(x) }, numbers: output)
    }
  }
}

/// Some elements of an array, the same that tools/benchmark takes of a peer's.
private func sample<S: Scalar>(_ elements: [S]) -> [Double] {
  stride(from: 0, to: elements.count, by: max(1, elements.count / 61)).map { Double(elements[$0]) }
}
