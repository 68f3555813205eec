import Networks
import RNNEngine
import Tensors

extension Fixture {
  /// What explains numbers that fail: those that the fixture expects, or those of a port in their place.
  ///
  /// Never throws: a fixture that cannot be diagnosed has no causes.
  func causes(
    of checks: [Check], port: FixtureEvidence.Named? = nil, dtype: DType? = nil,
    verification: Duration = .zero, options: VerificationOptions
  ) -> [Cause] {
    let failing = checks.filter { !$0.passes }
    guard options.diagnosisLimit > 0, failing.contains(where: { $0.problem == nil || $0.isOfShape })
    else { return [] }
    let subject = port == nil ? "the expected numbers" : "the port's numbers"
    guard let numbers = try? port ?? expectedNumbers(),
      let types = try? dtype ?? narrowestType()
    else { return [] }
    let limit = max(.milliseconds(Int64(options.diagnosisLimit * 1000)), verification * 20)
    let evidence: FixtureEvidence
    do {
      guard let made = try FixtureEvidence(self, numbers, dtype: types, options: options) else {
        return trainingModeCause(numbers, types, options, subject)
      }
      evidence = made
    } catch {
      return []
    }
    let names = evidence.keys
    var diagnosis = Diagnosis(evidence, subject: subject, within: limit) { names[$0] ?? $0 }
    let causes = diagnosis.causes()
    guard causes.isEmpty else { return causes }
    var sentences = Deviations(evidence: evidence, subject: subject).sentences()
    if sentences.isEmpty {
      sentences = [
        failing.map(\.tensor).prefix(3).joined(separator: ", ")
          + " differ\(failing.count == 1 ? "s" : "")"
      ]
    }
    if diagnosis.stoppedEarly {
      sentences.append("the search stopped early, after \(limit.inSeconds) s")
    }
    let worst = failing.map(\.worstDeviation).max() ?? 0
    return [
      Cause(
        code: Cause.unknown, tensor: failing.first?.tensor,
        detail: "no known mistake explains \(subject); "
          + sentences.prefix(5).joined(separator: "; "),
        deviation: worst)
    ]
  }

  private func expectedNumbers() throws -> FixtureEvidence.Named {
    var result: FixtureEvidence.Named = []
    for (group, state) in [
      ("outputs", outputs), ("states", states), ("grads", gradients), ("trained", trained),
      ("trajectory", trajectory),
    ] {
      for entry in state.entries where entry.tensor.dtype.isFloatingPoint {
        result.append(("\(group)/\(entry.name)", entry.tensor.shape, try entry.tensor.doubles()))
      }
    }
    if let losses { result.append(("losses", losses.shape, try losses.doubles())) }
    return result
  }

  /// The type of the weights or of the expected numbers, whichever has fewer digits.
  private func narrowestType() throws -> DType {
    let order: [DType] = [.bf16, .f16, .f32, .f64]
    let types =
      try [network().weights.dtype] + (outputs.entries + gradients.entries).map(\.tensor.dtype)
    return order.first { types.contains($0) } ?? .f32
  }

  /// Of a fixture in training mode: whether the numbers are those without dropout.
  private func trainingModeCause(
    _ numbers: FixtureEvidence.Named, _ dtype: DType, _ options: VerificationOptions,
    _ subject: String
  ) -> [Cause] {
    guard configuration.dropoutSeed != nil else { return [] }
    var off = self
    off.configuration.isTraining = false
    guard let evidence = try? FixtureEvidence(off, numbers, dtype: dtype, options: options) else {
      return []
    }
    let outputs = evidence.judge(evidence.baseline, isFull: true)
    let gradients = evidence.judgeGradients([])
    guard outputs.share <= 1, gradients.share <= 1 else { return [] }
    return [
      Cause(
        code: "dropout-active", tensor: nil,
        detail: "\(subject) are those without dropout, and the fixture's are in training mode",
        deviation: outputs.deviation)
    ]
  }
}

extension FixtureEvidence {
  /// PyTorch's names of the parameters, and the file's keys.
  fileprivate var keys: [String: String] {
    var keys: [String: String] = [:]
    for stored in run.network.recognition.tensors {
      for slot in stored.placements.flatMap(\.slots) {
        guard let index = baseline.index(of: slot) else { continue }
        keys[baseline.name(of: index)] = stored.name.string
      }
    }
    return keys
  }
}

extension Check {
  /// Whether it failed by its shape, which says something about the cause.
  var isOfShape: Bool { problem?.hasPrefix("shape") == true }
}
