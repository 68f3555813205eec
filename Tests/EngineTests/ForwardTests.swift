import Testing

@testable import RNNEngine

@Suite("The forward pass is the equations, row by row")
struct ForwardTests {
  @Test(arguments: Kind.allCases, [false, true])
  func agreesWithTheEquations(_ kind: Kind, _ bias: Bool) throws {
    var random = SplitMix64(state: 3)
    // More rows than one chunk, so that chunks meet in both directions.
    let configuration = kind.configuration(
      inputSize: 7, hiddenSize: 3, layerCount: 3, bias: bias, bidirectional: true)
    let size = configuration.stateSize
    // Weights so small that relu does not grow.
    let rnn: RNN<Double> = try random.network(configuration, scale: 0.5)
    let x: NDArray<Double> = random.array([81, 5, 7])
    let h0: NDArray<Double> = random.array([6, 5, size])
    let c0: NDArray<Double>? = configuration.cell.hasCellState ? random.array([6, 5, 3]) : nil
    for lengths in [[81, 81, 81, 81, 81], [3, 81, 50, 1, 50]] {
      let expected = Reference(rnn: rnn)(x, h0, c0, lengths: lengths)
      let found = try rnn(x, h0: h0, c0: c0, lengths: lengths)
      #expect(
        deviation(found.output, from: NDArray(trusted: [81, 5, 2 * size], expected.output)) < 1e-13)
      #expect(deviation(found.hN, from: NDArray(trusted: [6, 5, size], expected.hN)) < 1e-13)
      if let cN = found.cN {
        #expect(deviation(cN, from: NDArray(trusted: [6, 5, 3], expected.cN)) < 1e-13)
      }
      #expect((found.cN == nil) == (c0 == nil))
    }
  }

  @Test(arguments: Kind.allCases)
  func floatAgreesWithDouble(_ kind: Kind) throws {
    let configuration = kind.configuration(
      inputSize: 6, hiddenSize: 5, layerCount: 2, bidirectional: true)
    func run<S: Scalar>(_ type: S.Type) throws -> [[Double]] {
      var random = SplitMix64(state: 8)
      var rnn: RNN<S> = try random.network(configuration)
      for (name, array) in rnn.parameters.entries {
        // Exact in both types, and contractive enough for relu not to grow.
        rnn.parameters[name]?.elements = array.elements.map { ($0 * 256).rounded() / 512 }
      }
      let x: NDArray<S> = random.array([9, 4, 6])
      let (result, tape) = try rnn.record(x)
      let gradients = try rnn.backward(tape, gradOutput: random.array(result.output.shape))
      let arrays = [result.output, result.hN, gradients.x, gradients.h0]
      return (arrays + gradients.parameters.entries.map(\.array)).map {
        $0.elements.map(Double.init)
      }
    }
    for (single, double) in zip(try run(Float.self), try run(Double.self)) {
      let shape = [double.count]
      #expect(
        deviation(NDArray(trusted: shape, single), from: NDArray(trusted: shape, double)) < 3e-6)
    }
  }

  @Test func batchFirstOnlyPermutesInputAndOutput() throws {
    var random = SplitMix64(state: 12)
    var configuration = RecurrentConfiguration(inputSize: 3, hiddenSize: 4, layerCount: 2)
    let timeMajor: RNN<Double> = try random.network(configuration)
    configuration.batchFirst = true
    let batchMajor = try RNN(configuration, parameters: timeMajor.parameters)
    let x: NDArray<Double> = random.array([6, 5, 3])
    let h0: NDArray<Double> = random.array([2, 5, 4])
    let expected = try timeMajor(x, h0: h0)
    let found = try batchMajor(x.exchangingLeadingAxes(), h0: h0)
    #expect(found.output.shape == [5, 6, 4])
    #expect(found.output.exchangingLeadingAxes() == expected.output)
    #expect(found.hN == expected.hN)
  }

  @Test func emptyBatchWorks() throws {
    var random = SplitMix64(state: 13)
    for batchFirst in [false, true] {
      let rnn: RNN<Float> = try random.network(
        RecurrentConfiguration(
          inputSize: 3, hiddenSize: 4, layerCount: 2, batchFirst: batchFirst, bidirectional: true))
      // The number of steps must not matter: there is nothing to do in any of them.
      let steps = 1 << 50
      let (result, tape) = try rnn.record(
        NDArray(shape: batchFirst ? [0, steps, 3] : [steps, 0, 3], elements: []))
      #expect(result.output.shape == (batchFirst ? [0, steps, 8] : [steps, 0, 8]))
      #expect(result.hN.shape == [4, 0, 4])
      let gradients = try rnn.backward(tape, gradOutput: result.output)
      #expect(gradients.parameters["weight_hh_l1_reverse"] == NDArray(zeros: [4, 4]))
      #expect(gradients.x.shape == (batchFirst ? [0, steps, 3] : [steps, 0, 3]))
    }
  }

  @Test(arguments: Cell.allCases)
  func notANumberPropagates(_ cell: Cell) throws {
    var random = SplitMix64(state: 14)
    let rnn: RNN<Double> = try random.network(
      RecurrentConfiguration(cell: cell, inputSize: 3, hiddenSize: 4))
    var x: NDArray<Double> = random.array([4, 2, 3])
    x.elements[7] = .nan
    let output = try rnn(x).output.elements
    let affected = (0..<8).map { row in output[row * 4..<row * 4 + 4].allSatisfy(\.isNaN) }
    #expect(affected == [false, false, true, false, true, false, true, false])
  }
}
