import Recurrent
import TestSupport
import Testing

@testable import Parity

@Suite("Failing cases become small")
struct ShrinkTests {
  private static func fixture(_ name: String) throws -> Fixture {
    try Fixture(WeightFile(path: Checkout.fixture("torch/\(name).npz")).state)
  }

  private static let names = [
    "lstm-2-layer-proj-3-bidirectional-no-bias-batch-first-f32", "gru-3-layer-no-h0-f32",
    "gru-before-2-layer-ragged-bidirectional-f32", "rnn-tanh-1-layer-unbatched-f32",
    "lstm-2-layer-bidirectional-batch-first-f32", "ce-gru-bidirectional-f32",
    "embedding-gru-padding-f32",
  ]

  /// The case computes what the fixture's network computes.
  @Test(arguments: names) func aCaseIsTheFixturesNetwork(_ name: String) throws {
    let fixture = try Self.fixture(name)
    let whole = try ShrinkCase(fixture)
    let small = try Fixture(whole.state(name: name))
    #expect(try small.verify().allSatisfy(\.passes))
    let expected = try #require(fixture.outputs["h_n"])
    let found = try #require(small.outputs["h_n"])
    for (a, b) in try zip(expected.doubles(), found.doubles()) {
      #expect((a - b).magnitude < 1e-5)
    }
  }

  /// Whatever is left out, what remains is a network that runs.
  @Test(arguments: names) func everyPartCanBeLeftOut(_ name: String) throws {
    var whole = try ShrinkCase(Self.fixture(name))
    whole.expectsGradients = true
    let (steps, rows) = (whole.x.shape[0], whole.x.shape[1])
    var parts: [ShrinkCase?] = [
      whole.keepingSteps(Array(0..<steps - 1)), whole.keepingRows([rows - 1]),
      whole.keepingFeatures([whole.x.shape[2] - 1]),
      whole.keepingUnits(whole.proj > 0 ? (0..<whole.hidden).reversed() : [0, 2]),
      whole.forwardOnly(), whole.withoutLayer(whole.layers - 1), whole.withoutLayer(0),
    ]
    if whole.proj > 0 { parts.append(whole.keepingProjections([1])) }
    parts += whole.simplified().map { $0 }
    for part in parts.compactMap({ $0 }) {
      let fixture = try Fixture(part.state(name: name))
      #expect(try fixture.verify().allSatisfy(\.passes))
    }
    // One row is that row of the whole, and the first steps are those of the whole.
    func output(_ small: ShrinkCase) throws -> ShrinkArray {
      let tensor = try #require(Fixture(small.state(name: name)).outputs["output"])
      return ShrinkArray(shape: tensor.shape, values: try tensor.doubles())
    }
    func near(_ a: ShrinkArray, _ b: ShrinkArray) -> Bool {
      a.shape == b.shape && zip(a.values, b.values).allSatisfy { ($0 - $1).magnitude < 1e-6 }
    }
    let all = try output(whole)
    #expect(near(try output(whole.keepingRows([rows - 1])), all.keeping([rows - 1], axis: 1)))
    if whole.directions == 1, whole.lengths == nil {
      let first = try #require(whole.keepingSteps([0, 1]))
      #expect(near(try output(first), all.keeping([0, 1], axis: 0)))
    }
  }

  /// The search finds the smallest case that still has what a failure needs.
  @Test func theSearchEndsAtWhatTheFailureNeeds() throws {
    let whole = try ShrinkCase(Self.fixture("lstm-2-layer-bidirectional-batch-first-f32"))
    var search = ShrinkSearch(whole) { small in
      small.x.shape[0] >= 3 && small.hidden >= 2 && small.directions == 2
        && (small.weights["weight_hh_l0_reverse"]?.values.contains { $0 != 0 } ?? false)
    }
    #expect(try search.start())
    try search.run()
    let best = search.best
    #expect(best.sizes.map(\.value) == [3, 1, 1, 2, 1, 2], "\(best.sizes)")
    #expect(best.h0 == nil && best.c0 == nil && !best.hasBias)
    let nonzero = best.weights.values.flatMap(\.values).filter { $0 != 0 }
    #expect(nonzero.count == 1 && search.runs <= Shrinking.mostRuns)
    var never = ShrinkSearch(whole) { _ in false }
    #expect(try !never.start())
  }

  /// Without a program only the file knows what is right: steps and rows are cut.
  @Test(arguments: ["gru-3-layer-no-h0-f32", "lstm-2-layer-batch-first-f64"])
  func aFixtureAloneKeepsTheRowAndTheStepsToTheFirstDifference(_ name: String) throws {
    let state = try WeightFile(path: Checkout.fixture("torch/\(name).npz")).state
    var bad = StateDict()
    for entry in state.entries {
      guard entry.name == "outputs/output" else {
        try bad.append(entry.name, entry.tensor)
        continue
      }
      var values = try entry.tensor.doubles()
      let shape = entry.tensor.shape
      // Row 1 at step 2, and a larger one later in row 0.
      let batchFirst = name.contains("batch-first")
      func offset(_ step: Int, _ row: Int) -> Int {
        (batchFirst ? row * shape[1] + step : step * shape[1] + row) * shape[2]
      }
      values[offset(2, 1)] += 0.1
      values[offset(3, 0)] += 0.5
      try bad.append(
        entry.name, Tensor.make(values, shape: shape).converted(to: entry.tensor.dtype).0)
    }
    let folder = try TemporaryFolder()
    let path = folder.file("bad.npz")
    try WeightFormat.named("npz").write(bad, to: path) { _ in }
    let small = try Shrinking(path, against: nil, options: .init())
    #expect(small.name == "bad" && small.sizes.prefix(2).map(\.after) == [3, 1])
    let failing = try Fixture(small.fixture).verify().filter { !$0.passes }
    #expect(failing.count == 1 && failing.first?.tensor == "outputs/output")
    #expect(failing.first?.index == [2, 0, 0] && failing.first?.firstStep == 2)
    #expect(small.script.contains("np.load(\"bad.npz\")") && small.script.contains("right: output"))
    // What fails around the layers alone cannot be made smaller.
    let good = folder.file("good.npz")
    try WeightFormat.named("npz").write(state, to: good) { _ in }
    let error = #expect(throws: RecurrentError.self) {
      try Shrinking(good, against: nil, options: .init())
    }
    #expect(error?.reason.code == "against.whole")
  }
}
