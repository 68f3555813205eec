import Testing

@testable import RNNEngine

struct ForwardTests {
  /// A slow transcription of the equations, one element at a time.
  private func reference(
    _ rnn: RNN<Double>, _ x: NDArray<Double>, _ h0: NDArray<Double>
  ) throws -> (output: [Double], hN: [Double]) {
    let c = rnn.configuration
    let (steps, batch, hidden) = (x.shape[0], x.shape[1], c.hiddenSize)
    var (input, size) = (x.elements, c.inputSize)
    var hN: [Double] = []
    for layer in 0..<c.layerCount {
      let width = c.directionCount * hidden
      var output = [Double](repeating: 0, count: steps * batch * width)
      for direction in 0..<c.directionCount {
        let suffix = "_l\(layer)" + (direction == 1 ? "_reverse" : "")
        let wIH = try #require(rnn.parameters["weight_ih" + suffix]).elements
        let wHH = try #require(rnn.parameters["weight_hh" + suffix]).elements
        let bIH = rnn.parameters["bias_ih" + suffix]?.elements
        let bHH = rnn.parameters["bias_hh" + suffix]?.elements
        let start = (layer * c.directionCount + direction) * batch * hidden
        var h = Array(h0.elements[start..<start + batch * hidden])
        for t in direction == 0 ? Array(0..<steps) : Array((0..<steps).reversed()) {
          var next = h
          for n in 0..<batch {
            for i in 0..<hidden {
              var a = (bIH?[i] ?? 0) + (bHH?[i] ?? 0)
              for k in 0..<size { a += wIH[i * size + k] * input[(t * batch + n) * size + k] }
              for k in 0..<hidden { a += wHH[i * hidden + k] * h[n * hidden + k] }
              let state = c.cell == .rnnTanh ? Double.tanh(a) : max(0, a)
              next[n * hidden + i] = state
              output[(t * batch + n) * width + direction * hidden + i] = state
            }
          }
          h = next
        }
        hN += h
      }
      (input, size) = (output, width)
    }
    return (input, hN)
  }

  @Test(arguments: Cell.allCases, [false, true])
  func agreesWithTheEquations(_ cell: Cell, _ bias: Bool) throws {
    var random = SplitMix64(state: 3)
    // More rows than one chunk, so that chunks meet in both directions.
    let rnn: RNN<Double> = try random.network(
      RecurrentConfiguration(
        cell: cell, inputSize: 7, hiddenSize: 2, layerCount: 3, bias: bias, bidirectional: true))
    let x: NDArray<Double> = random.array([81, 5, 7])
    let h0: NDArray<Double> = random.array([6, 5, 2])
    let (output, hN) = try reference(rnn, x, h0)
    let result = try rnn(x, h0: h0)
    #expect(result.output.shape == [81, 5, 4])
    #expect(result.hN.shape == [6, 5, 2])
    #expect(deviation(result.output, from: NDArray(trusted: [81, 5, 4], output)) < 1e-13)
    #expect(deviation(result.hN, from: NDArray(trusted: [6, 5, 2], hN)) < 1e-13)
  }

  @Test(arguments: Cell.allCases)
  func floatAgreesWithDouble(_ cell: Cell) throws {
    let configuration = RecurrentConfiguration(
      cell: cell, inputSize: 6, hiddenSize: 5, layerCount: 2, bidirectional: true)
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

  @Test(arguments: Cell.allCases)
  func streamingGivesTheSameBits(_ cell: Cell) throws {
    var random = SplitMix64(state: 4)
    let rnn: RNN<Float> = try random.network(
      RecurrentConfiguration(cell: cell, inputSize: 9, hiddenSize: 7, layerCount: 2))
    let x: NDArray<Float> = random.array([70, 4, 9])
    let whole = try rnn(x)
    var state: NDArray<Float>?
    var output: [Float] = []
    for step in 0..<70 {
      let piece = Array(x.elements[step * 36..<(step + 1) * 36])
      let result = try rnn(NDArray(shape: [1, 4, 9], elements: piece), h0: state)
      output += result.output.elements
      state = result.hN
    }
    #expect(output.map(\.bitPattern) == whole.output.elements.map(\.bitPattern))
    #expect(state == whole.hN)
  }

  @Test func noStateIsZeroState() throws {
    var random = SplitMix64(state: 9)
    let rnn: RNN<Float> = try random.network(
      RecurrentConfiguration(inputSize: 3, hiddenSize: 4, layerCount: 2, bidirectional: true))
    let x: NDArray<Float> = random.array([5, 2, 3])
    #expect(try rnn(x) == rnn(x, h0: NDArray(zeros: [4, 2, 4])))
  }

  @Test func batchRowsDoNotSeeEachOther() throws {
    var random = SplitMix64(state: 10)
    let configuration = RecurrentConfiguration(
      inputSize: 3, hiddenSize: 4, layerCount: 2, batchFirst: true, bidirectional: true)
    let rnn: RNN<Float> = try random.network(configuration)
    let x: NDArray<Float> = random.array([5, 6, 3])
    let h0: NDArray<Float> = random.array([4, 5, 4])
    let whole = try rnn(x, h0: h0)
    for row in 0..<5 {
      var state: [Float] = []
      for layer in 0..<4 {
        let start = (layer * 5 + row) * 4
        state += h0.elements[start..<start + 4]
      }
      let single = try rnn(
        NDArray(shape: [6, 3], elements: Array(x.elements[row * 18..<(row + 1) * 18])),
        h0: NDArray(shape: [4, 4], elements: state))
      #expect(single.output.shape == [6, 8])
      #expect(single.hN.shape == [4, 4])
      #expect(single.output.elements == Array(whole.output.elements[row * 48..<(row + 1) * 48]))
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
