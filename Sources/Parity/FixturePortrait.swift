import Conversion
import Networks
import RNNEngine
import Tensors

/// What a network does with a fixture's input, for people to look at: the first row of the batch.
package struct FixturePortrait: Sendable {
  /// The head's probabilities at every step, (T, C); empty without a head.
  package let probabilities: [[Double]]
  /// What the classes are called; empty where the fixture does not say.
  package let classNames: [String]
  /// The top layer's states after every step, (T, D·S).
  package let states: [[Double]]
  /// ‖dL/dh‖/N before every step, all layers together, as document D4 plots it; empty if unknown.
  package let gradientNorms: [Double]
  /// Why there are no gradient norms, if there are none.
  package let gradientRemark: String?

  package init(
    probabilities: [[Double]], classNames: [String], states: [[Double]],
    gradientNorms: [Double], gradientRemark: String?
  ) {
    self.probabilities = probabilities
    self.classNames = classNames
    self.states = states
    self.gradientNorms = gradientNorms
    self.gradientRemark = gradientRemark
  }
}

extension Fixture {
  /// Runs the network once more and keeps what a reader may want to see.
  package func portrait() throws -> FixturePortrait {
    let network = try network()
    return network.weights.dtype == .f64
      ? try FixtureRun<Double>(self, network, .init()).portrait()
      : try FixtureRun<Float>(self, network, .init()).portrait()
  }
}

extension FixtureRun {
  func portrait() throws -> FixturePortrait {
    let result = try forward()
    let norms: [Double]
    var remark: String?
    do {
      norms = try stateGradientNorms()
      if norms.isEmpty { remark = "the fixture names no loss" }
    } catch let error as RecurrentError {
      // A drawing that cannot be made is no failure of the fixture.
      (norms, remark) = ([], error.found)
    }
    return FixturePortrait(
      probabilities: result.logits.map { firstRow(probabilities(of: $0)) } ?? [],
      classNames: fixture.configuration.classNames, states: firstRow(result.recurrent.output),
      gradientNorms: norms, gradientRemark: remark)
  }

  /// The steps of the first row; those after its end are left out.
  private func firstRow(_ array: NDArray<S>) -> [[Double]] {
    guard let width = array.shape.last, width > 0, array.shape.count >= 2 else { return [] }
    let steps = array.shape[timeAxis]
    let batch = array.shape.count == 3 ? array.shape[1 - timeAxis] : 1
    guard batch > 0 else { return [] }
    return (0..<min(steps, lengths?.first ?? steps)).map { step in
      let start = (timeAxis == 1 ? step : step * batch) * width
      return array.elements[start..<start + width].map { Double($0) }
    }
  }

  private func stateGradientNorms() throws -> [Double] {
    guard lengths == nil else {
      throw RecurrentError(.parityPortrait, found: "rows of different lengths")
    }
    guard dropoutMasks() == nil else {
      throw RecurrentError(.parityPortrait, found: "dropout is on")
    }
    let deltas: NDArray<S>
    switch lossKind {
    case nil: return []
    case .vectorJacobianProduct?:
      let (output, hN, cN) = try upstream()
      deltas = try model.rnn.stateGradients(
        x, h0: h0, c0: c0, gradOutput: output, gradHN: hN, gradCN: cN)
    case .loss(let loss)?:
      return try model.stateGradientNorms(
        x, state: .init(h: h0, c: c0), targets: targets(), loss: loss)
    }
    return try model.gradientNorms(deltas, per: x)
  }
}
