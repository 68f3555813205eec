import Testing

@testable import RNNEngine

/// Bit equality at sizes where the compiled kernels take other ways: several groups of columns, a helper
/// for the products of a single row, and both matrices of a step in one walk. The number of threads is the
/// process's own, so all tests that change it stand here, one after the other.
@Suite("Threads do not show in the bits", .serialized)
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

  @Test func threadsDoNotShowInTheBits() throws {
    let before = threadCount
    defer { threadCount = before }
    for kind in Kind.allCases {
      var random = SplitMix64(state: 91)
      let configuration = kind.configuration(
        inputSize: 48, hiddenSize: 40, layerCount: 2, bidirectional: true)
      let rnn: RNN<Float> = try random.network(configuration)
      let x: NDArray<Float> = random.array([30, 11, 48])
      let up: NDArray<Float> = random.array([30, 11, configuration.outputSize])
      func run(_ threads: Int) throws -> (RecurrentOutput<Float>, RecurrentGradients<Float>) {
        threadCount = threads
        let (output, tape) = try rnn.record(x)
        return (output, try rnn.backward(tape, gradOutput: up))
      }
      let (one, oneGradients) = try run(1)
      for threads in [2, 3, 7] {
        let (many, gradients) = try run(threads)
        #expect(many == one)
        #expect(gradients.x == oneGradients.x && gradients.h0 == oneGradients.h0)
        for (name, array) in gradients.parameters.entries {
          #expect(array == oneGradients.parameters[name], "\(kind) \(name)")
        }
      }
    }
  }

  @Test(arguments: Kind.allCases)
  func aHelperDoesNotShowInTheBits(_ kind: Kind) throws {
    let (rnn, x) = (try network(kind, hidden: 262, layers: 1), input(300, 1))
    // More than once, as a helper may come late.
    try expectSameBits(kind, rnn, x, threads: [2, 3, 2, 2])
  }

  /// Outputs and gradients on so many threads are those on one.
  private func expectSameBits(
    _ kind: Kind, _ rnn: RNN<Float>, _ x: NDArray<Float>, threads counts: [Int]
  ) throws {
    let before = threadCount
    defer { threadCount = before }
    threadCount = 1
    let (alone, aloneGradients) = try passes(rnn, x)
    for threads in counts {
      threadCount = threads
      let (helped, gradients) = try passes(rnn, x)
      #expect(helped == alone)
      #expect(gradients.x == aloneGradients.x && gradients.h0 == aloneGradients.h0)
      for (name, array) in gradients.parameters.entries {
        #expect(array == aloneGradients.parameters[name], "\(kind) \(name)")
      }
    }
  }

  /// Both directions of a layer run at a time, forwards and backwards; with four threads and nine rows not.
  @Test(arguments: Kind.allCases, [1, 3, 9])
  func concurrentDirectionsDoNotShowInTheBits(_ kind: Kind, _ rows: Int) throws {
    var random = SplitMix64(state: 33)
    let rnn: RNN<Float> = try random.network(
      kind.configuration(inputSize: 90, hiddenSize: 70, layerCount: 2, bidirectional: true),
      scale: 0.1)
    // Enough steps that every cell has work for two threads.
    try expectSameBits(kind, rnn, input(130, rows), threads: [2, 4])
  }

  /// A layer reads a chunk of steps while the next one reads the chunk before.
  @Test(arguments: Kind.allCases, [[130], [130, 7, 101, 64, 130]])
  func layersInAWavefrontDoNotShowInTheBits(_ kind: Kind, _ lengths: [Int]) throws {
    // More than once, as a worker may come late.
    try layersInAWavefront(kind, lengths, Float.self, threads: [2, 3, 8, 2])
    try layersInAWavefront(kind, lengths, Double.self, threads: [2])
  }

  private func layersInAWavefront<S: Scalar>(
    _ kind: Kind, _ lengths: [Int], _ type: S.Type, threads counts: [Int]
  ) throws {
    let before = threadCount
    defer { threadCount = before }
    var random = SplitMix64(state: 34)
    var configuration = kind.configuration(inputSize: 33, hiddenSize: 80, layerCount: 3)
    configuration.dropout = 0.3
    let rnn: RNN<S> = try random.network(configuration, scale: 0.1)
    let rows = lengths.count
    let x: NDArray<S> = random.array([130, rows, 33])
    let h0: NDArray<S> = random.array([3, rows, configuration.stateSize])
    func passes(_ dropout: DropoutMasks?, _ lengths: [Int]?) throws -> (
      RecurrentOutput<S>, RecurrentGradients<S>
    ) {
      let (result, tape) = try rnn.record(x, h0: h0, lengths: lengths, dropout: dropout)
      let gradients = try rnn.backward(
        tape, gradOutput: result.output, gradHN: result.hN, gradCN: result.cN)
      return (result, gradients)
    }
    var masks: DropoutMasks { DropoutMasks { count, _ in (0..<count).map { $0 % 7 % 3 > 0 } } }
    let schedule =
      try SequenceLayout(x.shape, count: x.count, of: configuration, lengths: lengths).schedule
    threadCount = 1
    let dense = try rnn(x, h0: h0)
    let plain = try passes(nil, lengths)
    let masked = try passes(masks, lengths)
    #expect(plain.0.hN != masked.0.hN)
    for threads in counts {
      #expect(
        (try rnn.checkedStack().stepsInWavefront(schedule, threads: threads) != nil)
          == (rows < 2 * threads || threads <= 3))
      threadCount = threads
      #expect(try rnn(x, h0: h0) == dense)
      for (found, expected) in [
        (try passes(nil, lengths), plain), (try passes(masks, lengths), masked),
      ] {
        #expect(found.0 == expected.0)
        #expect(found.1.x == expected.1.x && found.1.h0 == expected.1.h0)
        for (name, array) in found.1.parameters.entries {
          #expect(array == expected.1.parameters[name], "\(kind) \(name)")
        }
      }
    }
  }

  /// What stands between layers, a second direction and short sequences keep them one after the other.
  @Test func notAllLayersRunInAWavefront() throws {
    func steps(
      _ threads: Int, _ time: Schedule, layers: Int = 2, hidden: Int = 128, both: Bool = false,
      _ stacking: Stacking = .plain
    ) throws -> Int? {
      var random = SplitMix64(state: 35)
      var configuration = Kind.lstm.configuration(
        inputSize: 9, hiddenSize: hidden, layerCount: layers, bidirectional: both)
      configuration.stacking = stacking
      let rnn: RNN<Float> = try random.network(configuration)
      return try rnn.checkedStack().stepsInWavefront(time, threads: threads)
    }
    let long = Schedule(steps: 100, batch: 1)
    #expect(try steps(2, long) == 12)
    #expect(try steps(1, long) == nil)
    #expect(try steps(2, long, layers: 1) == nil)
    #expect(try steps(2, long, both: true) == nil)
    #expect(try steps(2, long, Stacking(residual: true, layerNorm: false)) == nil)
    #expect(try steps(2, long, Stacking(residual: false, layerNorm: true)) == nil)
    #expect(try steps(2, Schedule(steps: 10, batch: 1)) == nil)
    #expect(try steps(2, Schedule(steps: 0, batch: 1)) == nil)
    #expect(try steps(2, Schedule(steps: 100, batch: 32)) == 6)
    #expect(try steps(4, Schedule(steps: 100, batch: 32)) == nil)
    #expect(try steps(8, Schedule(steps: 100, batch: 4)) == 7)
    #expect(try steps(8, Schedule(steps: 100, batch: 15)) == nil)
    #expect(try steps(2, Schedule(steps: 4, batch: 32)) == nil)
    #expect(try steps(2, Schedule(steps: 100, batch: 1000)) == 1)
    #expect(try steps(2, long, hidden: 320) == nil)
    #expect(try steps(3, long, hidden: 320) == 12)
  }

  @Test(arguments: Kind.allCases, [1, 3])
  func aStreamIsTheWholeSequence(_ kind: Kind, _ rows: Int) throws {
    for hidden in [64, 150, 262] {
      let (rnn, x) = (try network(kind, hidden: hidden, layers: 2), input(5, rows))
      let whole = try rnn(x)
      let stream = try Model(rnn: rnn).stream(batch: rows)
      var output: [Float] = []
      for step in 0..<5 {
        try stream.step(Array(x.elements[step * rows * 90..<(step + 1) * rows * 90]))
        output += stream.output
      }
      #expect(output == whole.output.elements, "\(hidden) units")
      #expect(
        stream.state.h?.elements == whole.hN.elements
          && stream.state.c?.elements == whole.cN?.elements)
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
