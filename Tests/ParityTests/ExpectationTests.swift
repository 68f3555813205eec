import Foundation
import Parity
import Recurrent
import TestSupport
import Testing

@Suite("An expectation passes inside its tolerance and says where it fails")
struct ExpectationTests {
  static let path = Checkout.fixture("torch/ce-lstm.npz")

  /// The library's own computation, as a user's port would hand it over.
  static func compute(_ fixture: Fixture) throws -> [String: NDArray<Double>] {
    let model = try fixture.network().model(
      Double.self, batchFirst: fixture.configuration.batchFirst)
    let result = try model(
      fixture.array("inputs/x"),
      state: .init(
        h: fixture.inputs["h_0"].map { try NDArray($0) },
        c: fixture.inputs["c_0"].map { try NDArray($0) }))
    return ["outputs/output": result.output, "outputs/h_n": result.hN]
  }

  static let names = ["outputs/output", "outputs/h_n"]

  private func failure(_ body: () throws -> Void) -> RecurrentError? {
    do {
      try body()
      return nil
    } catch {
      return error as? RecurrentError
    }
  }

  @Test func whatAgreesThrowsNothing() throws {
    try expectParity(with: Self.path)
    try expectParity(with: Self.path, tensors: Self.names, run: Self.compute)
  }

  @Test func aWrongPortIsToldTensorIndexAndStep() throws {
    let error = failure {
      try expectParity(with: Self.path, tensors: Self.names) { fixture in
        var result = try Self.compute(fixture)
        let last = (result["outputs/output"]?.count ?? 1) - 1
        result["outputs/output"]?.elements[last] += 1
        return result
      }
    }
    let fixture = try Fixture(WeightFile(path: Self.path).state)
    let shape = fixture.outputs["output"]?.shape ?? []
    let steps = shape[fixture.configuration.batchFirst ? 1 : 0]
    #expect(error?.reason.code == "parity.difference")
    #expect(error?.place == "tensor \"outputs/output\"")
    #expect(error?.found.contains("at \(shape.map { $0 - 1 }) expected") == true)
    #expect(error?.found.contains("first differing time step \(steps - 1)") == true)
    #expect(error?.file == Self.path)
  }

  @Test func whatIsMissingOrUnknownFails() {
    let missing = failure {
      try expectParity(with: Self.path) { fixture in try Self.compute(fixture) }
    }
    #expect(missing?.found.contains("not computed") == true)
    let unknown = failure {
      try expectParity(with: Self.path, tensors: Self.names) { fixture in
        var result = try Self.compute(fixture)
        result["outputs/outptu"] = result["outputs/output"]
        return result
      }
    }
    #expect(unknown?.found.contains("; the nearest is outputs/output") == true)
    let shape = failure {
      try expectParity(with: Self.path, tensors: ["outputs/h_n"]) { fixture in
        ["outputs/h_n": try Self.compute(fixture)["outputs/output"] ?? NDArray(zeros: [])]
      }
    }
    #expect(shape?.found.contains("shape") == true)
    let mistyped = failure {
      try expectParity(with: Self.path) { fixture in
        ["": try fixture.array("inputs/h0", as: Double.self)]
      }
    }
    #expect(mistyped?.reason.code == "fixture.missing")
    #expect(mistyped?.hint == "Did you mean \"inputs/h_0\"?")
    #expect(
      failure { try expectParity(with: "/no/such/fixture.npz") }?.reason.code == "file.missing")
    let nothing = failure {
      try expectParity(with: Self.path, tensors: []) { _ in [String: NDArray<Double>]() }
    }
    #expect(nothing?.reason.code == "parity.nothing")
  }

  @Test(arguments: [
    (55018.8361, "55000"), (1152.54, "1150"), (461.181, "461"), (0.353296, "0.353"), (12.04, "12"),
    (4.0915e10, "4.09e10"), (-2.5e-5, "-2.5e-5"), (0.9996, "1"), (1.0001, "1.0001"), (1, "1"),
    (0.00123, "0.00123"), (999.6, "1000"), (0, "0.0"), (Double.infinity, "inf"),
  ])
  func numbersHaveThreeDigitsThatCount(_ number: Double, _ text: String) {
    #expect(significant(number) == text)
  }

  @Test func suggestionsAreNearAndOnlyNear() {
    let words = ["torch", "keras", "onnx", "weight_ih_l0"]
    #expect(nearest(to: "torhc", among: words) == "torch")
    #expect(nearest(to: "KERAS", among: words) == "keras")
    #expect(nearest(to: "weight_hh_l0", among: words) == "weight_ih_l0")
    #expect(nearest(to: "pytorch", among: words) == "torch")
    #expect(nearest(to: "", among: words) == nil)
    #expect(nearest(to: "flax", among: words) == nil)
  }
}
