import Foundation
import Recurrent
import Reports
import TestSupport
import Testing

@testable import Parity

@Suite("A page says in which step, layer and gate expected and computed part")
struct ComparisonTests {
  /// A fixture with one expected number changed, and the comparison of it.
  static func comparison(
    _ fixture: String, _ tensor: String, at offset: Int, by change: Double = 0.25
  ) throws -> FixtureComparison {
    var copy = StateDict()
    for entry in try WeightFile(path: Checkout.fixture("\(fixture).npz")).state.entries {
      guard entry.name.string == tensor else {
        try copy.append(entry.name, entry.tensor)
        continue
      }
      var numbers = try entry.tensor.doubles()
      numbers[offset] += change
      if entry.tensor.dtype == .f32 {
        let array = try NDArray<Float>(
          shape: entry.tensor.shape, elements: numbers.map { Float($0) })
        try copy.append(entry.name, array.tensor)
      } else {
        try copy.append(
          entry.name, NDArray<Double>(shape: entry.tensor.shape, elements: numbers).tensor)
      }
    }
    return try Fixture(copy).comparison()
  }

  /// Every element of a gradient belongs to one gate of one parameter, in any convention.
  @Test(arguments: [
    "torch/ce-lstm", "torch/ce-gru", "documents/d3/cell", "documents/d0/loss-gradients",
  ])
  func oneWrongGradientIsOneGate(_ name: String) throws {
    let state = try WeightFile(path: Checkout.fixture("\(name).npz")).state
    let parameters = state.entries.filter {
      $0.name.string.hasPrefix("grads/") && state["weights/\($0.name.string.dropFirst(6))"] != nil
    }
    #expect(parameters.count >= 2)
    for entry in parameters {
      let offset = entry.tensor.elementCount * 2 / 3
      let comparison = try Self.comparison(name, entry.name.string, at: offset, by: 10)
      let check = try #require(comparison.checks.first { $0.tensor == entry.name.string })
      #expect(!check.passes)
      let wrong = comparison.gates(of: "grads").flatMap(\.shares).filter { $0 ?? 0 > 1 }
      // A larger maximum widens the tolerance of the rest; the changed element stays out of it.
      let block = try #require(comparison.block(check, most: (64, 64)))
      if block.name.hasPrefix("layer") { #expect(wrong.count == 1, "\(entry.name)") }
      let (column, row) = block.part.marked
      #expect(block.part.offsets[column][row] == offset)
    }
  }

  @Test func aGateIsNamed() throws {
    // Rows 4 to 7 of 16 are the forget gate of four units, with two inputs.
    let comparison = try Self.comparison("torch/ce-lstm", "grads/rnn.weight_ih_l0", at: 6 * 2 + 1)
    let check = try #require(comparison.checks.first { !$0.passes })
    let block = try #require(comparison.block(check, most: (48, 24)))
    #expect(block.name == "layer 0, weight_ih, gate f")
    #expect(block.part.marked == (1, 2))
    let row = try #require(comparison.gates(of: "grads").first)
    #expect(row.name == "layer 0, weight_ih")
    #expect(row.shares.map { $0 ?? 0 > 1 } == [false, true, false, false])
    #expect(comparison.failingGroups == ["grads"])
  }

  @Test func layersSayFromWhichStep() throws {
    // States (T, layers · directions, N, H) of one layer in two directions.
    let name = "torch/stepwise-rnn-tanh-bidirectional"
    let state = try WeightFile(path: Checkout.fixture("\(name).npz")).state
    let shape = try #require(state["states/h"]).shape
    let offset = ((7 * shape[1] + 1) * shape[2]) * shape[3]
    let comparison = try Self.comparison(name, "states/h", at: offset)
    let layers = comparison.layers
    #expect(layers.count == shape[1])
    #expect(layers[1].name == "layer 0 reverse" && layers[0].name == "layer 0")
    // Going backwards, the step before reads the changed state.
    #expect(layers[1].firstStep == 6)
    #expect(layers[0].firstStep == nil && layers[0].shares.allSatisfy { $0 ?? 0 <= 1 })
    let titles = comparison.overview.map(\.title)
    #expect(titles.first == "Times the tolerance at every time step")
    #expect(titles.contains("states/h: expected and computed"))
    let check = try #require(comparison.shown.first)
    let maps = comparison.maps(of: check)
    #expect(maps.map(\.title) == ["Expected", "Computed", "Times the tolerance"])
    #expect(maps[0].description.contains("states/h, layer 0 reverse, row 0"))
  }

  @Test func expectedAndComputedShareTheirScale() throws {
    let name = "torch/ce-lstm"
    let state = try WeightFile(path: Checkout.fixture("\(name).npz")).state
    let count = try #require(state["outputs/output"]).elementCount
    let comparison = try Self.comparison(name, "outputs/output", at: count - 1, by: 3)
    let check = try #require(comparison.shown.first)
    #expect(check.tensor == "outputs/output" && comparison.shown.count == 1)
    let maps = comparison.maps(of: check)
    // The scale's end is the largest magnitude of both, about 3, and stands on both.
    let scale = maps[0].inline.components(separatedBy: "</text>")[1]
    #expect(scale.contains(">-3") || scale.contains(">-2.9"))
    #expect(maps[1].inline.components(separatedBy: "</text>")[1] == scale)
    #expect(maps[2].inline.contains("class=\"cell over\""))
    #expect(comparison.failingGroups.isEmpty)
    let passing = try Fixture(state).comparison()
    #expect(passing.shown.isEmpty && passing.overview.isEmpty && passing.failingGroups.isEmpty)
  }

  @Test func largeTensorsAreCutAroundTheWorstElement() {
    let values = (0..<200).map { Double($0) }
    let numbers = CheckNumbers(
      shape: [4, 50], expected: values, computed: values, tolerance: .init(absolute: 1),
      maximum: 199, timeAxis: nil)
    let part = numbers.part(around: [3, 0], columns: 1, rows: 0, most: (20, 2))
    #expect(part.offsets.count == 20 && part.offsets[0] == [100, 150])
    #expect(part.origin == (0, 2) && part.marked == (0, 1))
    let late = numbers.part(around: [0, 49], columns: 1, rows: 0, most: (20, 2))
    #expect(late.origin == (30, 0) && late.marked == (19, 0))
    #expect(late.offsets[19] == [49, 99])
  }
}
