import Containers
import Foundation
import Frameworks
import NetworksTestSupport
import RNNEngine
import Tensors
import TestSupport
import Testing

@testable import Conversion
@testable import Networks

@Suite("Memory does not grow with the file")
struct ScaleTests {
  private func network(
    _ convention: Convention, _ architecture: Architecture, dtype: DType = .f32,
    change: Int? = nil
  ) throws -> Network {
    let canonical = try Network.parameterTensors(of: architecture)
    let state = try CanonicalWeights(
      canonicalState(architecture, dtype: dtype), architecture: architecture, tensors: canonical
    ).encoded(as: convention.storedTensors(of: architecture))
    var changed = StateDict()
    for (index, entry) in state.entries.enumerated() {
      var bytes = try entry.tensor.bytes()
      if index == change { bytes[bytes.count - 1] ^= 0x40 }
      try changed.append(
        entry.name, Tensor(dtype: dtype, shape: entry.tensor.shape, bytes: bytes))
    }
    return try Network(changed, options: ReadOptions(convention: convention))
  }

  @Test(arguments: ["textbook-d0", "textbook-d1", "torch"])
  func parametersAreComparedThroughBothTables(_ name: String) throws {
    let architecture = Architecture(
      inputSize: 3, hiddenSize: 5, head: .init(classCount: 7, bias: true))
    let original = try network(.torch, architecture)
    let convention = try Convention.named(name)
    try network(convention, architecture).checkParameters(are: original)
    for tensor in 0..<(name == "torch" ? 6 : 5) {
      let damaged = try network(convention, architecture, change: tensor)
      let error = #expect(throws: RecurrentError.self) {
        try damaged.checkParameters(are: original)
      }
      #expect(error?.reason.code == "proof.read-back")
    }
  }

  @Test func whatAFrameworkAddsIsTakenOffAndPutOn() throws {
    let architecture = Architecture(inputSize: 3, hiddenSize: 5)
    let canonical = try Network.parameterTensors(of: architecture)
    let original = try CanonicalWeights(
      canonicalState(architecture), architecture: architecture, tensors: canonical)
    let shifted = canonical.map { stored in
      StoredTensor(
        name: stored.name, shape: stored.shape,
        placements: stored.placements.map { placement in
          var placement = placement
          placement.addend = stored.name == "bias_ih_l0" ? 0.5 : 0
          return placement
        })
    }
    let stored = try original.encoded(as: shifted)
    let before = try #require(try original.encoded(as: canonical)["bias_ih_l0"]?.doubles())
    #expect(try stored["bias_ih_l0"]?.doubles() == before.map { $0 - 0.5 })
    #expect(try original.rounds(writing: shifted))
    let back = try CanonicalWeights(stored, architecture: architecture, tensors: shifted)
    let after = try #require(try back.encoded(as: canonical)["bias_ih_l0"]?.doubles())
    #expect(zip(before, after).allSatisfy { abs($0 - $1) < 1e-15 })
    #expect(try !back.rounds(writing: shifted))
    // Gradients do not move with the numbers.
    #expect(try original.encoded(as: shifted, sums: .first)["bias_ih_l0"]?.doubles() == before)
    // A table without the second bias holds only networks in which it is zero.
    let fewer = canonical.filter { $0.name != "bias_hh_l0" }
    let error = #expect(throws: RecurrentError.self) { try original.encoded(as: fewer) }
    #expect(error?.reason.code == "convention.inexpressible")
    let without = try CanonicalWeights(stored, architecture: architecture, tensors: fewer)
    #expect(try without.encoded(as: fewer).count == 3)
    #expect(
      try without.encoded(as: canonical)["bias_hh_l0"]?.doubles() == [0, 0, 0, 0, 0])
  }

  @Test func aNetworkTooLargeToRunIsProvenByItsBytes() throws {
    try withTemporaryFolder { directory in
      let architecture = Architecture(inputSize: 14, hiddenSize: 15, bias: true)
      var state = StateDict()
      for stored in try Network.parameterTensors(of: architecture) {
        let count = stored.shape.reduce(2, *)
        // Finite in bfloat16, different from place to place.
        let bytes = (0..<count).map {
          $0 % 2 == 1 ? UInt8(0x3E) : UInt8(truncatingIfNeeded: $0 / 5)
        }
        try state.append(stored.name, Tensor(dtype: .bf16, shape: stored.shape, bytes: bytes))
      }
      let input = directory + "/in.safetensors"
      try WeightFormat.safetensors.write(state, to: input) { _ in }
      var options = ConversionOptions()
      options.convention = .textbookD3
      options.outputFormat = .safetensors
      options.largestRun = 14 * 15 + 15 * 15 + 29
      let there = try ConversionPlan(from: input, to: directory + "/d3", options: options)
      let proof = try there.execute()
      guard case .sameParameters(let count, _) = proof else {
        Issue.record("\(proof)")
        return
      }
      #expect(count == 14 * 15 + 15 * 15 + 30)
      #expect(proof.summary.contains("carried back and compared"))
    }
  }

  @Test func progressGoesFromNothingToAll() throws {
    final class Log: @unchecked Sendable { var steps: [ConversionProgress] = [] }
    try withTemporaryFolder { directory in
      let log = Log()
      var state = StateDict()
      try state.append("a", Tensor.make((0..<300_000).map { Double($0) }, shape: [300_000]))
      try state.append("b", Tensor.make([1.0], shape: [1]))
      try WeightFormat.npz.write(state, to: directory + "/in.npz") { _ in }
      var options = ConversionOptions()
      options.dtype = .f32
      options.progress = { log.steps.append($0) }
      try ConversionPlan(
        from: directory + "/in.npz", to: directory + "/out.npz", options: options
      ).execute()
      for (phase, total) in [
        (ConversionProgress.Phase.rounding, 300_001 * 8), (.writing, 300_001 * 4),
        (.comparing, 300_001 * 4),
      ] {
        let steps = log.steps.filter { $0.phase == phase }
        #expect(steps.count > 3 && steps.first?.done == 0)
        #expect(steps.allSatisfy { $0.total == total } && steps.last?.done == total)
        #expect(zip(steps, steps.dropFirst()).allSatisfy { $0.done <= $1.done })
      }
    }
  }

  @Test func previewsSayWhatEveryTargetWouldLose() throws {
    try withTemporaryFolder { directory in
      var state = try canonicalState(Architecture(inputSize: 3, hiddenSize: 5), dtype: .bf16)
      state.metadata["author"] = "me"
      let path = directory + "/in.safetensors"
      try WeightFormat.safetensors.write(state, to: path) { _ in }
      var summaries: [String: String] = [:]
      for preview in try ConversionPreview.all(of: WeightFile(path: path)) {
        switch preview.target {
        case .container(let format): summaries[format.name] = preview.summary
        case .convention(let convention): summaries["as " + convention.name] = preview.summary
        }
      }
      #expect(summaries["hdf5"] == "nothing")
      #expect(summaries["pt"] == "metadata author")
      #expect(summaries["npz"]?.hasPrefix("refused: elements of type bf16") == true)
      #expect(summaries["as textbook-d3"] == "pairs of biases become their sums, rounded once")
      #expect(summaries["as torch"] == nil)
      #expect(try FileManager.default.contentsOfDirectory(atPath: directory).count == 1)
    }
  }
}
