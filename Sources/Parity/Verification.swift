import Conversion
import Networks
import RNNEngine
import Tensors

/// Tolerances that replace those of a fixture: a number passes within absolute + relative · |expected|.
public struct VerificationOptions: Sendable {
  /// Relative tolerance; for gradients, relative to the largest magnitude of the tensor.
  public var relative: Double?
  /// Absolute tolerance.
  public var absolute: Double?

  /// Whether checks keep every number, for pages that show expected beside computed.
  package var keepsNumbers = false
  /// Seconds that the search for causes may take at least, if a fixture fails; none for 0.
  package var diagnosisLimit = 5.0

  /// Creates options; without values the fixture's or the element type's tolerances hold.
  public init(relative: Double? = nil, absolute: Double? = nil) {
    self.relative = relative
    self.absolute = absolute
  }
}

extension Fixture {
  /// Runs the network and compares everything that the fixture expects.
  ///
  /// The engine computes in Double for f64 weights and in Float for all others.
  ///
  /// Throws `fixture.…` for tensors that do not fit the network, and what reading throws.
  public func verify(options: VerificationOptions = .init()) throws -> [Check] {
    try examine(options: options).checks
  }

  /// The checks, and what a reader should know about how they were made.
  func examine(options: VerificationOptions) throws -> (checks: [Check], remarks: [String]) {
    let network = try network()
    for (group, name) in [("inputs", "c_0"), ("inputs", "grad_c_n"), ("states", "c")]
    where !configuration.cell.hasCellState {
      guard (group == "inputs" ? inputs : states)[Name(name)] != nil else { continue }
      throw RecurrentError(
        .fixtureInput, at: "tensor \"\(group)/\(name)\"",
        found: "a cell state of \(configuration.cell.rawValue)", expected: "none")
    }
    var (checks, remarks) = try computed(network, options)
    if var budget = try RoundingBudget(of: checks, self, network, options) {
      checks = try budget.judge(checks)
      remarks += budget.remarks
    }
    return (options.keepsNumbers ? checks : checks.map(\.withoutNumbers), remarks)
  }
}

extension Fixture {
  /// The checks within their tolerances alone, computed in the type of the weights.
  func computed(
    _ network: Network, _ options: VerificationOptions
  ) throws -> (checks: [Check], remarks: [String]) {
    network.weights.dtype == .f64
      ? try FixtureRun<Double>(self, network, options).examine()
      : try FixtureRun<Float>(self, network, options).examine()
  }
}

/// One fixture on its way through the engine.
struct FixtureRun<S: Scalar> {
  let fixture: Fixture
  let network: Network
  let model: Model<S>
  /// The token ids, if an embedding comes first.
  let tokens: NDArray<Int>?
  /// The features that the recurrent network reads: the input, or the vectors of the token ids.
  let x: NDArray<S>
  let h0: NDArray<S>?
  let c0: NDArray<S>?
  let lengths: [Int]?
  let forwardTolerance: Tolerance
  let gradientTolerance: Tolerance
  let lossTolerance: Tolerance
  /// The order in which hidden units are computed, where it is not the fixture's own.
  var order: HiddenOrder<S>?

  init(_ fixture: Fixture, _ network: Network, _ options: VerificationOptions) throws {
    self.fixture = fixture
    self.network = network
    let configuration = fixture.configuration
    model = try configuration.applied(to: network.model())
    (tokens, x) = try Self.input(fixture, model)
    h0 = try fixture.inputs["h_0"].map { try NDArray($0) }
    c0 = try fixture.inputs["c_0"].map { try NDArray($0) }
    lengths = try fixture.inputs["lengths"].map { try $0.integers() }
    (forwardTolerance, gradientTolerance, lossTolerance) = configuration.tolerances(
      of: network.weights.dtype, options)
  }

  private static func input(
    _ fixture: Fixture, _ model: Model<S>
  ) throws -> (NDArray<Int>?, NDArray<S>) {
    guard let input = fixture.inputs["x"] else {
      throw RecurrentError(
        .fixtureMissing, at: "tensor \"inputs/x\"", found: "no such tensor",
        expected: "the input sequence")
    }
    guard input.dtype.isFloatingPoint != (model.embedding != nil) else {
      throw RecurrentError(
        .fixtureInput, at: "tensor \"inputs/x\"", found: input.dtype.rawValue,
        expected: model.embedding == nil
          ? "floating-point features; token ids need an embedding"
          : "integer token ids for the embedding")
    }
    guard !input.dtype.isFloatingPoint else { return (nil, try NDArray(input)) }
    let tokens = try NDArray<Int>(input)
    do {
      return (tokens, try model.vectors(of: tokens))
    } catch let error as RecurrentError {
      throw error.within("tensor \"inputs/x\"")
    }
  }

