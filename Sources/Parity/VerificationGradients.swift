import RNNEngine
import Tensors

extension FixtureRun {
  func upstream() throws -> Upstream {
    func gradient(_ name: Name) throws -> NDArray<S>? {
      try fixture.inputs[name].map { try NDArray<S>($0) }
    }
    let (output, hN, cN) = try (
      gradient("grad_output"), gradient("grad_h_n"), gradient("grad_c_n")
    )
    guard output != nil || hN != nil || cN != nil else {
      throw RecurrentError(
        .fixtureMissing, at: "tensor \"inputs/grad_output\"",
        found: "neither it nor inputs/grad_h_n nor inputs/grad_c_n",
        expected: "the upstream gradient of loss vjp")
    }
    return (output, hN, cN)
  }

  func targets() throws -> Targets<S> {
    guard let tensor = fixture.inputs["targets"] else {
      throw RecurrentError(
        .fixtureMissing, at: "tensor \"inputs/targets\"", found: "no such tensor",
        expected: "the targets of the loss")
    }
    return tensor.dtype.isFloatingPoint
      ? .values(try NDArray(tensor))
      : .classes(try tensor.integers(), shape: tensor.shape)
  }

  /// The configuration's loss; upstream gradients without one mean `vjp`.
  var lossKind: FixtureConfiguration.LossKind? { fixture.lossKind }

  func evaluateLoss(_ result: RecurrentOutput<S>, logits: NDArray<S>?) throws -> S? {
    switch lossKind {
    case nil: return nil
    case .vectorJacobianProduct?:
      let upstream = try upstream()
      func product(_ a: NDArray<S>?, _ b: NDArray<S>?) -> S {
        zip(a?.elements ?? [], b?.elements ?? []).reduce(0) { $0 + $1.0 * $1.1 }
      }
      return product(result.output, upstream.output) + product(result.hN, upstream.hN)
        + product(result.cN, upstream.cN)
    case .loss(let loss)?:
      return try model.evaluate(
        loss, logits ?? result.output, targets(), lengths: lengths
      ).value
    }
  }

  struct Gradients {
    var loss: S
    /// In the order of the model's groups.
    var groups: [Parameters<S>]
    var x: NDArray<S>
    var h0: NDArray<S>
    var c0: NDArray<S>?
  }

  func gradients(of model: Model<S>, dropout: DropoutMasks?) throws -> Gradients {
    guard let order else { return try computedGradients(of: model, dropout: dropout) }
    var result = try computedGradients(of: order.arranged(model), dropout: dropout)
    let inverse = order.inverse
    result.groups = inverse.arranged(result.groups)
    result.h0 = inverse.arranged(states: result.h0)
    result.c0 = result.c0.map { inverse.arranged(states: $0, areCells: true) }
    return result
  }

  private func computedGradients(of model: Model<S>, dropout: DropoutMasks?) throws -> Gradients {
    switch lossKind {
    case nil:
      throw RecurrentError(
        .fixtureConfig, at: "config key \"loss\"", found: "no such key",
        expected: "a loss, because gradients or training are expected")
    case .vectorJacobianProduct?:
      return try gradients(of: model, dropout: dropout) { result in
        (try evaluateLoss(result, logits: nil) ?? 0, try upstream())
      }
    case .loss(let loss)? where order != nil && model.head == nil:
      // The loss reads the outputs themselves, and its targets stand in the fixture's order.
      return try gradients(of: model, dropout: dropout) { result in
        let (value, gradient) = try model.evaluate(
          loss, result.output, targets(), lengths: lengths)
        return (value, (gradient, nil, nil))
      }
    case .loss(let loss)?:
      let (h0, c0) = initialStates
      let state = Model<S>.State(h: h0, c: c0)
      let gradients =
        if let tokens {
          try model.backward(
            tokens: tokens, state: state, lengths: lengths, dropout: dropout, targets: targets(),
            loss: loss)
        } else {
          try model.backward(
            x, state: state, lengths: lengths, dropout: dropout, targets: targets(), loss: loss)
        }
      return Gradients(
        loss: gradients.loss, groups: gradients.parameterGroups, x: gradients.x,
        h0: gradients.h0, c0: gradients.c0)
    }
  }

