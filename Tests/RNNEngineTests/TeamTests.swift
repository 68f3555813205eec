import Testing

@testable import RNNEngine

/// Bit equality at sizes where the compiled kernels take other ways: several groups of columns, a helper
/// for the products of a single row, and both matrices of a step in one walk.
struct TeamTests {
  private func network(_ kind: Kind, hidden: Int, layers: Int) throws -> RNN<Float> {
    var random = SplitMix64(state: 31)
    return try random.network(
      kind.configuration(
        inputSize: 90, hiddenSize: hidden, layerCount: layers, bidirectional: false), scale: 0.1)
  }

  private func input(_ steps: Int, _ rows: Int) -> NDArray<Float> {
    var random = SplitMix64(state: 32)
    return random.array([steps, rows, 90])
  }

  private func passes(_ rnn: RNN<Float>, _ x: NDArray<Float>) throws -> (
    RecurrentOutput<Float>, RecurrentGradients<Float>
  ) {
    let (result, tape) = try rnn.record(x)
    let gradients = try rnn.backward(
      tape, gradOutput: result.output, gradHN: result.hN, gradCN: result.cN)
    return (result, gradients)
  }

  @Test(arguments: Kind.allCases)
  func aHelperDoesNotShowInTheBits(_ kind: Kind) throws {
    let before = threadCount
    defer { setThreadCount(before) }
    let (rnn, x) = (try network(kind, hidden: 262, layers: 1), input(300, 1))
    setThreadCount(1)
    let (alone, aloneGradients) = try passes(rnn, x)
    // More than once, as a helper may come late.
    for threads in [2, 3, 2, 2] {
      setThreadCount(threads)
      let (helped, gradients) = try passes(rnn, x)
      #expect(helped == alone)
      #expect(gradients.x == aloneGradients.x && gradients.h0 == aloneGradients.h0)
      for (name, array) in gradients.parameters.entries {
        #expect(array == aloneGradients.parameters[name], "\(kind) \(name)")
      }
    }
  }

  /// Both directions of a layer run at a time where there are few rows.
  @Test(arguments: Kind.allCases, [1, 3])
  func directionsBesideEachOtherDoNotShowInTheBits(_ kind: Kind, _ rows: Int) throws {
    let before = threadCount
    defer { setThreadCount(before) }
    var random = SplitMix64(state: 33)
    let rnn: RNN<Float> = try random.network(
      kind.configuration(inputSize: 90, hiddenSize: 70, layerCount: 2, bidirectional: true),
      scale: 0.1)
    // Enough steps that every cell has work for two threads.
    let x = input(130, rows)
    setThreadCount(1)
    let (alone, aloneGradients) = try passes(rnn, x)
    for threads in [2, 4] {
      setThreadCount(threads)
      let (together, gradients) = try passes(rnn, x)
      #expect(together == alone)
      for (name, array) in gradients.parameters.entries {
        #expect(array == aloneGradients.parameters[name], "\(kind) \(name)")
      }
    }
  }

  @Test(arguments: Kind.allCases, [1, 3])
  func aStreamIsTheWholeSequence(_ kind: Kind, _ rows: Int) throws {
    for hidden in [64, 150, 262] {
      let (rnn, x) = (try network(kind, hidden: hidden, layers: 2), input(5, rows))
      let whole = try rnn(x)
      let stream = try ModelStream(SequenceModel(rnn: rnn), batch: rows)
      var output: [Float] = []
      for step in 0..<5 {
        try stream.step(Array(x.elements[step * rows * 90..<(step + 1) * rows * 90]))
        output += stream.output
      }
      #expect(output == whole.output.elements, "\(hidden) units")
      #expect(stream.h.elements == whole.hN.elements && stream.c?.elements == whole.cN?.elements)
    }
  }

  @Test(arguments: Kind.allCases)
  func aRowAloneIsTheRowInABatch(_ kind: Kind) throws {
    for hidden in [32, 64, 150, 262] {
      let (rnn, x) = (try network(kind, hidden: hidden, layers: 1), input(7, 8))
      let (batch, batchGradients) = try passes(rnn, x)
      func row(_ array: NDArray<Float>, _ row: Int) -> [Float] {
        let width = array.shape[2]
        return (0..<array.shape[0]).flatMap { step in
          array.elements[(step * 8 + row) * width..<(step * 8 + row + 1) * width]
        }
      }
      for place in [0, 5] {
        let alone = NDArray<Float>(trusted: [7, 1, 90], row(x, place))
        let (one, gradients) = try passes(rnn, alone)
        #expect(one.output.elements == row(batch.output, place), "\(hidden) units")
        #expect(gradients.x.elements == row(batchGradients.x, place), "\(hidden) units")
        #expect(gradients.h0.elements == row(batchGradients.h0, place), "\(hidden) units")
      }
    }
  }
}
