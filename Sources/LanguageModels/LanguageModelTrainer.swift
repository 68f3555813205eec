import RNNEngine
import Tensors

/// A language model in training, one block of truncated backpropagation through time after another.
///
/// The rows of the batch start at the offsets of ``RNNEngine/SequentialBlocks``, the state is carried from
/// block to block, and the end of the text wraps around. The trainer is a value: a copy is a checkpoint.
///
/// ```swift
/// var trainer = try LanguageModelTrainer<Float>(plan, text: text)
/// while !trainer.isFinished { try trainer.advance() }
/// try trainer.result.write(toPath: "model.h5")
/// ```
public struct LanguageModelTrainer<S: Scalar>: Sendable {
  /// What is computed; `limit` may be raised.
  public internal(set) var plan: TrainingPlan
  /// What the tokens mean.
  public let vocabulary: Vocabulary
  /// The steps made so far.
  public internal(set) var stepCount = 0
  /// The losses of all validations so far.
  public internal(set) var validations: [Double] = []
  /// The weights of the best validation, if there was one.
  public internal(set) var best: LanguageModel<S>?

  /// The processes that train together, this one among them.
  package let processes: any TrainingProcesses
  let fingerprint: TextFingerprint
  var network: Model<S>
  /// What the last block ended in.
  var state = Model<S>.State()
  var optimizer: any Optimizer<S>
  var dropoutGenerator: TorchGenerator
  var rate: LearningRateSchedule
  private let blocks: SequentialBlocks
  private let tokens: [Int]
  private let heldOut: [Int]

  /// What a step did.
  public struct Step: Sendable, Equatable {
    /// The number of the step, from 1.
    public let number: Int
    /// The mean cross-entropy of the block before the step, in nats per token.
    public let loss: Double
    /// The 2-norm of all gradients before clipping.
    public let gradientNorm: Double
    /// The learning rate.
    public let learningRate: Double
    /// The loss on the held-out text, if this step ended with a validation.
    public let validation: Double?
  }

  /// Begins a training.
  ///
  /// Throws `train.empty-text` for a text too short for the rows, and what the plan and the vocabulary
  /// throw.
  public init(_ plan: TrainingPlan, text: [UInt8]) throws {
    try self.init(plan, text: text, processes: SingleProcess())
  }

  /// Begins a training that several processes share.
  package init(_ plan: TrainingPlan, text: [UInt8], processes: any TrainingProcesses) throws {
    let vocabulary = try Vocabulary(
      plan.level, of: text, limit: plan.vocabularySize > 0 ? plan.vocabularySize : nil)
    try self.init(
      plan, vocabulary: vocabulary, text: text, processes: processes
    ) { try LanguageModel(plan, vocabulary: vocabulary) }
  }

  init(
    _ plan: TrainingPlan, vocabulary: Vocabulary, text: [UInt8],
    processes: any TrainingProcesses, model: () throws -> LanguageModel<S>
  ) throws {
    try plan.validate()
    let all = try vocabulary.encode(text)
    let split = all.count - Int(Double(all.count) * plan.validation)
    tokens = Array(all[..<split])
    heldOut = Array(all[split...])
    let rows = plan.rows * processes.count
    guard tokens.count >= max(2, rows) else {
      throw RecurrentError(
        .trainEmptyText, found: "\(tokens.count) tokens to train on",
        expected: "at least \(max(2, rows)), one for every row of the batch",
        hint: "Use a longer text or a smaller \(.rows).")
    }
    guard heldOut.count >= 2 || plan.patience == 0 && plan.schedule != .plateau else {
      throw RecurrentError(
        .trainEmptyText, found: "\(heldOut.count) tokens to validate on",
        expected: "at least 2", hint: "Use a longer text or a larger \(.validation).")
    }
    self.vocabulary = vocabulary
    self.processes = processes
    blocks = try SequentialBlocks(length: tokens.count, steps: plan.blockSteps, rows: rows)
    var plan = plan
    if plan.limit == 0 {
      let steps = (plan.epochs * Double(blocks.perEpoch)).rounded(.up)
      plan.limit = Int(min(max(1, steps), Double(TrainingPlan.mostSteps)))
    }
    if plan.validateEvery == 0 { plan.validateEvery = blocks.perEpoch }
    // Resolved now, so that a higher limit later does not bend the schedule.
    if plan.period == 0, plan.schedule == .cosine || plan.schedule == .step {
      plan.period = max(1, plan.limit)
    }
    self.plan = plan
    network = try model().network
    try network.checkCarriesState()
    optimizer = plan.makeOptimizer()
    dropoutGenerator = TorchGenerator(seed: plan.seed &+ 1)
    rate = LearningRateSchedule(plan)
    fingerprint = TextFingerprint(text)
  }

