import Testing

@testable import RNNEngine

/// What the engine promises to the last bit, for every cell.
struct BitEqualityTests {
  @Test(arguments: Kind.allCases)
  func streamingIsTheWholeSequence(_ kind: Kind) throws {
    var random = SplitMix64(state: 4)
    let rnn: RNN<Float> = try random.network(
      kind.configuration(inputSize: 9, hiddenSize: 7, layerCount: 2))
    let x: NDArray<Float> = random.array([70, 4, 9])
    let whole = try rnn(x)
    var (h, c): (NDArray<Float>?, NDArray<Float>?)
    var output: [Float] = []
    for step in 0..<70 {
      let piece = Array(x.elements[step * 36..<(step + 1) * 36])
      let result = try rnn(NDArray(shape: [1, 4, 9], elements: piece), h0: h, c0: c)
      output += result.output.elements
      (h, c) = (result.hN, result.cN)
    }
    #expect(output.map(\.bitPattern) == whole.output.elements.map(\.bitPattern))
    #expect(h == whole.hN)
    #expect(c == whole.cN)
  }

  @Test(arguments: Kind.allCases)
  func noStateIsZeroState(_ kind: Kind) throws {
    var random = SplitMix64(state: 9)
    let configuration = kind.configuration(
      inputSize: 3, hiddenSize: 4, layerCount: 2, bidirectional: true)
    let rnn: RNN<Float> = try random.network(configuration)
    let x: NDArray<Float> = random.array([5, 2, 3])
    let h0 = NDArray<Float>(zeros: [4, 2, configuration.stateSize])
    let c0 = configuration.cell.hasCellState ? NDArray<Float>(zeros: [4, 2, 4]) : nil
    #expect(try rnn(x) == rnn(x, h0: h0, c0: c0))
  }

  @Test(arguments: Kind.allCases)
  func equalLengthsAreDense(_ kind: Kind) throws {
    var random = SplitMix64(state: 19)
    let rnn: RNN<Float> = try random.network(
      kind.configuration(inputSize: 3, hiddenSize: 4, layerCount: 2, bidirectional: true))
    let x: NDArray<Float> = random.array([6, 5, 3])
    let (dense, denseTape) = try rnn.record(x)
    let (ragged, raggedTape) = try rnn.record(x, lengths: [6, 6, 6, 6, 6])
    #expect(dense == ragged)
    let gradOutput: NDArray<Float> = random.array(dense.output.shape)
    let expected = try rnn.backward(denseTape, gradOutput: gradOutput, gradHN: dense.hN)
    let found = try rnn.backward(raggedTape, gradOutput: gradOutput, gradHN: dense.hN)
    #expect(expected.x == found.x)
    #expect(expected.h0 == found.h0)
    for (name, array) in expected.parameters.entries {
      #expect(found.parameters[name] == array, "\(name)")
    }
  }

  @Test(arguments: Kind.allCases, [false, true])
  func aRowAloneIsTheRowInABatch(_ kind: Kind, _ isRagged: Bool) throws {
    var random = SplitMix64(state: 10)
    let configuration = kind.configuration(
      inputSize: 3, hiddenSize: 4, layerCount: 2, batchFirst: true, bidirectional: true)
    let rnn: RNN<Float> = try random.network(configuration)
    let x: NDArray<Float> = random.array([5, 6, 3])
    let size = configuration.stateSize
    let h0: NDArray<Float> = random.array([4, 5, size])
    let c0: NDArray<Float>? = configuration.cell.hasCellState ? random.array([4, 5, 4]) : nil
    let lengths = isRagged ? [4, 6, 1, 4, 3] : [6, 6, 6, 6, 6]
    let (whole, wholeTape) = try rnn.record(x, h0: h0, c0: c0, lengths: isRagged ? lengths : nil)
    let gradOutput: NDArray<Float> = random.array(whole.output.shape)
    let wholeGradients = try rnn.backward(wholeTape, gradOutput: gradOutput)
    let width = 2 * size
    func row(_ states: NDArray<Float>?, _ row: Int) -> NDArray<Float>? {
      guard let states else { return nil }
      let width = states.shape[2]
      let elements = (0..<4).flatMap { index in
        let start = (index * 5 + row) * width
        return states.elements[start..<start + width]
      }
      return NDArray(trusted: [4, width], elements)
    }
    for n in 0..<5 {
      let steps = lengths[n]
      let (single, tape) = try rnn.record(
        NDArray(
          shape: [steps, 3], elements: Array(x.elements[n * 18..<n * 18 + steps * 3])),
        h0: row(h0, n), c0: row(c0, n))
      #expect(single.hN == row(whole.hN, n))
      #expect(single.cN == row(whole.cN, n))
      let start = n * 6 * width
      let end = start + steps * width
      #expect(single.output.elements == Array(whole.output.elements[start..<end]))
      #expect(whole.output.elements[end..<start + 6 * width].allSatisfy { $0 == 0 })
      let gradients = try rnn.backward(
        tape,
        gradOutput: NDArray(
          shape: [steps, width], elements: Array(gradOutput.elements[start..<end])))
      #expect(gradients.x.elements == Array(wholeGradients.x.elements[n * 18..<n * 18 + steps * 3]))
      #expect(gradients.h0 == row(wholeGradients.h0, n))
      #expect(gradients.c0 == row(wholeGradients.c0, n))
    }
  }
}
