import Foundation
import Parity
import Recurrent
import TestSupport
import Testing

/// The repository's fixtures.
private let fixtureRoot = "\(Checkout.root)/fixtures"

private let fixtures = (try? FixtureSearch.files(in: [fixtureRoot])) ?? []

@Suite("Every fixture passes, and no changed one does")
struct FixtureTests {
  @Test func fixturesAreFound() {
    #expect(fixtures.filter { $0.contains("/documents/") }.count >= 20)
    #expect(fixtures.filter { $0.contains("/torch/") }.count >= 200)
  }

  @Test(arguments: fixtures)
  func fixturePasses(_ path: String) {
    let result = parity(of: path)
    #expect(result.error == nil)
    for check in result.checks {
      #expect(
        check.passes, "\(check.tensor) \(check.problem ?? "") at \(check.index)")
    }
    #expect(result.passes)
  }

  /// Every expected tensor of every small fixture, disturbed in turn, must be noticed.
  @Test(
    arguments: fixtures.filter { path in
      ["rnn-tanh", "embedding-", "masked-", "dropout-"].contains { path.contains("/torch/\($0)") }
    })
  func everyDisturbanceIsNoticed(_ path: String) throws {
    let state = try WeightFile(path: path).state
    for entry in state.entries {
      let name = entry.name.string
      guard entry.tensor.dtype.isFloatingPoint, entry.tensor.elementCount > 0,
        !name.hasPrefix("weights/"), !name.hasPrefix("inputs/")
      else { continue }
      var values = try entry.tensor.doubles()
      let largest = values.map(\.magnitude).max() ?? 0
      let victim = values.count / 2
      values[victim] += 1e-3 * max(1, largest)
      let disturbed = try Tensor.make(values, shape: entry.tensor.shape)
        .converted(to: entry.tensor.dtype).0
      let checks = try Fixture(replacing(entry.name, with: disturbed, in: state)).verify()
      let failing = checks.filter { !$0.passes }
      #expect(failing.map(\.tensor) == [name])
      let flat = zip(failing.first?.index ?? [], entry.tensor.shape).reduce(0) {
        $0 * $1.1 + $1.0
      }
      #expect(flat == victim, "\(name): the index of the disturbed element is reported")
      #expect(failing.first?.expected == (try disturbed.doubles()[victim]))
      values[victim] = .nan
      let poisoned = try Tensor.make(values, shape: entry.tensor.shape)
        .converted(to: entry.tensor.dtype).0
      #expect(
        try Fixture(replacing(entry.name, with: poisoned, in: state)).verify().contains {
          !$0.passes
        }, "\(name): a NaN never passes against a number")
    }
  }

  private func replacing(_ name: Name, with tensor: Tensor?, in state: StateDict) throws
    -> StateDict
  {
    var result = StateDict()
    for entry in state.entries {
      if entry.name != name {
        try result.append(entry.name, entry.tensor)
      } else if let tensor {
        try result.append(entry.name, tensor)
      }
    }
    return result
  }

  @Test func missingAndExtraTensorsFail() throws {
    let path = try #require(fixtures.first { $0.contains("/torch/rnn-tanh-2-layer") })
    let state = try WeightFile(path: path).state
    let gradient = try #require(
      state.names.first { $0.string.hasPrefix("grads/weight_hh") })
    // A frozen parameter has no gradient: what is absent is not checked.
    let without = try Fixture(replacing(gradient, with: nil, in: state))
    #expect(try without.verify().allSatisfy { $0.passes && $0.tensor != gradient.string })

    var extra = state
    try extra.append("grads/weight_hh_l9", Tensor.make([1.0], shape: [1]))
    let checks = try Fixture(extra).verify()
    #expect(checks.filter { !$0.passes }.map(\.tensor) == ["grads/weight_hh_l9"])

    var unknown = state
    try unknown.append("outputs/attention", Tensor.make([1.0], shape: [1]))
    #expect(throws: RecurrentError.self) { try Fixture(unknown) }

    let weight = try #require(state.names.first { $0.string.hasPrefix("weights/bias_hh") })
    let broken = try Fixture(replacing(weight, with: nil, in: state))
    let error = #expect(throws: RecurrentError.self) { try broken.verify() }
    #expect(error?.reason.code == "weights.missing")
  }

  @Test func firstDifferingStepIsReported() throws {
    let path = try #require(
      fixtures.first { $0.hasSuffix("rnn-tanh-2-layer-batch-first-f64.npz") })
    let state = try WeightFile(path: path).state
    let output = try #require(state["outputs/output"])
    let (rows, steps, width) = (output.shape[0], output.shape[1], output.shape[2])
    #expect(rows > 1 && steps > 3)
    var values = try output.doubles()
    // Steps 3 of row 0 and 2 of row 1: the earliest time step counts, not the first in memory.
    values[3 * width] += 1
    values[(steps + 2) * width + 1] += 1
    let changed = try Tensor.make(values, shape: output.shape)
    let checks = try Fixture(replacing("outputs/output", with: changed, in: state)).verify()
    #expect(checks.first { !$0.passes }?.firstStep == 2)
  }
}

