import Conversion
import Networks
import RNNEngine
import Tensors

extension FixtureRun {
  /// What the fixture expects after training from `weights/`, running freely.
  func trainingChecks() throws -> [Check] {
    let optimizer = try optimizer()
    if let problem = lossesProblem(optimizer) { return [problem] }
    let (model, losses) = try train(optimizer)
    var checks: [Check] = []
    if let expected = fixture.losses {
      checks.append(try compare("losses", expected, losses, lossTolerance, timeAxis: 0))
    }
    let stored = try network.stored(state(of: model.parameterGroups), sums: .add)
    return checks + (try parameterChecks("trained", fixture.trained, stored, forwardTolerance))
  }

  /// Every update from the reference's parameters before it.
  ///
  /// The optimiser's memory is our own: it holds gradients, which do not drift from these parameters.
  func trajectoryChecks() throws -> (checks: [Check], remark: String) {
    let optimizer = try optimizer()
    let path = fixture.trajectory
    var problems = lossesProblem(optimizer).map { [$0] } ?? []
    for entry in network.recognition.tensors {
      let expected = [optimizer.steps] + (fixture.weights[entry.name]?.shape ?? entry.shape)
      guard let shape = path[entry.name]?.shape else {
        problems.append(Check("trajectory/\(entry.name)", problem: "missing from the fixture"))
        continue
      }
      guard shape != expected else { continue }
      problems.append(
        Check("trajectory/\(entry.name)", problem: "shape \(shape), expected \(expected)"))
    }
    for name in path.names where fixture.weights[name] == nil {
      problems.append(
        Check("trajectory/\(name)", problem: "the weights have no such parameter"))
    }
    guard problems.isEmpty, optimizer.steps > 0 else {
      return (problems, "\(optimizer.steps) updates")
    }
    // Row k of a parameter is what k updates should have made of it.
    var computed: [Name: [S]] = [:]
    for name in path.names {
      computed[name] = try fixture.weights[name].map { try NDArray<S>($0).elements }
    }
    let stacked = try path.entries.map { ($0.name, try NDArray<S>($0.tensor)) }
    var rule = optimizer.make(S.self)
    let masks = dropoutMasks()
    var losses: [S] = []
    var last = StateDict()
    for update in 0..<optimizer.steps {
      var model = try fixture.configuration.applied(
        to: fixture.network(of: row(update, of: stacked)).model(S.self))
      losses.append(try step(&model, &rule, masks))
      last = try network.stored(state(of: model.parameterGroups), sums: .add)
      guard update + 1 < optimizer.steps else { break }
      for entry in last.entries {
        computed[entry.name, default: []] += try NDArray<S>(entry.tensor).elements
      }
    }
    var checks: [Check] = []
    if let expected = fixture.losses {
      checks.append(
        try compare(
          "losses", expected, NDArray(shape: [losses.count], elements: losses), lossTolerance,
          timeAxis: 0))
    }
    for entry in path.entries {
      checks.append(
        try compare(
          "trajectory/\(entry.name)", entry.tensor,
          NDArray(shape: entry.tensor.shape, elements: computed[entry.name] ?? []),
          forwardTolerance, timeAxis: 0))
    }
    checks += try parameterChecks("trained", fixture.trained, last, forwardTolerance)
    return (checks, try freeRunRemark(optimizer, stepwise: losses))
  }

  private func freeRunRemark(_ optimizer: FixtureOptimizer, stepwise: [S]) throws -> String {
    let (_, free) = try train(optimizer)
    let reference =
      try fixture.losses.map { try NDArray<S>($0) }
      ?? NDArray(shape: [stepwise.count], elements: stepwise)
    return "\(optimizer.steps) updates, each from the reference's parameters; running freely, "
      + "the losses " + drift(try free.deviation(from: reference), per: "update")
  }

  /// One row of every array: the reference's parameters before an update.
  private func row(_ index: Int, of stacked: [(Name, NDArray<S>)]) throws -> StateDict {
    var result = StateDict()
    for (name, array) in stacked {
      let size = array.count / max(1, array.shape[0])
      let part = try NDArray(
        shape: Array(array.shape.dropFirst()),
        elements: Array(array.elements[index * size..<(index + 1) * size]))
      try result.append(name, part.tensor)
    }
    return result
  }

  private func optimizer() throws -> FixtureOptimizer {
    guard let optimizer = fixture.configuration.optimizer else {
      throw RecurrentError(
        .fixtureConfig, at: "config key \"optimizer\"", found: "no such key",
        expected: "an optimizer, because trained parameters or losses are expected")
    }
    return optimizer
  }

  private func lossesProblem(_ optimizer: FixtureOptimizer) -> Check? {
    guard let losses = fixture.losses, losses.shape != [optimizer.steps] else { return nil }
    return Check(
      "losses", problem: "shape \(losses.shape), but there are \(optimizer.steps) updates")
  }

  /// The model after all updates, and the loss before each.
  private func train(
    _ optimizer: FixtureOptimizer
  ) throws -> (model: Model<S>, losses: NDArray<S>) {
    var model = model
    var rule = optimizer.make(S.self)
    let masks = dropoutMasks()
    var losses: [S] = []
    for _ in 0..<optimizer.steps { losses.append(try step(&model, &rule, masks)) }
    return (model, try NDArray(shape: [losses.count], elements: losses))
  }

  /// One clipped update; returns the loss before it.
  private func step(
    _ model: inout Model<S>, _ rule: inout any Optimizer<S>, _ masks: DropoutMasks?
  ) throws -> S {
    // A one-bias convention trains one bias: the other stays zero and out of the norm.
    let frozen = network.frozenParameters
    let gradients = try gradients(of: model, dropout: masks)
    var groups = gradients.groups
    groups[0] = groups[0].without(frozen)
    switch fixture.configuration.clip {
    case .value(let maximum)?: groups.clipByValue(max: S(maximum))
    case .norm(let maximum)?: groups.clipByGlobalNorm(max: S(maximum))
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
    return gradients.loss
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
