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

/// Files and faults that conversion refuses and that no other test comes across.
@Suite("What a target cannot express is refused, and nothing is written")
struct InexpressibleTests {
  private let architecture = Architecture(
    inputSize: 3, hiddenSize: 5, layerCount: 2, head: .init(classCount: 7, bias: true))

  private func state(
    _ convention: Convention, _ architecture: Architecture, dtype: DType = .f32
  ) throws -> StateDict {
    try CanonicalWeights(
      canonicalState(architecture, dtype: dtype), architecture: architecture,
      tensors: Network.parameterTensors(of: architecture)
    ).encoded(as: convention.storedTensors(of: architecture, naming: .init(recurrent: "rnn.")))
  }

  private func converting(
    _ state: StateDict, _ options: ConversionOptions
  ) throws -> (error: RecurrentError?, files: [String]) {
    let folder = try newFolder()
    defer { remove(folder) }
    try WeightFormat.npz.write(state, to: folder + "/in.npz") { _ in }
    var failure: RecurrentError?
    do {
      try ConversionPlan(from: folder + "/in.npz", to: folder + "/out.npz", options: options)
        .execute()
    } catch let error as RecurrentError {
      failure = error
    }
    return (failure, try FileManager.default.contentsOfDirectory(atPath: folder).sorted())
  }

  /// A projection of the second layer alone is no module of PyTorch's.
  @Test func parametersThatNoModuleHasAreRefused() throws {
    let lstm = Architecture(cell: .lstm, inputSize: 3, hiddenSize: 5, layerCount: 2)
    var state = try state(.torch, lstm)
    #expect(try Recognition(state).architecture == lstm)
    try state.append(
      "rnn.weight_hr_l1", Tensor.make([Float](repeating: 1, count: 10), shape: [2, 5]))
    let error = #expect(throws: RecurrentError.self) { try Recognition(state) }
    #expect(error?.reason.code == "weights.extra")
    #expect(error?.place == "tensor \"rnn.weight_hr_l1\"")
  }

  /// A stranger beside the network has a name that the other convention gives to a parameter.
  @Test func namesDoNotCollide() throws {
    var state = try state(.torch, architecture)
    let taken: Name = "params.rnn.0.i.kernel"
    try state.append(taken, Tensor.make([Float(1)], shape: [1]))
    var options = ConversionOptions()
    options.convention = .flax
    let (error, files) = try converting(state, options)
    #expect(error?.reason.code == "conversion.collision", "\(String(describing: error))")
    #expect(error?.place == "tensor \"\(taken)\"")
    #expect(files == ["in.npz"])
  }

  /// Weights beyond the range of the type asked for make another network, which never appears.
  @Test func anotherNetworkIsNotPublished() throws {
    var state = StateDict()
    for entry in try self.state(.torch, architecture).entries {
      var values = try entry.tensor.floats()
      if entry.name.string.contains("weight_hh_l1") { values[3] = 1e5 }
      if entry.name.string.contains("weight_hh_l1") { values[4] = -1e5 }
      try state.append(entry.name, Tensor.make(values, shape: entry.tensor.shape))
    }
    var options = ConversionOptions()
    options.convention = .flax
    options.dtype = .f16
    let (error, files) = try converting(state, options)
    #expect(error?.reason.code == "proof.deviation", "\(String(describing: error))")
    #expect(files == ["in.npz"])
    // The same without the outliers is the same network.
    options.dtype = .f32
    let (none, both) = try converting(state, options)
    #expect(none == nil && both == ["in.npz", "out.npz"])
  }

  @Test func tablesThatGoBackwardsAreFaults() throws {
    let slot = Slot(part: .recurrent(layer: 0, direction: 0), role: .weightHH, gate: 0)
    func source(_ placement: Placement) throws {
      _ = try RearrangedSource(
        .f32, [2, 3],
        [.init(terms: [], addend: 1, placement: placement, size: (rows: 2, columns: 3))])
    }
    try source(Placement(slots: [slot], offset: 0, rowStride: 3, columnStride: 1))
    for (offset, row, column) in [(-1, 3, 1), (0, 0, 1), (0, -3, 1), (0, 3, 0), (0, 3, -1)] {
      let error = #expect(throws: RecurrentError.self) {
        try source(
          Placement(slots: [slot], offset: offset, rowStride: row, columnStride: column))
      }
      #expect(error?.reason.code == "conversion.slot" && error?.kind == .fault)
    }
  }
}