@Suite("Two networks are the same, or the difference is named")
struct NetworkComparisonTests {
  private func network(_ change: Double, dtype: DType = .f64, convention: Convention = .textbookD1)
    throws -> Network
  {
    let architecture = Architecture(
      inputSize: 2, hiddenSize: 3, head: .init(classCount: 4, bias: true))
    var next = 0.0
    var state = StateDict()
    for stored in try convention.storedTensors(of: architecture) {
      let values = (0..<stored.shape.reduce(1, *)).map { _ -> Double in
        next += 1
        return (next * 0.37).truncatingRemainder(dividingBy: 1) - 0.5
      }
      try state.append(stored.name, Tensor.make(values, shape: stored.shape).converted(to: dtype).0)
    }
    if change != 0 {
      var result = StateDict()
      for entry in state.entries {
        var values = try entry.tensor.doubles()
        if entry.name == "Whh" { values[4] += change }
        try result.append(
          entry.name, Tensor.make(values, shape: entry.tensor.shape).converted(to: dtype).0)
      }
      state = result
    }
    return try Network(state, options: ReadOptions(cell: .rnnTanh))
  }

  @Test func theSameIsTheSame() throws {
    #expect(try NetworkComparison(network(0), network(0)).areSame)
    let types = try NetworkComparison(network(0), network(0, dtype: .f32))
    let places = types.differences.map(\.place)
    #expect(places.first == "element type" && places.contains("weight_hh_l0"), "\(places)")
    #expect(types.equalWhenRoundedTo == .f32 && types.allowances.isEmpty)
    let narrowed = try NetworkComparison(network(0), network(0, dtype: .f32), rounded: true)
    #expect(narrowed.areSame)
    #expect(narrowed.roundedTo == .f32 && narrowed.allowances == ["compared after rounding to f32"])
    // Rounding excuses nothing else.
    let other = try NetworkComparison(network(0), network(0.01, dtype: .f32), rounded: true)
    #expect(other.differences.map(\.place) == ["weight_hh_l0"])
    #expect(other.differences.first?.elements?.deviation.count == 1)
  }

  /// A document's class says by its names what follows what; a state dict does not.
  @Test func theSameModulesAreNotAlwaysTheSameNetwork() throws {
    let said = try network(0)
    #expect(try NetworkComparison(said, said).areSameNetwork)
    let assumed = try network(0, convention: .torch)
    let comparison = try NetworkComparison(said, assumed)
    #expect(comparison.areSame == false || !comparison.areSameNetwork)
    let twice = try NetworkComparison(assumed, assumed)
    #expect(twice.areSame && !twice.areSameNetwork)
    #expect(twice.reservations.first.contains { $0.description.contains("follows") })
  }

  @Test func oneBitIsADifference() throws {
    let comparison = try NetworkComparison(network(0), network(0x1p-50))
    #expect(!comparison.areSame)
    // Whh is stored transposed: its element 4 of (3, 3) is the middle one either way.
    #expect(comparison.differences.map(\.place) == ["weight_hh_l0"])
    let elements = comparison.differences.first?.elements
    #expect(elements?.place?.words == "row 1, column 1" && elements?.count == 9)
    #expect(elements?.deviation.count == 1 && elements?.deviation.absolute == 0x1p-50)
  }

  @Test func gradientsAgreeWithFiniteDifferences() throws {
    let check = try GradientCheck(network(0))
    #expect(check.entries.count == 6)
    #expect(check.passes)
  }
}