  /// T is axis 0 unless a batch comes first.
  var timeAxis: Int { x.shape.count == 3 && fixture.configuration.batchFirst ? 1 : 0 }

  /// The shape of what the recurrent network returns for every step.
  var outputShape: [Int] { x.shape.dropLast() + [model.rnn.configuration.outputSize] }

  /// Fresh masks from the fixture's seed; `nil` in evaluation mode.
  func dropoutMasks() -> DropoutMasks? {
    fixture.configuration.dropoutSeed.map { .torch(seed: $0) }
  }

  func examine() throws -> (checks: [Check], remarks: [String]) {
    var checks = try outputChecks()
    var remarks: [String] = []
    if let remark = fixture.configuration.dropoutRemark(layers: model.rnn.configuration.layerCount)
    {
      remarks.append(remark)
    }
    if fixture.states.count > 0 {
      let (found, remark) = try stateChecks()
      checks += found
      remarks.append(remark)
    }
    if fixture.gradients.count > 0 { checks += try gradientChecks() }
    if fixture.trajectory.count > 0 {
      let (found, remark) = try trajectoryChecks()
      checks += found
      remarks.append(remark)
    } else if fixture.trained.count > 0 || fixture.losses != nil {
      checks += try trainingChecks()
    }
    return (checks, remarks)
  }

  func compare(
    _ name: String, _ expected: Tensor, _ computed: NDArray<S>, _ tolerance: Tolerance,
    timeAxis: Int? = nil
  ) throws -> Check {
    guard expected.dtype.isFloatingPoint else {
      return Check(name, problem: "type \(expected.dtype.rawValue), not a floating-point type")
    }
    let hasAxis = timeAxis.map { $0 < expected.shape.count } ?? false
    return Check(
      name, shape: expected.shape, expected: try expected.doubles(),
      computedShape: computed.shape, computed: computed.elements.map { Double($0) },
      tolerance: tolerance, timeAxis: hasAxis ? timeAxis : nil)
  }
}

extension FixtureConfiguration {
  /// The tolerances of outputs, gradients and losses: asked for, the fixture's, or the element type's.
  func tolerances(
    of dtype: DType, _ options: VerificationOptions
  ) -> (forward: Tolerance, gradient: Tolerance, loss: Tolerance) {
    if options.relative != nil || options.absolute != nil {
      let (relative, absolute) = (options.relative ?? 0, options.absolute ?? 0)
      let forward = Tolerance(relative: relative, absolute: absolute)
      let gradient = Tolerance(absolute: absolute, relativeToMaximum: relative)
      return (forward, gradient, forward)
    }
    let forward = forwardTolerance ?? .forward(dtype)
    return (forward, gradientTolerance ?? .gradient(dtype), lossTolerance ?? forward)
  }

  /// The model with what weights cannot say: dropout, and the padding index of the embedding.
  func applied<S: Scalar>(to model: Model<S>) throws -> Model<S> {
    var rnn = model.rnn
    if dropout != 0 {
      var configuration = rnn.configuration
      configuration.dropout = dropout
      rnn = try RNN(configuration, parameters: rnn.parameters)
    }
    guard paddingIndex == nil || model.embedding != nil else {
      throw Self.error("padding_idx", "no embedding among the weights", "an embedding")
    }
    return try Model(
      rnn: rnn, head: model.head,
      embedding: model.embedding.map {
        try Embedding(weight: $0.weight, paddingIndex: paddingIndex)
      }, headReads: model.headReads)
  }

  /// The seed of the dropout masks, if the network is in training mode and has any.
  var dropoutSeed: Int? { isTraining && dropout > 0 ? seed : nil }

  fileprivate func dropoutRemark(layers: Int) -> String? {
    guard dropout > 0, layers > 1 else { return nil }
    return dropoutSeed.map { "dropout \(dropout) with PyTorch's masks from seed \($0)" }
      ?? "dropout \(dropout) is off, in evaluation mode"
  }
}

extension DropoutMasks {
  /// The masks that PyTorch draws on the CPU after `torch.manual_seed(seed)`.
  static func torch(seed: Int) -> DropoutMasks {
    let source = MaskSource(seed)
    return DropoutMasks { count, keep in
      (0..<count).map { _ in source.generator.nextDouble() < keep }
    }
  }
}

/// Keeps a generator's place from one mask to the next.
private final class MaskSource {
  var generator: TorchGenerator

  init(_ seed: Int) { generator = TorchGenerator(seed: seed) }
}
