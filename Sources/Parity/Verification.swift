import Conversion
import RNNEngine
import Tensors

/// Tolerances from the command line that replace those of fixtures.
public struct VerificationOptions: Sendable {
  /// Relative tolerance; for gradients, relative to the largest magnitude of the tensor.
  public var relative: Double?
  /// Absolute tolerance.
  public var absolute: Double?

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
  public func verify(options: VerificationOptions = .init()) throws -> [Check] {
    let network = try network()
    for name in ["c_0", "grad_c_n"]
    where inputs[Name(name)] != nil && !configuration.cell.hasCellState {
      throw RecurrentError(
        .malformed, "fixture.input", at: "tensor \"inputs/\(name)\"",
        found: "a cell state of \(configuration.cell.rawValue)", expected: "none")
    }
    return network.weights.dtype == .f64
      ? try Run<Double>(self, network, options).checks()
      : try Run<Float>(self, network, options).checks()
  }
}

/// One fixture on its way through the engine.
private struct Run<S: Scalar> {
  let fixture: Fixture
  let network: Network
  let model: SequenceModel<S>
  let x: NDArray<S>
  let h0: NDArray<S>?
  let c0: NDArray<S>?
  let lengths: [Int]?
  let forwardTolerance: Tolerance
  let gradientTolerance: Tolerance

  init(_ fixture: Fixture, _ network: Network, _ options: VerificationOptions) throws {
    self.fixture = fixture
    self.network = network
    model = try network.model()
    guard let input = fixture.inputs["x"], input.dtype.isFloatingPoint else {
      throw RecurrentError(
        .unsupported, "fixture.input", at: "tensor \"inputs/x\"",
        found: fixture.inputs["x"]?.dtype.rawValue ?? "nothing",
        expected: "floating-point features; token ids need an embedding")
    }
    x = try NDArray(input)
    h0 = try fixture.inputs["h_0"].map { try NDArray($0) }
    c0 = try fixture.inputs["c_0"].map { try NDArray($0) }
    lengths = try fixture.inputs["lengths"].map { try $0.integers() }
    let configuration = fixture.configuration
    let dtype = network.weights.dtype
    var forward = configuration.forwardTolerance ?? .forward(dtype)
    var gradient = configuration.gradientTolerance ?? .gradient(dtype)
    if options.relative != nil || options.absolute != nil {
      let relative = options.relative ?? 0
      let absolute = options.absolute ?? 0
      forward = Tolerance(relative: relative, absolute: absolute)
      gradient = Tolerance(absolute: absolute, relativeToMaximum: relative)
    }
    forwardTolerance = forward
    gradientTolerance = gradient
  }

  /// T is axis 0 unless a batch comes first.
  private var timeAxis: Int { x.shape.count == 3 && fixture.configuration.batchFirst ? 1 : 0 }

  func checks() throws -> [Check] {
    var checks: [Check] = []
    let forward = try model(x, h0: h0, c0: c0, lengths: lengths)
    let loss = try evaluateLoss(
      output: forward.output, hN: forward.hN, cN: forward.cN, logits: forward.logits)
    for entry in fixture.outputs.entries {
      checks.append(try check(output: entry, forward, loss))
    }
    if fixture.gradients.count > 0 { checks += try gradientChecks() }
    if fixture.trained.count > 0 || fixture.losses != nil { checks += try trainingChecks() }
    return checks
  }