  typealias Upstream = (output: NDArray<S>?, hN: NDArray<S>?, cN: NDArray<S>?)

  /// Of a loss that is given by its own gradient with respect to what the recurrent network returns.
  private func gradients(
    of model: Model<S>, dropout: DropoutMasks?,
    _ loss: (RecurrentOutput<S>) throws -> (value: S, gradients: Upstream)
  ) throws -> Gradients {
    let (h0, c0) = initialStates
    let vectors = try tokens.map { try model.vectors(of: $0) }
    let (result, tape) = try model.rnn.record(
      vectors ?? x, h0: h0, c0: c0, lengths: lengths, dropout: dropout)
    let (value, upstream) = try loss(order?.inverse.arranged(result) ?? result)
    let gradients = try model.rnn.backward(
      tape, gradOutput: upstream.output.map { order?.arranged(output: $0) ?? $0 },
      gradHN: upstream.hN.map { order?.arranged(states: $0) ?? $0 },
      gradCN: upstream.cN.map { order?.arranged(states: $0, areCells: true) ?? $0 })
    var embedding = Parameters<S>()
    if let tokens, let table = model.embedding {
      embedding.append("weight", try table.backward(tokens, gradOutput: gradients.x))
    }
    return Gradients(
      loss: value, groups: [gradients.parameters, Parameters(), embedding], x: gradients.x,
      h0: gradients.h0, c0: gradients.c0)
  }

  func gradientChecks() throws -> [Check] {
    let gradients = try gradients(of: model, dropout: dropoutMasks())
    let stored = try network.stored(state(of: gradients.groups), sums: .first)
    var checks: [Check] = []
    for (name, computed) in [
      ("x", tokens == nil ? gradients.x : nil), ("h_0", gradients.h0), ("c_0", gradients.c0),
    ] {
      guard let expected = fixture.gradients[Name(name)] else { continue }
      guard let computed else {
        let why = name == "x" ? "token ids have no gradient" : "the cell has no cell state"
        checks.append(Check("grads/\(name)", problem: why))
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

  /// Trained parameters are expected all or none: a key left out would pass unseen. A gradient may be
  /// left out, because a frozen parameter has none; the report says how many are.
  func parameterChecks(
    _ group: String, _ expected: StateDict, _ computed: StateDict, _ tolerance: Tolerance
  ) throws -> [Check] {
    var checks: [Check] = []
    let inputs = group == "grads" ? ["x", "h_0", "c_0"] : []
    let own = expected.entries.filter { !inputs.contains($0.name.string) }
    guard !own.isEmpty else { return [] }
    for entry in own {
      let name = "\(group)/\(entry.name)"
      guard let tensor = computed[entry.name] else {
        checks.append(Check(name, problem: "the weights have no such parameter"))
        continue
      }
      checks.append(
        Check(
          name, shape: squeezed(entry.tensor.shape), expected: try entry.tensor.doubles(),
          computedShape: squeezed(tensor.shape), computed: try tensor.doubles(),
          tolerance: tolerance))
    }
    for name in computed.names where expected[name] == nil && group != "grads" {
      checks.append(Check("\(group)/\(name)", problem: "missing from the fixture"))
    }
    return checks
  }

  /// Biases are written (n) and (1, n) alike.
  private func squeezed(_ shape: [Int]) -> [Int] {
    let sizes = shape.filter { $0 != 1 }
    return sizes.count <= 1 ? sizes : shape
  }

  /// Gradients or parameters under the canonical names; a head without any becomes zeros.
  func state(of groups: [Parameters<S>]) throws -> StateDict {
    var groups = groups
    if groups[1].entries.isEmpty, let head = model.head {
      for (name, array) in head.parameters.entries {
        groups[1].append(name, NDArray<S>(zeros: array.shape))
      }
    }
    return try StateDict(canonical: groups)
  }
}
