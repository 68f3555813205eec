import Foundation
import Parity
import Recurrent
import TestSupport
import Testing

/// One of the repository's fixtures from PyTorch.
private func stateDict(_ name: String) throws -> StateDict {
  try WeightFile(path: Checkout.fixture("torch/\(name).npz")).state
}

extension StateDict {
  /// A copy with one tensor replaced, or removed, or added at the end.
  fileprivate func replacing(_ name: Name, with tensor: Tensor?) throws -> StateDict {
    var result = StateDict()
    for entry in entries where entry.name != name { try result.append(entry.name, entry.tensor) }
    if let tensor { try result.append(name, tensor) }
    return result
  }

  /// A copy with keys of the configuration replaced; `nil` removes one.
  fileprivate func configured(_ changes: [(String, JSON?)]) throws -> StateDict {
    let config = try #require(self["config"])
    guard case .object(var members) = try JSON.parse(config.bytes()) else { return self }
    for (key, value) in changes {
      members.removeAll { $0.key == key }
      if let value { members.append(.init(key: key, value: value)) }
    }
    let text = [UInt8](JSON.object(members).serialized().utf8)
    return try replacing(
      "config", with: Tensor(dtype: .u8, shape: [text.count], bytes: text))
  }

  fileprivate func tensor(_ name: Name) throws -> Tensor { try #require(self[name]) }
}

private func integers(_ values: [Int], shape: [Int]) throws -> Tensor {
  let bytes = values.flatMap { value in
    withUnsafeBytes(of: Int64(value).littleEndian) { Array($0) }
  }
  return try Tensor(dtype: .i64, shape: shape, bytes: bytes)
}

/// The reason of the error that a fixture ends with.
private func reason(_ state: StateDict) -> String? {
  #expect(throws: RecurrentError.self) { try Fixture(state).verify() }?.reason.code
}

private func failures(_ state: StateDict) throws -> [String] {
  try Fixture(state).verify().filter { !$0.passes }.map(\.tensor)
}

@Suite("Fixtures with token ids notice another token")
struct TokenFixtureTests {
  @Test func anotherTokenIsNoticed() throws {
    let state = try stateDict("embedding-rnn-tanh")
    let x = try state.tensor("inputs/x")
    var ids = try x.integers()
    #expect(try failures(state).isEmpty)
    ids[4] = (ids[4] + 1) % 8
    let failed = try failures(state.replacing("inputs/x", with: integers(ids, shape: x.shape)))
    #expect(failed.contains("outputs/output") && failed.contains("grads/embedding.weight"))
  }

  @Test(arguments: [-1, 8]) func idsOutsideTheTableAreErrors(_ id: Int) throws {
    let state = try stateDict("embedding-rnn-tanh")
    let x = try state.tensor("inputs/x")
    var ids = try x.integers()
    ids[7] = id
    #expect(
      reason(try state.replacing("inputs/x", with: integers(ids, shape: x.shape)))
        == "engine.index-range")
  }

  @Test func idsAndEmbeddingsBelongTogether() throws {
    let tokens = try stateDict("embedding-rnn-tanh")
    let features = try Tensor.make([Double](repeating: 0.1, count: 90), shape: [6, 5, 3])
    #expect(reason(try tokens.replacing("inputs/x", with: features)) == "fixture.input")
    let plain = try stateDict("ce-gru")
    let ids = try integers([Int](repeating: 0, count: 30), shape: [6, 5])
    #expect(reason(try plain.replacing("inputs/x", with: ids)) == "fixture.input")
    #expect(reason(try plain.configured([("padding_idx", .number(0))])) == "fixture.config")
    #expect(reason(try tokens.configured([("padding_idx", .number(8))])) == "engine.configuration")
    #expect(reason(try tokens.configured([("padding_idx", .string("0"))])) == "fixture.config")
  }

  @Test func modulesMayHaveOtherNames() throws {
    func renamed(_ table: String) throws -> StateDict {
      var result = StateDict()
      for entry in try stateDict("embedding-rnn-tanh").entries {
        let name = entry.name.string.replacingOccurrences(of: "/embedding.", with: "/net.\(table).")
          .replacingOccurrences(of: "/rnn.", with: "/net.core.")
          .replacingOccurrences(of: "/classifier.", with: "/net.out.")
        try result.append(Name(name), entry.tensor)
      }
      return result
    }
    #expect(try failures(renamed("emb")).isEmpty)
    // Token ids need a table: the only one that fits is meant, whatever its name.
    #expect(try failures(renamed("table")).isEmpty)
  }