  /// The model as it is now.
  public var current: LanguageModel<S> {
    get throws { try LanguageModel(network, vocabulary: vocabulary) }
  }

  /// The model to keep: the best by validation, or the present one without validation.
  public var result: LanguageModel<S> { get throws { try best ?? current } }

  /// The steps in which every row goes through its part of the text once.
  public var stepsPerEpoch: Int { blocks.perEpoch }
  /// The tokens that are trained on.
  public var tokenCount: Int { tokens.count }
  /// The tokens that are validated on.
  public var heldOutCount: Int { heldOut.count }
  /// The tokens of a step, those of all processes.
  public var tokensPerStep: Int { blocks.rows * plan.blockSteps }

  /// Whether the limit is reached or patience is at its end.
  public var isFinished: Bool { stepCount >= plan.limit || hasStalled }

  /// Whether the last `patience` validations were no better than one before them.
  public var hasStalled: Bool {
    guard plan.patience > 0, validations.count > plan.patience else { return false }
    let earlier = validations.dropLast(plan.patience)
    return validations.suffix(plan.patience).min() ?? 0 >= earlier.min() ?? 0
  }

  /// Makes one step, and validates after it when it is time to.
  ///
  /// Throws `train.diverged`, and changes nothing, if the loss or a gradient is no longer finite.
  @discardableResult
  public mutating func advance() throws -> Step {
    let (allInputs, allTargets) = try blocks.languageModelBlock(stepCount, of: tokens)
    let inputs = processes.own(allInputs.elements, width: plan.rows)
    let targets = processes.own(allTargets.elements, width: plan.rows)
    let shape = [plan.blockSteps, plan.rows]
    var (network, state) = (network, state)
    let masks =
      plan.dropout > 0 ? SharedGenerator(dropoutGenerator, plan.blockSteps, processes) : nil
    var gradients = try network.backward(
      ids: inputs, shape: shape, state: &state, dropout: masks?.masks,
      targets: .classes(targets, shape: shape), loss: .crossEntropy())
    var groups = gradients.parameterGroups
    // All rows have equally many tokens: the mean of the processes' means is the mean of all.
    try processes.average(&groups, and: &gradients.loss)
    // A limit of infinity measures the norm and scales by 1.
    let norm = groups.clipByGlobalNorm(
      max: plan.clipNorm > 0 ? S(plan.clipNorm) : .greatestFiniteMagnitude)
    if plan.clipValue > 0 { groups.clipByValue(max: S(plan.clipValue)) }
    gradients.parameterGroups = groups
    guard gradients.loss.isFinite, norm.isFinite else {
      throw RecurrentError(
        .trainDiverged, at: "step \(stepCount + 1)",
        found: "loss \(gradients.loss), gradient norm \(norm)", expected: "finite numbers",
        hint: "Lower \(.learningRate) or \(.clipNorm).")
    }
    let learningRate = rate.learningRate
    optimizer.learningRate = learningRate
    try optimizer.step(&network, gradients: gradients)
    (self.network, self.state) = (network, state)
    if let masks { dropoutGenerator = masks.generator }
    rate.step()
    stepCount += 1
    let validation = try validateIfDue()
    return Step(
      number: stepCount, loss: Double(gradients.loss), gradientNorm: Double(norm),
      learningRate: learningRate, validation: validation)
  }

