import Containers
import Conversion
import Foundation
import Frameworks
import Networks
import NetworksTestSupport
import RNNEngine
import Tensors
import TestSupport
import Testing

@Suite("A conversion does what its plan says, and proves it")
struct ConversionPlanTests {
  private let architecture = Architecture(
    inputSize: 3, hiddenSize: 5, head: .init(classCount: 7, bias: true))

  private func write(
    _ convention: Convention, _ path: String, dtype: DType = .f32, cell: String? = nil
  ) throws {
    let canonical = try Network.parameterTensors(of: architecture)
    var state = try CanonicalWeights(
      canonicalState(architecture, dtype: dtype), architecture: architecture, tensors: canonical
    ).encoded(
      as: convention.storedTensors(
        of: architecture, naming: Naming(recurrent: "rnn.", head: "classifier.")))
    state.metadata["cell"] = cell
    state.metadata["note"] = "kept"
    try WeightFormat.forWriting(path: path).write(state, to: path) { _ in }
  }

  @Test(arguments: ["h5", "safetensors", "npz", "pt"])
  func containersAreExchangedByteForByte(_ suffix: String) throws {
    try withTemporaryFolder { directory in
      let input = directory + "/in.npz"
      try write(.torch, input, cell: "rnn_relu")
      let output = directory + "/out.\(suffix)"
      let plan = try ConversionPlan(from: input, to: output, options: .init())
      guard case .identical(6, _) = try plan.execute() else {
        Issue.record("not proven identical")
        return
      }
      let (before, after) = try (WeightFile(path: input), WeightFile(path: output))
      #expect(after.state.count == before.state.count)
      for entry in before.state.entries {
        let other = try #require(after.state[entry.name])
        #expect(try entry.tensor.isIdentical(to: other))
      }
      let carries = suffix != "pt"
      #expect(after.state.metadata["cell"] == (carries ? "rnn_relu" : nil))
      #expect(after.state.metadata["note"] == (carries ? "kept" : nil))
      #expect(after.state.metadata["format"] == (carries ? "rnn-state-dict" : nil))
      #expect(plan.leftBehind.contains { $0.contains("note = kept") } == !carries)
    }
  }

  @Test(arguments: ["textbook-d0", "textbook-d1"])
  func conventionsAreExchangedAsFunctions(_ name: String) throws {
    try withTemporaryFolder { directory in
      let input = directory + "/in.pt"
      try write(.torch, input)
      var options = ConversionOptions()
      options.convention = try Convention.named(name)
      let plan = try ConversionPlan(from: input, to: directory + "/out.npz", options: options)
      #expect(plan.steps.contains { $0.actions.contains(.biasesSummed) })
      guard case .sameModules(_, let forward, let gradients) = try plan.execute() else {
        Issue.record("not proven by running")
        return
      }
      #expect(forward < 1e-6 && gradients < 1e-5)
      // Back again the sum goes to one bias, exactly.
      let back = try ConversionPlan(
        from: directory + "/out.npz", to: directory + "/back.pt", options: .init())
      guard case .sameModules(_, 0, 0) = try back.execute() else {
        Issue.record("the way back is not exact")
        return
      }
      let state = try WeightFile(path: directory + "/back.pt").state
      #expect(state.names.contains("rnn.weight_ih_l0") && state.names.contains("classifier.bias"))
      #expect(try state["rnn.bias_hh_l0"]?.doubles().allSatisfy { $0 == 0 } == true)
    }
  }

  @Test func narrowingIsReportedAndProven() throws {
    try withTemporaryFolder { directory in
      let input = directory + "/in.h5"
      try write(.torch, input, dtype: .f32)
      var options = ConversionOptions()
      options.dtype = .f16
      let plan = try ConversionPlan(
        from: input, to: directory + "/out.safetensors", options: options)
      #expect(plan.losses.count == 6)
      guard case .asPlanned(6, _) = try plan.execute() else {
        Issue.record("not proven as planned")
        return
      }
      let state = try WeightFile(path: directory + "/out.safetensors").state
      #expect(state.entries.allSatisfy { $0.tensor.dtype == .f16 })
    }
  }

  @Test func existingFilesAreKept() throws {
    try withTemporaryFolder { directory in
      let (input, output) = (directory + "/in.npz", directory + "/out.h5")
      try write(.torch, input)
      try "precious".write(toFile: output, atomically: true, encoding: .utf8)
      let plan = try ConversionPlan(from: input, to: output, options: .init())
      let error = #expect(throws: RecurrentError.self) { try plan.execute() }
      #expect(error?.kind == .output)
      #expect(try String(contentsOfFile: output, encoding: .utf8) == "precious")
      #expect(try FileManager.default.contentsOfDirectory(atPath: directory).count == 2)
    }
  }

  @Test func planningWritesNothing() throws {
    try withTemporaryFolder { directory in
      try write(.torch, directory + "/in.npz")
      _ = try ConversionPlan(
        from: directory + "/in.npz", to: directory + "/out.pt", options: .init())
      #expect(try FileManager.default.contentsOfDirectory(atPath: directory) == ["in.npz"])
    }
  }

  @Test func strangersAreCopied() throws {
    try withTemporaryFolder { directory in
      var state = StateDict()
      try state.append("conv.weight", Tensor.make([1.0, 2, 3], shape: [3]))
      try WeightFormat.safetensors.write(state, to: directory + "/in.safetensors") { _ in }
      let plan = try ConversionPlan(
        from: directory + "/in.safetensors", to: directory + "/out.h5", options: .init())
      #expect(plan.network == nil)
      #expect(plan.notes.contains { $0.description.contains("without being understood") })
      try plan.execute()
      var options = ConversionOptions()
      options.convention = .textbookD3
      let error = #expect(throws: RecurrentError.self) {
        try ConversionPlan(
          from: directory + "/in.safetensors", to: directory + "/out.npz", options: options)
      }
      #expect(error?.reason.code == "weights.unrecognized")
    }
  }
}