  @Test func thePaddingIndexHasNoGradient() throws {
    let state = try stateDict("embedding-gru-before-padding")
    let ids = try state.tensor("inputs/x").integers()
    #expect(ids.contains(5), "else the padding index changes nothing")
    #expect(try failures(state).isEmpty)
    #expect(
      try failures(state.configured([("padding_idx", nil)])) == ["grads/embedding.weight"])
  }

  @Test func tokenIdsHaveNoGradient() throws {
    let state = try stateDict("embedding-rnn-tanh")
      .replacing("grads/x", with: Tensor.make([Double](repeating: 0, count: 30), shape: [6, 5]))
    #expect(try failures(state) == ["grads/x"])
  }

  @Test(arguments: ["embedding-gru-padding-f32", "embedding-lstm-no-head"])
  func theEmbeddingAgreesWithFiniteDifferences(_ name: String) throws {
    let check = try GradientCheck(Fixture(stateDict(name)).network())
    #expect(check.entries.contains { $0.name == "embedding.weight" && $0.compared == 24 })
    #expect(check.passes)
  }
}

@Suite("Fixtures with lengths leave the padding out of the loss")
struct MaskedLossFixtureTests {
  /// Targets after a row's end may be anything; targets before it may not.
  @Test(arguments: [
    "masked-ce-mean", "masked-bce-sum", "masked-mse-mean", "masked-ce-probabilities",
  ])
  func onlyValidStepsCount(_ name: String) throws {
    let state = try stateDict(name)
    let targets = try state.tensor("inputs/targets")
    let lengths = try state.tensor("inputs/lengths").integers()
    let batchFirst = try Fixture(state).configuration.batchFirst
    let batch = lengths.count
    let width = targets.elementCount / (6 * batch)
    func changing(_ isWanted: (_ step: Int, _ row: Int) -> Bool) throws -> Tensor {
      let chosen = (0..<6 * batch).map { place in
        batchFirst ? isWanted(place % 6, place / 6) : isWanted(place / batch, place % batch)
      }
      if targets.dtype.isFloatingPoint {
        let values = try targets.doubles().enumerated().map {
          chosen[$0.offset / width] ? 0.125 : $0.element
        }
        return try Tensor.make(values, shape: targets.shape)
          .converted(to: targets.dtype).0
      }
      let values = try targets.integers().enumerated().map {
        chosen[$0.offset] ? ($0.element + 1) % 3 : $0.element
      }
      return try integers(values, shape: targets.shape)
    }
    let padding = try changing { $0 >= lengths[$1] }
    #expect(try failures(state.replacing("inputs/targets", with: padding)).isEmpty)
    let lastStep = try changing { $0 == lengths[$1] - 1 && $1 == 3 }
    #expect(
      try failures(state.replacing("inputs/targets", with: lastStep)).contains("outputs/loss"))
  }

  @Test func theLastStepIsTheRowsOwn() throws {
    let state = try stateDict("masked-ce-last-bidirectional")
    #expect(try failures(state).isEmpty)
    let longer = try integers([6, 6, 6, 6, 6], shape: [5])
    let failed = try failures(state.replacing("inputs/lengths", with: longer))
    #expect(failed.contains("outputs/logits") && failed.contains("outputs/loss"))
  }
}

@Suite("Fixtures with dropout say whether it was active")
struct DropoutFixtureTests {
  private let training = "dropout-gru-ragged-bidirectional-f32"

  @Test func theSeedMakesTheMasks() throws {
    let state = try stateDict(training)
    #expect(try failures(state).isEmpty)
    let other = try failures(state.configured([("seed", .number(6))]))
    #expect(other.contains("outputs/output") && other.contains("grads/weight_ih_l1"))
    #expect(try failures(state.configured([("training", nil)])).contains("outputs/output"))
    #expect(try failures(state.configured([("dropout", .number(0.41))])).contains("outputs/output"))
  }

  @Test func evaluationIgnoresDropoutAndSaysSo() throws {
    #expect(
      parity(of: Checkout.fixture("torch/dropout-off-lstm.npz")).remarks
        == ["dropout 0.4 is off, in evaluation mode"])
    let state = try stateDict("dropout-off-lstm")
    #expect(try failures(state.configured([("dropout", nil)])).isEmpty)
    #expect(
      try failures(state.configured([("training", .bool(true)), ("seed", .number(3))]))
        .contains("outputs/output"))
    #expect(
      parity(of: Checkout.fixture("torch/\(training).npz")).remarks
        == ["dropout 0.4 with PyTorch's masks from seed 5"])
  }

  @Test func trainingNeedsASeed() throws {
    let state = try stateDict(training)
    #expect(reason(try state.configured([("seed", nil)])) == "fixture.config")
    #expect(reason(try state.configured([("seed", .number(0.5))])) == "fixture.config")
    #expect(reason(try state.configured([("dropout", .number(1.5))])) == "engine.configuration")
  }
}

