import Foundation
import Parity
import Recurrent
import TestSupport
import Testing

private let folder = "\(Checkout.root)/fixtures"

/// What fixtures and models refuse and no other test comes across.
@Suite("A fixture that means nothing is refused by name")
struct UnfitFixtureTests {
  private func fixture(
    _ name: String, keeping isKept: (String) -> Bool = { _ in true },
    _ change: (inout [JSON.Member]) -> Void
  ) throws -> Fixture {
    var result = StateDict()
    for entry in try WeightFile(path: "\(folder)/torch/\(name).npz").state.entries
    where isKept(entry.name.string) {
      guard entry.name == "config" else {
        try result.append(entry.name, entry.tensor)
        continue
      }
      guard case .object(var members) = try JSON.parse(entry.tensor.bytes()) else { continue }
      change(&members)
      let text = [UInt8](JSON.object(members).serialized().utf8)
      try result.append("config", Tensor(dtype: .u8, shape: [text.count], bytes: text))
    }
    return try Fixture(result)
  }

  private func set(_ key: String, _ value: JSON) -> (inout [JSON.Member]) -> Void {
    { members in
      members.removeAll { $0.key == key }
      members.append(.init(key: key, value: value))
    }
  }

  @Test func unknownCellsAndOptimisers() throws {
    #expect(reason { _ = try fixture("ce-gru", set("cell", .string("mamba"))) } == "fixture.cell")
    let name = "curve-adam-lstm-embedding-f64"
    _ = try fixture(name) { _ in }
    func optimiser(_ members: [JSON.Member]) throws {
      _ = try fixture(name, set("optimizer", .object(members)))
    }
    let kind = JSON.Member(key: "kind", value: .string("adam"))
    #expect(
      reason { try optimiser([.init(key: "kind", value: .string("lion"))]) } == "fixture.optimizer")
    #expect(reason { try optimiser([]) } == "fixture.optimizer")
    #expect(
      reason { try optimiser([kind, .init(key: "momentum", value: .number(0.9))]) }
        == "fixture.optimizer")
  }

  @Test func aFixtureExpectsSomething() throws {
    #expect(
      reason {
        _ = try fixture(
          "ce-gru",
          keeping: { $0.hasPrefix("weights/") || $0.hasPrefix("inputs/") || $0 == "config" }
        ) { $0.removeAll { $0.key == "losses" } }
      } == "fixture.nothing-expected")
  }

  /// A drawing that cannot be made is said, not thrown: `parity.portrait` stays inside.
  @Test func portraitsSayWhatTheyLack() throws {
    func remark(_ name: String) throws -> String? {
      let portrait = try Fixture(WeightFile(path: "\(folder)/torch/\(name).npz").state).portrait()
      #expect(portrait.gradientNorms.isEmpty == (portrait.gradientRemark != nil))
      #expect(!portrait.states.isEmpty)
      return portrait.gradientRemark
    }
    #expect(try remark("gru-1-layer-ragged-short-f64") == "rows of different lengths")
    #expect(try remark("dropout-rnn-tanh") == "dropout is on")
    #expect(try remark("gru-1-layer-batch-first-f64") == nil)
    #expect(try remark("ce-gru") == nil)
  }

  @Test func stepsNeedAPastAndRows() throws {
    var model = try Model<Float>(path: "\(folder)/checkpoints/char-rnn.pt")
    let size = model.architecture.inputSize
    var state = Model<Float>.State()
    let flat = try NDArray<Float>(shape: [size], elements: [Float](repeating: 1, count: size))
    #expect(reason { _ = try model.step(flat, state: &state) } == "engine.input-shape")
    let row = try NDArray<Float>(shape: [1, size], elements: flat.elements)
    _ = try model.step(row, state: &state)
    #expect(state.h != nil)
    let path = newPath(".npz")
    defer { remove(path) }
    let architecture = Architecture(inputSize: 3, hiddenSize: 4, bidirectional: true)
    var file = StateDict()
    for stored in try Convention.torch.storedTensors(of: architecture) {
      let count = stored.shape.reduce(1, *)
      try file.append(
        stored.name, Tensor.make((0..<count).map { Float($0) * 0.01 }, shape: stored.shape))
    }
    try WeightFormat.npz.write(file, to: path) { _ in }
    model = try Model<Float>(path: path)
    let wide = try NDArray<Float>(shape: [1, 3], elements: [1, 2, 3])
    state = .init()
    #expect(reason { _ = try model.step(wide, state: &state) } == "model.bidirectional")
  }
}