  private mutating func validateIfDue() throws -> Double? {
    guard stepCount % plan.validateEvery == 0, let loss = try validationLoss() else { return nil }
    if loss < validations.min() ?? .infinity { best = try current }
    validations.append(loss)
    rate.observe(loss)
    return loss
  }

  /// The mean cross-entropy on the held-out text, from a zero state, in nats per token; `nil` without
  /// such a text.
  public func validationLoss() throws -> Double? {
    guard heldOut.count >= 2 else { return nil }
    // Every row is read once, without wrapping around; what is left over after the last row is not.
    let rows = max(1, min(blocks.rows, (heldOut.count - 1) / plan.blockSteps))
    let span = (heldOut.count - 1) / rows
    var state = Model<S>.State()
    var sum = 0.0
    for start in stride(from: 0, to: span, by: plan.blockSteps) {
      let steps = min(plan.blockSteps, span - start)
      let places = (start..<start + steps).flatMap { step in (0..<rows).map { $0 * span + step } }
      let shape = [steps, rows]
      let output = try network.forward(
        ids: places.map { heldOut[$0] }, shape: shape, state: &state)
      let loss = try Loss.crossEntropy().evaluate(
        logits: output.logits ?? output.output,
        targets: .classes(places.map { heldOut[$0 + 1] }, shape: shape))
      sum += Double(loss.value) * Double(places.count)
    }
    return sum / Double(span * rows)
  }
}

extension Model {
  /// Runs token ids through the embedding, or as one-hot vectors.
  fileprivate func forward(ids: [Int], shape: [Int], state: inout State) throws -> Output {
    embedding != nil
      ? try self(tokens: NDArray(shape: shape, elements: ids), state: &state)
      : try self(oneHot(ids, shape), state: &state)
  }

  fileprivate func backward(
    ids: [Int], shape: [Int], state: inout State, dropout: DropoutMasks?, targets: Targets<S>,
    loss: Loss
  ) throws -> Gradients {
    embedding != nil
      ? try backward(
        tokens: NDArray(shape: shape, elements: ids), state: &state, dropout: dropout,
        targets: targets,
        loss: loss)
      : try backward(
        oneHot(ids, shape), state: &state, dropout: dropout, targets: targets, loss: loss)
  }

  private func oneHot(_ ids: [Int], _ shape: [Int]) throws -> NDArray<S> {
    try NDArray(oneHot: ids, shape: shape, classes: rnn.configuration.inputSize)
  }
}

extension SequentialBlocks {
  /// The blocks in which every row goes through its part once.
  fileprivate var perEpoch: Int { max(1, (length / rows + steps - 1) / steps) }
}

/// A generator whose masks advance it, so that it can go on where they ended.
///
/// Every process draws the masks of all rows and takes its own, as if there were one process.
private final class SharedGenerator {
  var generator: TorchGenerator
  private let steps: Int
  private let processes: any TrainingProcesses

  init(_ generator: TorchGenerator, _ steps: Int, _ processes: any TrainingProcesses) {
    (self.generator, self.steps, self.processes) = (generator, steps, processes)
  }

  var masks: DropoutMasks {
    DropoutMasks { [self] count, keep in
      let all = (0..<count * processes.count).map { _ in generator.nextDouble() < keep }
      return processes.own(all, width: count / steps)
    }
  }
}

extension TrainingPlan {
  /// The optimiser, before its first step.
  func makeOptimizer<S: Scalar>() -> any Optimizer<S> {
    switch optimizer {
    case .adam: Adam<S>(learningRate: learningRate, weightDecay: weightDecay)
    case .adamw: Adam<S>.adamW(learningRate: learningRate, weightDecay: weightDecay)
    case .sgd: SGD<S>(learningRate: learningRate, momentum: momentum, weightDecay: weightDecay)
    case .rmsprop:
      RMSprop<S>(learningRate: learningRate, weightDecay: weightDecay, momentum: momentum)
    case .adagrad: Adagrad<S>(learningRate: learningRate, weightDecay: weightDecay)
    }
  }
}