@Suite("Fixtures of a chaotic network are compared step by step")
struct StepwiseFixtureTests {
  @Test func stepsAgreeWhereFreeRunsCannot() throws {
    let name = "stepwise-gru-unbatched-f32"
    let state = try stateDict(name)
    let result = parity(of: Checkout.fixture("torch/\(name).npz"))
    #expect(result.passes && result.checks.map(\.tensor) == ["states/h"])
    #expect(result.remarks.contains { $0.contains("running freely, the outputs differ by up to") })
    // The top layer's states are the output of a free run.
    let h = try state.tensor("states/h")
    let width = h.shape[2]
    let all = try h.doubles()
    var top: [Double] = []
    for step in 0..<h.shape[0] {
      let start = (2 * step + 1) * width
      top += all[start..<start + width]
    }
    let output = try Tensor.make(top, shape: [h.shape[0], width]).converted(to: .f32).0
    let free = try state.replacing("outputs/output", with: output)
    // More than a tolerance allows, and no more than rounding makes of this network.
    let stated = try Fixture(free).verify(options: .init(relative: 1e-5, absolute: 1e-6))
    #expect(stated.filter { !$0.passes }.map(\.tensor) == ["outputs/output"])
    let judged = try Fixture(free).verify()
    #expect(judged.first { $0.tensor == "outputs/output" }?.deviationClass == .amplified)
    #expect(judged.allSatisfy { $0.passes })
  }

  @Test(arguments: [
    "stepwise-rnn-tanh-bidirectional", "stepwise-lstm-proj-ragged-f32",
    "stepwise-gru-before-embedding",
  ])
  func aDisturbedStateIsNoticed(_ name: String) throws {
    let state = try stateDict(name)
    let h = try state.tensor("states/h")
    // In the reverse direction the next step is the one before.
    for victim in [0, h.elementCount / 2, h.elementCount - h.elementCount / 3] {
      var values = try h.doubles()
      guard values[victim] != 0 else { continue }
      values[victim] += 1e-3
      let disturbed = try Tensor.make(values, shape: h.shape).converted(to: h.dtype).0
      let failed = try Fixture(state.replacing("states/h", with: disturbed)).verify()
        .filter { !$0.passes }
      let check = try #require(failed.first { $0.tensor == "states/h" })
      let step = victim / (h.elementCount / h.shape[0])
      #expect((step - 1...step).contains(try #require(check.firstStep)))
    }
  }

  @Test func paddingHoldsZeros() throws {
    let state = try stateDict("stepwise-lstm-proj-ragged-f32")
    let c = try state.tensor("states/c")
    var values = try c.doubles()
    values[values.count - 1] = 0.5
    let disturbed = try Tensor.make(values, shape: c.shape).converted(to: .f32).0
    #expect(try failures(state.replacing("states/c", with: disturbed)) == ["states/c"])
  }

  @Test func statesMustFit() throws {
    let state = try stateDict("stepwise-lstm-proj-ragged-f32")
    let h = try state.tensor("states/h")
    #expect(reason(try state.replacing("states/c", with: nil)) == "fixture.missing")
    #expect(reason(try state.replacing("states/c", with: h)) == "fixture.states")
    let gru = try stateDict("stepwise-gru-unbatched-f32")
    #expect(reason(try gru.replacing("states/c", with: gru.tensor("states/h"))) == "fixture.input")
    #expect(
      reason(
        try gru.configured([
          ("training", .bool(true)), ("dropout", .number(0.5)), ("seed", .number(1)),
        ])) == "fixture.states")
    #expect(reason(try gru.replacing("states/x", with: gru.tensor("states/h"))) == "fixture.extra")
  }

  @Test func everyUpdateStartsFromTheReference() throws {
    let name = "stepwise-training-adam-lstm-f32"
    let state = try stateDict(name)
    let result = parity(of: Checkout.fixture("torch/\(name).npz"))
    #expect(
      result.passes
        && result.remarks.contains { $0.contains("each from the reference's parameters") })
    let key: Name = "trajectory/classifier.weight"
    let path = try state.tensor(key)
    var values = try path.doubles()
    let size = values.count / path.shape[0]
    values[7 * size] += 1e-3
    let disturbed = try Tensor.make(values, shape: path.shape).converted(to: .f32).0
    let failed = try Fixture(state.replacing(key, with: disturbed)).verify()
      .filter { !$0.passes }
    #expect(failed.first { $0.tensor == key.string }?.firstStep == 7)
    #expect(failed.first { $0.tensor == key.string }?.countsUpdates == true)
    #expect(try failures(state.replacing(key, with: nil)) == [key.string])
    #expect(
      try failures(state.replacing(key, with: state.tensor("weights/classifier.weight")))
        == [key.string])
    let extra = try state.replacing("trajectory/extra", with: path)
    #expect(try failures(extra) == ["trajectory/extra"])
    #expect(reason(try state.configured([("optimizer", nil)])) == "fixture.config")
    let longer = JSON.object([
      .init(key: "kind", value: .string("adam")), .init(key: "steps", value: .number(61)),
    ])
    #expect(try failures(state.configured([("optimizer", longer)])).contains("losses"))
  }

  @Test func curvesHaveTheirOwnTolerance() throws {
    let state = try stateDict("curve-adam-lstm-embedding-f32")
    let losses = try state.tensor("losses")
    #expect(losses.shape == [100])
    for (share, passes) in [(0.8, true), (1.3, false)] {
      var values = try losses.doubles()
      values[60] *= 1 + share * 1e-5
      let disturbed = try Tensor.make(values, shape: [100]).converted(to: .f32).0
      #expect(try failures(state.replacing("losses", with: disturbed)).isEmpty == passes)
    }
  }
}
