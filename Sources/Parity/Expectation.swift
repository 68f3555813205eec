import Containers
import Conversion
import Frameworks
import Networks
import RNNEngine
import Tensors

extension FixtureResult {
  /// Throws what differs, unless the fixture passes: the tensor, the index, both values, the time step.
  ///
  /// `parity.difference` for numbers that disagree, the fixture's own error where it could not be run.
  public func require() throws {
    if let error { throw error }
    guard !passes else { return }
    let failures = checks.filter { !$0.passes }
    guard let worst = failures.first(where: { $0.problem != nil }) ?? worst else {
      throw RecurrentError(
        .parityNothing, file: path, found: "nothing compared",
        expected: "at least one tensor")
    }
    let others = failures.count > 1 ? " (and \(failures.count - 1) more tensors differ)" : ""
    throw RecurrentError(
      .parityDifference, file: path, at: "tensor \"\(worst.tensor)\"",
      found: worst.summary + others + causes.prefix(3).map { "; cause: \($0.summary)" }.joined())
  }
}

/// Throws unless this library computes what a fixture expects.
///
/// One line in a test of your own, whatever the test framework:
///
/// ```swift
/// @Test func agreesWithPyTorch() throws { try expectParity(with: "Fixtures/model.npz") }
/// ```
public func expectParity(with path: String, options: VerificationOptions = .init()) throws {
  try parity(of: path, options: options).require()
}

/// Throws unless your own port computes what a fixture expects.
///
/// `run` gets the fixture's weights and inputs and returns what the port computes under the fixture's
/// names. Every `outputs/…` and `grads/…` must come back, or those of `tensors` if only some are of
/// interest; a name that the fixture does not expect is a failure.
///
/// ```swift
/// try expectParity(with: "Fixtures/model.npz", tensors: ["outputs/logits"]) { fixture in
///   let x = try fixture.array("inputs/x", as: Float.self)
///   return ["outputs/logits": try myModel(x)]
/// }
/// ```
public func expectParity<S: Scalar>(
  with path: String, tensors: [String]? = nil, options: VerificationOptions = .init(),
  run: (Fixture) throws -> [String: NDArray<S>]
) throws {
  let file = try WeightFile(path: path)
  let fixture: Fixture
  do {
    fixture = try Fixture(file.state)
  } catch let error as RecurrentError {
    throw error.inFile(path)
  }
  let computed = try run(fixture)
  let checks: [Check]
  do {
    checks = try fixture.judged(
      fixture.checks(of: computed, tensors: tensors, options: options), options)
  } catch let error as RecurrentError {
    throw error.inFile(path)
  }
  var result = FixtureResult(
    path: path, name: fixture.configuration.name, checks: checks, remarks: [], error: nil)
  if !result.passes { result.causes = fixture.causes(of: checks, port: computed, options: options) }
  try result.require()
}

extension Fixture {
  /// A tensor under its name in the file (`weights/weight_ih_l0`, `inputs/x`) as an array.
  ///
  /// Throws `fixture.missing`, with the nearest name as a hint, for one that is not there.
  public func array<S: Scalar>(_ name: String, as type: S.Type = S.self) throws -> NDArray<S> {
    guard let tensor = tensor(name) else {
      throw RecurrentError(
        .fixtureMissing, at: "tensor \"\(name)\"", found: "no such tensor",
        expected: "one that the fixture has",
        hint: nearest(to: name, among: tensorNames).map { "Did you mean \"\($0)\"?" })
    }
    guard tensor.dtype.isFloatingPoint else {
      let integers = try tensor.integers()
      return try NDArray(shape: tensor.shape, elements: integers.map { S($0) })
    }
    return try NDArray(tensor)
  }

  /// The names of all tensors, as the file has them.
  public var tensorNames: [String] {
    groups.flatMap { group, state in state.names.map { "\(group)/\($0)" } }
  }

  private var groups: [(String, StateDict)] {
    [
      ("weights", weights), ("inputs", inputs), ("outputs", outputs), ("grads", gradients),
      ("trained", trained), ("states", states), ("trajectory", trajectory),
    ]
  }

  private func tensor(_ name: String) -> Tensor? {
    for (group, state) in groups where name.hasPrefix(group + "/") {
      return state[Name(String(name.dropFirst(group.count + 1)))]
    }
    return nil
  }

  /// A port's checks with what roundings explain.
  func judged(_ checks: [Check], _ options: VerificationOptions) throws -> [Check] {
    var checks = checks
    if !checks.allSatisfy(\.passes),
      var budget = try RoundingBudget(of: checks, ofPort: true, self, network(), options)
    {
      checks = try budget.judge(checks)
    }
    return options.keepsNumbers ? checks : checks.map(\.withoutNumbers)
  }

  /// What a port computed, against what is expected.
  func checks<S: Scalar>(
    of computed: [String: NDArray<S>], tensors: [String]?, options: VerificationOptions
  ) throws -> [Check] {
    let expected =
      outputs.names.map { "outputs/\($0)" } + gradients.names.map { "grads/\($0)" }
    let known = expected + trained.names.map { "trained/\($0)" } + (losses == nil ? [] : ["losses"])
    let wanted = tensors ?? expected
    let dtype: DType =
      weights.entries.allSatisfy { $0.tensor.dtype == .f64 } && S.self == Double.self ? .f64 : .f32
    let tolerances = configuration.tolerances(of: dtype, options)
    var checks: [Check] = []
    for name in wanted + computed.keys.sorted().filter({ !wanted.contains($0) }) {
      guard let tensor = name == "losses" ? losses : tensor(name), known.contains(name) else {
        let near = nearest(to: name, among: known).map { "; the nearest is \($0)" } ?? ""
        checks.append(Check(name, problem: "the fixture expects no such tensor" + near))
        continue
      }
      guard let array = computed[name] else {
        checks.append(Check(name, problem: "not computed"))
        continue
      }
      let isSequence = ["outputs/output", "outputs/logits", "outputs/probabilities", "grads/x"]
      let axis = configuration.batchFirst && tensor.shape.count == 3 ? 1 : 0
      let hasSteps = isSequence.contains(name) && tensor.shape.count == inputSteps
      checks.append(
        Check(
          name, shape: tensor.shape, expected: try tensor.doubles(), computedShape: array.shape,
          computed: array.elements.map { Double($0) },
          tolerance: name == "losses"
            ? tolerances.loss
            : name.hasPrefix("grads/") ? tolerances.gradient : tolerances.forward,
          timeAxis: name == "losses" ? 0 : hasSteps ? axis : nil))
    }
    return checks
  }

  /// What explains the numbers of a port: the fixture is right, so hypotheses are held against the port's.
  func causes<S: Scalar>(
    of checks: [Check], port: [String: NDArray<S>], options: VerificationOptions
  ) -> [Cause] {
    let numbers: FixtureEvidence.Named = port.keys.sorted().compactMap { name in
      guard tensor(name) != nil, let array = port[name] else { return nil }
      return (name, array.shape, array.elements.map { Double($0) })
    }
    return causes(
      of: checks, port: numbers, dtype: S.self == Double.self ? nil : .f32, options: options)
  }

  /// The number of axes of a sequence of vectors.
  private var inputSteps: Int {
    guard let x = inputs["x"] else { return 0 }
    return x.shape.count + (x.dtype.isFloatingPoint ? 0 : 1)
  }
}
