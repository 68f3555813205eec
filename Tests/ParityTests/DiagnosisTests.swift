import Foundation
import Recurrent
import TestSupport
import Testing

@testable import Parity

@Suite("What explains wrong numbers is named, and nothing else is")
struct DiagnosisTests {
  private static func options(_ seconds: Double) -> VerificationOptions {
    var options = VerificationOptions()
    options.diagnosisLimit = seconds
    return options
  }

  private static func causes(_ fixture: Fixture, _ seconds: Double) throws -> [Cause] {
    let options = options(seconds)
    let checks = try fixture.verify(options: options)
    guard checks.contains(where: { !$0.passes }) else { return [] }
    return fixture.causes(of: checks, options: options)
  }

  static let small =
    (try? FixtureSearch.files(in: ["\(Checkout.root)/fixtures"]))?.filter { path in
      [
        "/torch/lstm-", "/torch/gru-", "/torch/rnn-", "/torch/ce-", "/torch/bce-", "/torch/mse-",
        "/torch/masked-",
        "/documents/", "/torch/embedding-",
      ].contains { path.contains($0) }
    } ?? []

  /// Hypotheses change a network of its own making: without a change it is the engine's, gradients included.
  @Test(arguments: small)
  func theReferenceIsTheEngine(_ path: String) throws {
    let fixture = try Fixture(WeightFile(path: path).state)
    var numbers: FixtureEvidence.Named = []
    for (group, state) in [("outputs", fixture.outputs), ("grads", fixture.gradients)] {
      for entry in state.entries {
        numbers.append(("\(group)/\(entry.name)", entry.tensor.shape, try entry.tensor.doubles()))
      }
    }
    let type = try fixture.network().weights.dtype
    let evidence = try #require(
      try FixtureEvidence(fixture, numbers, dtype: type, options: .init()))
    #expect(evidence.judge(evidence.baseline, isFull: true).share <= 1)
    #expect(evidence.judgeGradients([]).share <= 1)
    #expect(fixture.outputs.count == 0 || !evidence.outputs.isEmpty)
  }

  /// 18 kinds of mistake, 20 random networks each: 95 of 100 are named first, none is taken for another.
  @Test func knownMistakesAreNamed() throws {
    var (right, total) = (0, 0)
    for kind in RandomNetwork.kinds {
      var (made, seed) = (0, 0)
      while made < 20 {
        var chance = Chance(1000 * seed + kind.utf8.reduce(0) { $0 &* 31 &+ Int($1) } % 997)
        seed += 1
        guard let fixture = try RandomNetwork.wrong(kind, &chance) else { continue }
        made += 1
        total += 1
        let codes = try Self.causes(fixture, 60).map(\.code)
        if codes.first == kind { right += 1 }
        #expect(
          codes.contains(kind) || codes == [Cause.unknown], "\(kind), seed \(seed - 1): \(codes)")
      }
    }
    #expect(total == 360)
    #expect(right * 100 >= total * 95, "\(right) of \(total)")
  }

  /// Numbers that are wrong in other ways have no cause; what is known all the same is said.
  @Test func otherMistakesGetNoCause() throws {
    for seed in 0..<100 {
      var chance = Chance(seed)
      var network = try RandomNetwork(&chance)
      let stated = network
      var outputs = try network.outputs()
      switch seed % 5 {
      case 0:
        for name in outputs.keys.sorted() {
          outputs[name] =
            try #require(outputs[name]) + chance.array(outputs[name]?.shape ?? [], 0.01)
        }
      case 1:
        for name in network.parameters.names.suffix(2) {
          let array = try #require(network.parameters[name])
          network.parameters[name] = try array + chance.array(array.shape, 0.3)
        }
        outputs = try network.outputs()
      case 2:
        network.change({ _ in true }) { chance.array($0.shape, 0.5) }
        outputs = try network.outputs()
      case 3:
        network.x = chance.array(network.x.shape, 1)
        outputs = try network.outputs()
      default:
        let last = (outputs["output"]?.count ?? 1) - 1
        outputs["output"]?.elements[last] += 0.1
        outputs["output"]?.elements[0] -= 0.2
      }
      let causes = try Self.causes(stated.fixture(outputs, narrow: chance.isTrue()), 0.4)
      #expect(causes.map(\.code) == [Cause.unknown], "seed \(seed): \(causes.map(\.summary))")
    }
  }

  /// A port of the user's own, written by hand: it reads the gates in ONNX's order.
  @Test func aWrongPortIsDiagnosed() throws {
    let path = Checkout.fixture("torch/lstm-1-layer-unbatched-f64.npz")
    func port(_ fixture: Fixture, gates order: [Int]) throws -> [String: NDArray<Double>] {
      func rows(_ name: String) throws -> [[Double]] {
        try fixture.array(name, as: Double.self).rows
      }
      let (w, u) = try (rows("weights/weight_ih_l0"), rows("weights/weight_hh_l0"))
      let (b, d) = try (rows("weights/bias_ih_l0")[0], rows("weights/bias_hh_l0")[0])
      let hidden = u[0].count
      var h = try rows("inputs/h_0")[0]
      var c = try rows("inputs/c_0")[0]
      let states = try rows("inputs/x").map { x in
        let gates = w.indices.map { row in
          b[row] + d[row] + zip(w[row], x).map(*).reduce(0, +) + zip(u[row], h).map(*).reduce(0, +)
        }
        func gate(_ name: Int, _ unit: Int) -> Double { gates[order[name] * hidden + unit] }
        func sigmoid(_ a: Double) -> Double { 1 / (1 + exp(-a)) }
        for unit in 0..<hidden {
          c[unit] =
            sigmoid(gate(1, unit)) * c[unit] + sigmoid(gate(0, unit)) * Double.tanh(gate(2, unit))
        }
        h = (0..<hidden).map { sigmoid(gate(3, $0)) * Double.tanh(c[$0]) }
        return h
      }
      return ["outputs/output": try NDArray(states)]
    }
    try expectParity(with: path, tensors: ["outputs/output"]) { try port($0, gates: [0, 1, 2, 3]) }
    let error = #expect(throws: RecurrentError.self) {
      try expectParity(with: path, tensors: ["outputs/output"]) {
        try port($0, gates: [0, 2, 3, 1])
      }
    }
    #expect(error?.reason.code == "parity.difference")
    #expect(
      error?.found.contains(
        "cause: gates-permuted: the port's numbers are those of weights whose gates stand as i o f g, where PyTorch has i f g o"
      ) == true, "\(error?.found ?? "")")
  }

  /// The fixture names the wrong tensor, the place, and how much.
  @Test func aDifferingWeightIsFound() throws {
    var chance = Chance(7)
    var network = try RandomNetwork(&chance, cells: [.lstm], layers: 2, bidirectional: false)
    let stated = network
    network.change({ $0 == "weight_hh_l1" }) { array in
      var result = array
      result.elements[array.shape[1] * (stated.configuration.hiddenSize + 1) + 2] += 0.25
      return result
    }
    let causes = try Self.causes(stated.fixture(network.outputs(), narrow: false), 60)
    let old = stated.parameters["weight_hh_l1"]?.elements[
      stated.configuration.hiddenSize * (stated.configuration.hiddenSize + 1) + 2]
    #expect(causes.map(\.code) == ["weight-differs"])
    #expect(causes.first?.tensor == "weight_hh_l1")
    #expect(causes.first?.detail.contains("gate f, row 1, column 2 of weight_hh_l1") == true)
    #expect(causes.first?.detail.contains(significant(0.25 + (old ?? 0))) == true)
    #expect((causes.first?.deviation ?? 1) < 1e-12)
  }

  /// Two mistakes at once are found as two.
  @Test func twoMistakesAreNamedTogether() throws {
    var chance = Chance(11)
    var network = try RandomNetwork(
      &chance, cells: [.lstm], layers: 1, bidirectional: false, states: true)
    let stated = network
    network.change({ $0.hasPrefix("bias_hh") }) { 0 * $0 }
    (network.h0, network.c0) = (nil, nil)
    let causes = try Self.causes(stated.fixture(network.outputs(), narrow: false), 60)
    #expect(causes.first?.code == "initial-state-ignored")
    #expect(causes.first?.detail.contains("(bias-hh-missing)") == true)
  }

  /// Without a cause, what the deviation looks like.
  @Test func theStructureIsSaid() throws {
    var chance = Chance(3)
    let network = try RandomNetwork(
      &chance, cells: [.gru], layers: 1, bidirectional: false, ragged: true)
    var outputs = try network.outputs()
    let shape = outputs["output"]?.shape ?? []
    let width = shape[2]
    let isBatchFirst = network.configuration.batchFirst
    // Row 0, step 1 and later.
    for step in 1..<network.steps {
      let row = isBatchFirst ? step : step * network.batch
      for unit in 0..<width {
        outputs["output"]?.elements[row * width + unit] += chance.number(0.1...0.3)
      }
    }
    let detail = try Self.causes(network.fixture(outputs, narrow: false), 0.2).first?.detail
    #expect(
      detail?.contains("row 0 of the batch differs only: look at its length") == true,
      "\(detail ?? "")")
    #expect(detail?.contains("agrees, the next does not: look at the recurrent weights") == true)
    let exchanged = Deviations.shapes("outputs/output", [5, 3, 8], [3, 5, 8])
    #expect(exchanged.hasSuffix("axes 0 and 1 are exchanged"))
  }

  /// One number can be explained by anything, so it is explained by nothing.
  @Test func tooLittleIsNoEvidence() throws {
    var chance = Chance(5)
    let network = try RandomNetwork(&chance, cells: [.gru], layers: 1, bidirectional: false)
    var outputs = try network.outputs()
    outputs["output"]?.elements[0] += 3e-6
    let causes = try Self.causes(network.fixture(outputs, narrow: true), 1)
    #expect(causes.isEmpty || causes.map(\.code) == [Cause.unknown])
  }
}