  private func compare(
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

  // MARK: Outputs

  private func check(
    output entry: StateDict.Entry, _ forward: SequenceModel<S>.Output, _ loss: S?
  ) throws -> Check {
    let name = "outputs/\(entry.name)"
    func missing(_ why: String) -> Check { Check(name, problem: why) }
    let computed: NDArray<S>
    var axis: Int? = timeAxis
    switch entry.name.string {
    case "output": computed = forward.output
    case "h_n": (computed, axis) = (forward.hN, nil)
    case "c_n":
      guard let cN = forward.cN else { return missing("the cell has no cell state") }
      (computed, axis) = (cN, nil)
    case "logits", "probabilities":
      guard let logits = forward.logits else {
        return missing("the network has no head to compute it")
      }
      // A head that reads only the last step has logits without a time axis.
      let wanted =
        entry.tensor.shape.count == logits.shape.count ? logits : lastStep(of: logits)
      if entry.tensor.shape.count < logits.shape.count { axis = nil }
      computed = entry.name == "logits" ? wanted : probabilities(of: wanted)
    case "loss":
      guard let loss else { return missing("the configuration names no loss") }
      computed = try NDArray(shape: entry.tensor.shape.count == 0 ? [] : [1], elements: [loss])
      axis = nil
    default: return missing("networks have no such output")
    }
    return try compare(name, entry.tensor, computed, forwardTolerance, timeAxis: axis)
  }

  private func lastStep(of logits: NDArray<S>) -> NDArray<S> {
    var shape = logits.shape
    let steps = shape.remove(at: timeAxis)
    let inner = shape[timeAxis...].reduce(1, *)
    let outer = shape[..<timeAxis].reduce(1, *)
    var result = NDArray<S>(zeros: shape)
    for row in 0..<outer {
      let start = (row * steps + steps - 1) * inner
      result.elements.replaceSubrange(
        row * inner..<(row + 1) * inner, with: logits.elements[start..<start + inner])
    }
    return result
  }

  private func probabilities(of logits: NDArray<S>) -> NDArray<S> {
    var result = logits
    if case .loss(let loss)? = fixture.configuration.loss, loss.kind == .bceWithLogits {
      result.elements = logits.elements.map { 1 / (1 + S.exp(-$0)) }
      return result
    }
    let classes = max(1, logits.shape.last ?? 1)
    for start in stride(from: 0, to: logits.elements.count, by: classes) {
      let row = logits.elements[start..<start + classes]
      let largest = row.max() ?? 0
      let powers = row.map { S.exp($0 - largest) }
      let sum = powers.reduce(0, +)
      result.elements.replaceSubrange(start..<start + classes, with: powers.map { $0 / sum })
    }
    return result
  }

  // MARK: Loss and gradients

  private func upstream() throws
    -> (output: NDArray<S>?, hN: NDArray<S>?, cN: NDArray<S>?)
  {
    func gradient(_ name: Name) throws -> NDArray<S>? {
      try fixture.inputs[name].map { try NDArray<S>($0) }
    }
    let (output, hN, cN) = try (
      gradient("grad_output"), gradient("grad_h_n"), gradient("grad_c_n")
    )
    guard output != nil || hN != nil || cN != nil else {
      throw RecurrentError(
        .malformed, "fixture.missing", at: "tensor \"inputs/grad_output\"",
        found: "neither it nor inputs/grad_h_n nor inputs/grad_c_n",
        expected: "the upstream gradient of loss vjp")
    }
    return (output, hN, cN)
  }

  private func targets() throws -> Targets<S> {
    guard let tensor = fixture.inputs["targets"] else {
      throw RecurrentError(
        .malformed, "fixture.missing", at: "tensor \"inputs/targets\"", found: "no such tensor",
        expected: "the targets of the loss")
    }
    return tensor.dtype.isFloatingPoint
      ? .values(try NDArray(tensor))
      : .classes(try tensor.integers(), shape: tensor.shape)
  }

  /// The configuration's loss; upstream gradients without one mean `vjp`.
  private var lossKind: FixtureConfiguration.LossKind? {
    let hasUpstream = ["grad_output", "grad_h_n", "grad_c_n"].contains {
      fixture.inputs[Name($0)] != nil
    }
    return fixture.configuration.loss ?? (hasUpstream ? .vectorJacobianProduct : nil)
  }

  private func evaluateLoss(
    output: NDArray<S>, hN: NDArray<S>, cN: NDArray<S>?, logits: NDArray<S>?
  ) throws -> S? {
    switch lossKind {
    case nil: return nil
    case .vectorJacobianProduct?:
      let upstream = try upstream()
      func product(_ a: NDArray<S>?, _ b: NDArray<S>?) -> S {
        zip(a?.elements ?? [], b?.elements ?? []).reduce(0) { $0 + $1.0 * $1.1 }
      }
      return product(output, upstream.output) + product(hN, upstream.hN)
        + product(cN, upstream.cN)
    case .loss(let loss)?:
      return try loss.evaluate(
        logits: logits ?? output, targets: targets(),
        batchFirst: fixture.configuration.batchFirst, lengths: lengths
      ).value
    }
  }

  private struct Gradients {
    var loss: S
    var groups: [Parameters<S>]
    var x: NDArray<S>
    var h0: NDArray<S>
    var c0: NDArray<S>?
  }

  private func gradients(of model: SequenceModel<S>) throws -> Gradients {
    switch lossKind {
    case nil:
      throw RecurrentError(
        .malformed, "fixture.config", at: "config key \"loss\"", found: "nothing",
        expected: "a loss, because gradients or training are expected")
    case .vectorJacobianProduct?:
      let (result, tape) = try model.rnn.record(x, h0: h0, c0: c0, lengths: lengths)
      let (output, hN, cN) = try upstream()
      let gradients = try model.rnn.backward(
        tape, gradOutput: output, gradHN: hN, gradCN: cN)
      let loss = try evaluateLoss(
        output: result.output, hN: result.hN, cN: result.cN, logits: nil)
      return Gradients(
        loss: loss ?? 0, groups: [gradients.parameters, Parameters()], x: gradients.x,
        h0: gradients.h0, c0: gradients.c0)
    case .loss(let loss)?:
      let gradients = try model.backward(
        x, h0: h0, c0: c0, lengths: lengths, targets: targets(), loss: loss)
      return Gradients(
        loss: gradients.loss, groups: gradients.parameterGroups, x: gradients.x,
        h0: gradients.h0, c0: gradients.c0)
    }
  }

  private func gradientChecks() throws -> [Check] {
    let gradients = try gradients(of: model)
    let stored = try network.stored(state(of: gradients.groups), sums: .first)
    var checks: [Check] = []
    for (name, computed) in [
      ("x", gradients.x), ("h_0", gradients.h0), ("c_0", gradients.c0),
    ] {
      guard let expected = fixture.gradients[Name(name)] else { continue }
      guard let computed else {
        checks.append(Check("grads/\(name)", problem: "the cell has no cell state"))
        continue
      }
      checks.append(
        try compare(
          "grads/\(name)", expected, computed, gradientTolerance,
          timeAxis: name == "x" ? timeAxis : nil))
    }
    return checks
      + (try parameterChecks("grads", fixture.gradients, stored, gradientTolerance))
  }

  /// Parameters are expected all or none: a key left out of `grads/` would pass unseen.
  private func parameterChecks(
    _ group: String, _ expected: StateDict, _ computed: StateDict, _ tolerance: Tolerance
  ) throws -> [Check] {
    var checks: [Check] = []
    let inputs = group == "grads" ? ["x", "h_0", "c_0"] : []
    let own = expected.entries.filter { !inputs.contains($0.name.string) }
    guard !own.isEmpty else { return [] }
    for entry in own {
      let name = "\(group)/\(entry.name)"
      guard let tensor = computed[entry.name] else {
        checks.append(Check(name, problem: "the network has no such parameter"))
        continue
      }
      checks.append(
        Check(
          name, shape: squeezed(entry.tensor.shape), expected: try entry.tensor.doubles(),
          computedShape: squeezed(tensor.shape), computed: try tensor.doubles(),
          tolerance: tolerance))
    }
    for name in computed.names where expected[name] == nil {
      if case .vectorJacobianProduct? = lossKind, group == "grads", isHead(name) { continue }
      checks.append(Check("\(group)/\(name)", problem: "missing from the fixture"))
    }
    return checks
  }

  /// Biases are written (n) and (1, n) alike.
  private func squeezed(_ shape: [Int]) -> [Int] {
    let sizes = shape.filter { $0 != 1 }
    return sizes.count <= 1 ? sizes : shape
  }

  private func isHead(_ name: Name) -> Bool {
    network.recognition.tensors.first { $0.name == name }?.placements.first?.slots.first?.part
      == .head
  }

  /// Gradients or parameters under the canonical names; a head without any becomes zeros.
  private func state(of groups: [Parameters<S>]) throws -> StateDict {
    var groups = groups
    if groups[1].entries.isEmpty, let head = model.head {
      for (name, array) in head.parameters.entries {
        groups[1].append(name, NDArray<S>(zeros: array.shape))
      }
    }
    return try StateDict(canonical: groups)
  }

  // MARK: Training

  private func trainingChecks() throws -> [Check] {
    guard let optimizer = fixture.configuration.optimizer else {
      throw RecurrentError(
        .malformed, "fixture.config", at: "config key \"optimizer\"", found: "nothing",
        expected: "an optimizer, because trained parameters or losses are expected")
    }
    if let losses = fixture.losses, losses.shape != [optimizer.steps] {
      return [
        Check("losses", problem: "shape \(losses.shape), but there are \(optimizer.steps) updates")
      ]
    }
    // A one-bias convention trains one bias: the other stays zero and out of the norm.
    let frozen = network.frozenParameters
    var rule = optimizer.make(S.self)
    var model = model
    var losses: [S] = []
    for _ in 0..<optimizer.steps {
      let step = try gradients(of: model)
      losses.append(step.loss)
      var groups = step.groups
      groups[0] = groups[0].without(frozen)
      switch fixture.configuration.clip {
      case .value(let maximum)?: clipByValue(&groups, max: S(maximum))
      case .norm(let maximum)?: _ = clipByGlobalNorm(&groups, max: S(maximum))
      case nil: break
      }
      var parameters = model.parameterGroups
      var trainable = parameters
      trainable[0] = parameters[0].without(frozen)
      try rule.step(&trainable, gradients: groups)
      for (index, group) in trainable.enumerated() {
        for (name, array) in group.entries { parameters[index][name] = array }
      }
      try model.setParameterGroups(parameters)
    }
    var checks: [Check] = []
    if let expected = fixture.losses {
      checks.append(
        try compare(
          "losses", expected, NDArray(shape: [losses.count], elements: losses),
          forwardTolerance))
    }
    let stored = try network.stored(state(of: model.parameterGroups), sums: .add)
    return checks + (try parameterChecks("trained", fixture.trained, stored, forwardTolerance))
  }
}

extension Parameters {
  /// The parameters except those with the names given.
  func without(_ names: Set<String>) -> Parameters {
    guard !names.isEmpty else { return self }
    var result = Parameters()
    for (name, array) in entries where !names.contains(name) { result.append(name, array) }
    return result
  }
}

extension Network {
  /// Canonical parameters that the file does not store: the second bias of one-bias conventions.
  var frozenParameters: Set<String> {
    Set(
      weights.merged.compactMap { slot in
        guard case .recurrent(let layer, let direction) = slot.part else { return nil }
        return "\(slot.role.rawValue)_l\(layer)\(direction == 1 ? "_reverse" : "")"
      })
  }
}
