import Parity
import Recurrent
import TestSupport
import Testing

@Suite("How small a change of a weight a fixture notices")
struct PowerTests {
  private func fixture(_ name: String) throws -> StateDict {
    try WeightFile(path: Checkout.fixture("torch/\(name).npz")).state
  }

  /// The fixture with other inputs and its outputs computed anew; gradients are left out.
  private func recomputed(
    _ state: StateDict, x: (Tensor) throws -> Tensor, dtype: DType? = nil
  ) throws -> Fixture {
    var inputs = StateDict()
    let config = Array("{\"schema\": 1, \"cell\": \"rnn_tanh\", \"batch_first\": true}".utf8)
    try inputs.append(
      "config", Tensor(dtype: .u8, shape: [config.count], source: MemorySource(config)))
    for entry in state.entries {
      let name = entry.name.string
      let isKept = ["weights/", "outputs/"].contains { name.hasPrefix($0) } || name == "inputs/x"
      guard isKept, name != "outputs/loss" else { continue }
      var tensor = entry.tensor
      if let dtype, tensor.dtype.isFloatingPoint { tensor = try tensor.converted(to: dtype).0 }
      try inputs.append(entry.name, name == "inputs/x" ? x(tensor) : tensor)
    }
    var result = StateDict()
    var computed: [String: CheckNumbers] = [:]
    // The outputs' shapes follow the input's.
    for check in try Fixture(inputs).comparison().checks { computed[check.tensor] = check.numbers }
    for entry in inputs.entries {
      guard entry.name.string.hasPrefix("outputs/") else {
        try result.append(entry.name, entry.tensor)
        continue
      }
      guard let numbers = computed[entry.name.string] else { continue }
      let tensor = try Tensor.make(numbers.computed, shape: numbers.shape)
      try result.append(entry.name, tensor.converted(to: entry.tensor.dtype).0)
    }
    return try Fixture(result)
  }

  private func scaled(_ tensor: Tensor, by factor: Double) throws -> Tensor {
    try Tensor.make(tensor.doubles().map { $0 * factor }, shape: tensor.shape)
      .converted(to: tensor.dtype).0
  }

  /// What is reported is noticed whichever way the weight is changed, and half of it is not.
  @Test(arguments: ["rnn-tanh-2-layer-batch-first-f64", "ce-lstm"])
  func theReportedChangeIsTheSmallestThatIsNoticed(_ name: String) throws {
    let state = try fixture(name)
    let power = try FixturePower(Fixture(state))
    #expect(
      power.entries.map(\.name)
        == state.names.map(\.string).filter { $0.hasPrefix("weights/") }
        .map { String($0.dropFirst(8)) })
    for entry in power.entries {
      #expect(entry.mostVisible.change <= entry.typical.change * 1.2)
      #expect(entry.typical.change <= entry.leastVisible.change * 1.2)
      for threshold in [entry.mostVisible, entry.typical, entry.leastVisible]
      where threshold.change.isFinite {
        #expect(threshold.relative == threshold.change / entry.scale)
        func fails(_ change: Double) throws -> Bool {
          var copy = StateDict()
          for part in state.entries {
            guard part.name.string == "weights/\(entry.name)" else {
              try copy.append(part.name, part.tensor)
              continue
            }
            var values = try part.tensor.doubles()
            let place = zip(threshold.place.index, part.tensor.shape).reduce(0) { $0 * $1.1 + $1.0 }
            values[place] += change
            try copy.append(
              part.name,
              Tensor.make(values, shape: part.tensor.shape).converted(to: part.tensor.dtype).0)
          }
          return try !Fixture(copy).verify().allSatisfy(\.passes)
        }
        #expect(try fails(threshold.change) && fails(-threshold.change), "\(entry.name)")
        #expect(
          try !fails(threshold.change / 2) || !fails(-threshold.change / 2), "\(entry.name)")
        #expect(threshold.noticedBy != nil)
      }
    }
  }

  @Test func tinyInputsHideTheirWeightsAndDoubleShowsThem() throws {
    let state = try fixture("rnn-tanh-2-layer-batch-first-f64")
    let single = try FixturePower(
      recomputed(state, x: { try scaled($0, by: 1e-4) }, dtype: .f32))
    let coarse = single.entries.filter(\.isCoarse).map(\.name)
    #expect(coarse.contains("weight_ih_l0") && !coarse.contains("bias_ih_l1"), "\(coarse)")
    #expect(single.advice.contains { $0.contains("double precision") })
    #expect(single.advice.contains { $0.contains("gradients") })
    let double = try FixturePower(recomputed(state, x: { try scaled($0, by: 1e-4) }))
    #expect(double.entries.allSatisfy { !$0.isCoarse } && double.advice.isEmpty)
  }

  /// One step from zeros says nothing about recurrent weights.
  @Test func oneStepNeverNoticesRecurrentWeights() throws {
    let state = try fixture("rnn-tanh-2-layer-batch-first-f64")
    var short = StateDict()
    for entry in state.entries {
      let shape = entry.tensor.shape
      guard ["inputs/x", "outputs/output"].contains(entry.name.string) else {
        if !["inputs/h_0"].contains(entry.name.string) {
          try short.append(entry.name, entry.tensor)
        }
        continue
      }
      // (N, T, features)
      let values = try entry.tensor.doubles()
      let first = (0..<shape[0]).flatMap { row in
        values[row * shape[1] * shape[2]..<row * shape[1] * shape[2] + shape[2]]
      }
      try short.append(entry.name, Tensor.make(first, shape: [shape[0], 1, shape[2]]))
    }
    let power = try FixturePower(recomputed(short, x: { $0 }))
    for entry in power.entries {
      let isRecurrent = entry.name.contains("weight_hh")
      #expect((entry.mostVisible.change == .infinity) == isRecurrent, "\(entry.name)")
    }
    #expect(power.advice.contains { $0.contains("more steps (1 now)") })
  }

  @Test func aFailingFixtureHasNoPower() throws {
    let state = try fixture("ce-lstm")
    var wrong = StateDict()
    for entry in state.entries {
      try wrong.append(
        entry.name,
        entry.name == "outputs/output" ? scaled(entry.tensor, by: 2) : entry.tensor)
    }
    let error = #expect(throws: RecurrentError.self) { try FixturePower(Fixture(wrong)) }
    #expect(error?.reason.code == "parity.difference")
  }
}
