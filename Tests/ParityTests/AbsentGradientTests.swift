import Parity
import Recurrent
import TestSupport
import Testing

@Suite("Gradients for some parameters are enough, weights for some are not")
struct AbsentGradientTests {
  /// A fixture's file without some tensors, verified.
  private func result(of name: String, without isLeftOut: (String) -> Bool) throws -> FixtureResult
  {
    let folder = try TemporaryFolder()
    var state = StateDict()
    for entry in try WeightFile(path: Checkout.fixture(name)).state.entries
    where !isLeftOut(entry.name.string) {
      try state.append(entry.name, entry.tensor)
    }
    let path = folder.file("part.npz")
    try WeightFormat.named("npz").write(state, to: path, overwrite: true) { _ in }
    return parity(of: path)
  }

  @Test func frozenParametersAreCountedAndNotChecked() throws {
    let whole = try result(of: "torch/ce-lstm.npz") { _ in false }
    #expect(whole.passes && whole.absent.isEmpty && !whole.counts.contains("absent"))
    let frozen = whole.checks.map(\.tensor).filter { $0.hasPrefix("grads/rnn.") }
    #expect(frozen.count == 4)
    let part = try result(of: "torch/ce-lstm.npz") { $0.hasPrefix("grads/rnn.") }
    #expect(part.passes && part.absent.sorted() == frozen.sorted())
    #expect(part.checks.count == whole.checks.count - 4)
    #expect(part.counts == "\(part.checks.count) tensors checked, 4 gradients absent")
    let one = try result(of: "torch/ce-lstm.npz") { $0 == frozen[0] }
    #expect(one.absent == [frozen[0]] && one.counts.hasSuffix(", 1 gradient absent"))
  }

  /// Where no gradients are expected, none is absent.
  @Test func outputsAloneHaveNoAbsentGradients() throws {
    let part = try result(of: "torch/ce-lstm.npz") { $0.hasPrefix("grads/") }
    #expect(part.passes && part.absent.isEmpty)
  }

  /// The gradient of the input alone leaves those of all parameters unchecked.
  @Test func theInputsGradientAloneIsCountedToo() throws {
    let part = try result(of: "torch/ce-lstm.npz") { $0.hasPrefix("grads/") && $0 != "grads/x" }
    let expectsX = part.checks.contains { $0.tensor == "grads/x" }
    #expect(part.passes && part.absent.count == (expectsX ? 6 : 0))
  }

  @Test func aMissingWeightOrTrainedParameterStaysAFailure() throws {
    let weight = try result(of: "torch/ce-lstm.npz") { $0 == "weights/rnn.bias_hh_l0" }
    #expect(!weight.passes && weight.error?.reason.code == "weights.missing")
    let names = try FixtureSearch.files(in: [Checkout.fixture("torch")])
    let path = try #require(
      names.first { path in
        (try? WeightFile(path: path).state.names.contains { $0.string.hasPrefix("trained/") })
          == true
      })
    let state = try WeightFile(path: path).state
    let trained = try #require(state.names.first { $0.string.hasPrefix("trained/") })
    let local = String(path.dropFirst("\(Checkout.root)/fixtures/".count))
    let part = try result(of: local) { $0 == trained.string }
    #expect(part.checks.first { !$0.passes }?.problem == "missing from the fixture")
  }
}
