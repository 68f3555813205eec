import RNNEngine
import Tensors

extension FixtureRun {
  /// What the fixture expects under `outputs/`, against the engine's.
  func outputChecks() throws -> [Check] {
    guard fixture.outputs.count > 0 else { return [] }
    let forward = try forward()
    let loss = try evaluateLoss(forward.recurrent, logits: forward.logits)
    return try fixture.outputs.entries.map { try check(output: $0, forward, loss) }
  }

  typealias Forward = (recurrent: RecurrentOutput<S>, logits: NDArray<S>?)

  func forward() throws -> Forward {
    let model = try order?.arranged(model) ?? model
    let (h0, c0) = initialStates
    let result =
      if let masks = dropoutMasks() {
        try model.rnn.record(x, h0: h0, c0: c0, lengths: lengths, dropout: masks).0
      } else {
        try model.rnn(x, h0: h0, c0: c0, lengths: lengths)
      }
    let logits = try model.logits(result.output, result.hN, lengths: lengths)
    return (order?.inverse.arranged(result) ?? result, logits)
  }

  /// The initial states in the order in which the units are computed.
  var initialStates: (h0: NDArray<S>?, c0: NDArray<S>?) {
    guard let order else { return (h0, c0) }
    return (
      h0.map { order.arranged(states: $0) }, c0.map { order.arranged(states: $0, areCells: true) }
    )
  }

  private func check(
    output entry: (name: Name, tensor: Tensor), _ forward: Forward, _ loss: S?
  ) throws -> Check {
    let name = "outputs/\(entry.name)"
    func missing(_ why: String) -> Check { Check(name, problem: why) }
    let computed: NDArray<S>
    var axis: Int? = timeAxis
    switch entry.name.string {
    case "output": computed = forward.recurrent.output
    case "h_n": (computed, axis) = (forward.recurrent.hN, nil)
    case "c_n":
      guard let cN = forward.recurrent.cN else { return missing("the cell has no cell state") }
      (computed, axis) = (cN, nil)
    case "logits", "probabilities":
      guard let logits = forward.logits else {
        return missing("the network has no head to compute it")
      }
      // A head that reads only the last step has logits without a time axis.
      let wanted =
        entry.tensor.shape.count == logits.shape.count ? logits : try lastStep(of: logits)
      if entry.tensor.shape.count < forward.recurrent.output.shape.count { axis = nil }
      computed = entry.name == "logits" ? wanted : probabilities(of: wanted)
    case "loss":
      guard let loss else { return missing("the configuration names no loss") }
      computed = try NDArray(shape: entry.tensor.shape.count == 0 ? [] : [1], elements: [loss])
      axis = nil
    default: return missing("networks have no such output")
    }
    return try compare(name, entry.tensor, computed, forwardTolerance, timeAxis: axis)
  }

  /// The logits of every row's last valid step.
  private func lastStep(of logits: NDArray<S>) throws -> NDArray<S> {
    let steps = logits.shape[timeAxis]
    guard steps > 0 else {
      throw RecurrentError(
        .fixtureInput, at: "tensor \"inputs/x\"", found: "no time steps",
        expected: "at least one, because the last step's logits are expected")
    }
    let classes = logits.shape[logits.shape.count - 1]
    let batch = logits.shape.count == 3 ? logits.shape[1 - timeAxis] : 1
    var elements: [S] = []
    for row in 0..<batch {
      let step = (lengths?[row] ?? steps) - 1
      let start = (timeAxis == 1 ? row * steps + step : step * batch + row) * classes
      elements += logits.elements[start..<start + classes]
    }
    return try NDArray(
      shape: logits.shape.count == 3 ? [batch, classes] : [classes], elements: elements)
  }

  func probabilities(of logits: NDArray<S>) -> NDArray<S> {
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
}
