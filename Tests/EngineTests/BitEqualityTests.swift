import Testing

@testable import RNNEngine

/// A network whose bits are compared; Guarantees.md names the test of each promise.
struct BitCase: Sendable, CustomTestStringConvertible {
  let kind: Kind
  let layerCount: Int
  let bidirectional, bias: Bool
  let stacking: Stacking

  var configuration: RecurrentConfiguration {
    var result = kind.configuration(
      inputSize: 3, hiddenSize: 4, layerCount: layerCount, bias: bias,
      bidirectional: bidirectional)
    result.stacking = stacking
    return result
  }

  var testDescription: String {
    "\(kind), \(layerCount) layers, both ways \(bidirectional), bias \(bias), \(stacking)"
  }

  /// Every cell with one layer and three, plain and with all that stacks can have.
  static let forwards: [BitCase] = Kind.allCases.flatMap { kind in
    [(1, true, Stacking.plain), (3, false, .plain), (3, true, .full)].map {
      BitCase(kind: kind, layerCount: $0, bidirectional: false, bias: $1, stacking: $2)
    }
  }
  static let all =
    forwards
    + forwards.map {
      BitCase(
        kind: $0.kind, layerCount: $0.layerCount, bidirectional: true, bias: $0.bias,
        stacking: $0.stacking)
    }
}

extension Stacking {
  fileprivate static let full = Stacking(residual: true, layerNorm: true)
}

/// What the engine promises to the last bit: for every cell, in single and double precision.
@Suite("The engine's promises to the last bit")
struct BitEqualityTests {
  @Test func everyCombinationIsCovered() {
    #expect(BitCase.all.count == 6 * 3 * 2)
    #expect(Set(BitCase.all.map(\.testDescription)).count == BitCase.all.count)
  }

  @Test(arguments: BitCase.forwards)
  func streamingIsTheWholeSequence(_ example: BitCase) throws {
    try streaming(example, Float.self)
    try streaming(example, Double.self)
  }

  private func streaming<S: Scalar>(_ example: BitCase, _ type: S.Type) throws {
    let (rnn, x, h0, c0) = try material(example, type, steps: 41, rows: 5)
    let whole = try rnn(x, h0: h0, c0: c0)
    for size in [1, 7] {
      var (h, c) = (h0, c0)
      var output: [S] = []
      for start in stride(from: 0, to: 41, by: size) {
        let end = min(start + size, 41)
        let piece = NDArray(
          trusted: [end - start, 5, 3], Array(x.elements[start * 15..<end * 15]))
        let result = try rnn(piece, h0: h, c0: c)
        output += result.output.elements
        (h, c) = (result.hN, result.cN)
      }
      #expect(sameBits(output, whole.output.elements))
      expectSameBits(h, whole.hN)
      expectSameBits(c, whole.cN)
    }
  }

  @Test(arguments: BitCase.all)
  func noStateIsZeroState(_ example: BitCase) throws {
    try zeroState(example, Float.self)
    try zeroState(example, Double.self)
  }

  private func zeroState<S: Scalar>(_ example: BitCase, _ type: S.Type) throws {
    let (rnn, x, h0, c0) = try material(example, type, steps: 5, rows: 2)
    let without = try passes(rnn, x)
    let zeros = try passes(
      rnn, x, h0: h0.map { NDArray(zeros: $0.shape) }, c0: c0.map { NDArray(zeros: $0.shape) })
    expectSameBits(without, zeros)
  }

  @Test(arguments: BitCase.all)
  func equalLengthsAreDense(_ example: BitCase) throws {
    try equalLengths(example, Float.self)
    try equalLengths(example, Double.self)
  }

  private func equalLengths<S: Scalar>(_ example: BitCase, _ type: S.Type) throws {
    let (rnn, x, h0, c0) = try material(example, type, steps: 6, rows: 4)
    let dense = try passes(rnn, x, h0: h0, c0: c0)
    expectSameBits(try passes(rnn, x, h0: h0, c0: c0, lengths: [6, 6, 6, 6]), dense)
    let packed = try rnn(PackedSequence(x, lengths: [6, 6, 6, 6]), h0: h0, c0: c0)
    expectSameBits(try packed.output.padded().padded, dense.0.output)
    expectSameBits(packed.hN, dense.0.hN)
    expectSameBits(packed.cN, dense.0.cN)
  }

  @Test(arguments: BitCase.all, [false, true])
  func aRowAloneIsTheRowInABatch(_ example: BitCase, _ isRagged: Bool) throws {
    try rowAlone(example, isRagged, Float.self)
    try rowAlone(example, isRagged, Double.self)
  }

  private func rowAlone<S: Scalar>(_ example: BitCase, _ isRagged: Bool, _ type: S.Type) throws {
    let (rnn, x, h0, c0) = try material(example, type, steps: 6, rows: 5)
    let lengths = isRagged ? [4, 6, 1, 4, 3] : [6, 6, 6, 6, 6]
    let (whole, wholeGradients) = try passes(
      rnn, x, h0: h0, c0: c0, lengths: isRagged ? lengths : nil)
    func row(_ array: NDArray<S>?, _ row: Int, steps: Int? = nil) -> NDArray<S>? {
      guard let array else { return nil }
      let (count, width) = (steps ?? array.shape[0], array.shape[2])
      var elements: [S] = []
      for index in 0..<count {
        let start = (index * 5 + row) * width
        elements += array.elements[start..<start + width]
      }
      return NDArray(trusted: [count, width], elements)
    }
    for n in 0..<5 {
      let steps = lengths[n]
      let (single, gradients) = try passes(
        rnn, #require(row(x, n, steps: steps)), h0: row(h0, n), c0: row(c0, n))
      expectSameBits(single.hN, row(whole.hN, n))
      expectSameBits(single.cN, row(whole.cN, n))
      expectSameBits(single.output, row(whole.output, n, steps: steps))
      expectSameBits(gradients.x, row(wholeGradients.x, n, steps: steps))
      expectSameBits(gradients.h0, row(wholeGradients.h0, n))
      expectSameBits(gradients.c0, row(wholeGradients.c0, n))
      let all = try #require(row(whole.output, n))
      #expect(all.elements[single.output.count...].allSatisfy { $0 == 0 })
    }
  }

  @Test(arguments: BitCase.forwards)
  func checkpointsHaveThePlainGradients(_ example: BitCase) throws {
    try checkpoints(example, Float.self)
    try checkpoints(example, Double.self)
  }

  private func checkpoints<S: Scalar>(_ example: BitCase, _ type: S.Type) throws {
    let (rnn, x, h0, c0) = try material(example, type, steps: 11, rows: 3)
    for lengths in [nil, [7, 11, 2]] {
      let plain = try passes(rnn, x, h0: h0, c0: c0, lengths: lengths)
      for every in [nil, 1, 4, 100] {
        let (result, tape) = try rnn.recordWithCheckpoints(
          x, h0: h0, c0: c0, lengths: lengths, every: every)
        expectSameBits((result, try gradients(rnn, result, tape)), plain)
      }
    }
  }

  @Test(arguments: BitCase.all)
  func recordingAndRepeatingChangeNothing(_ example: BitCase) throws {
    let (rnn, x, h0, c0) = try material(example, Float.self, steps: 6, rows: 3)
    let first = try passes(rnn, x, h0: h0, c0: c0)
    expectSameBits(try passes(rnn, x, h0: h0, c0: c0), first)
    let plain = try rnn(x, h0: h0, c0: c0)
    expectSameBits(plain.output, first.0.output)
    expectSameBits(plain.hN, first.0.hN)
  }

  /// A tape that is used for the last time gives its memory away; one that is not keeps its numbers.
  @Test(arguments: BitCase.all)
  func aTapeMayBeUsedAgain(_ example: BitCase) throws {
    let (rnn, x, h0, c0) = try material(example, Float.self, steps: 6, rows: 3)
    let (result, tape) = try rnn.record(x, h0: h0, c0: c0)
    let kept = try gradients(rnn, result, tape)
    let again = try gradients(rnn, result, tape)
    let last = try rnn.backward(
      tape, gradOutput: result.output, gradHN: result.hN, gradCN: result.cN)
    expectSameBits((result, again), (result, kept))
    expectSameBits((result, last), (result, kept))
    for (name, array) in kept.parameters.entries {
      expectSameBits(again.parameters[name], array, name)
      expectSameBits(last.parameters[name], array, name)
    }
  }

  /// More rows than fit one block of the gradients of weights, whole and in pieces that do fit.
  @Test func longSequencesAddUpLikeTheirPieces() throws {
    for kind in Kind.allCases {
      var random = SplitMix64(state: 17)
      let configuration = kind.configuration(inputSize: 3, hiddenSize: 19)
      let rnn: RNN<Float> = try random.network(configuration)
      let x: NDArray<Float> = random.array([70, 5, 3])
      let h0: NDArray<Float> = random.array([1, 5, configuration.stateSize])
      let (result, tape) = try rnn.record(x, h0: h0)
      let whole = try rnn.backward(tape, gradOutput: result.output)
      let (_, pieces) = try rnn.recordWithCheckpoints(x, h0: h0, every: 20)
      let parts = try rnn.backward(pieces, gradOutput: result.output)
      for (name, array) in whole.parameters.entries {
        expectSameBits(parts.parameters[name], array, "\(kind) \(name)")
      }
    }
  }

  /// The second direction is the first one on a sequence turned round.
  @Test func longSequencesBackwardsHaveTheGradientsOfTurnedOnes() throws {
    for kind in Kind.allCases {
      var random = SplitMix64(state: 18)
      let both = kind.configuration(inputSize: 3, hiddenSize: 19, bidirectional: true)
      let rnn: RNN<Double> = try random.network(both)
      var parameters = Parameters<Double>()
      for (name, array) in rnn.parameters.entries where name.hasSuffix("_reverse") {
        parameters.append(String(name.dropLast(8)), array)
      }
      let turned = try RNN(
        kind.configuration(inputSize: 3, hiddenSize: 19), parameters: parameters)
      func reversed(_ array: NDArray<Double>) throws -> NDArray<Double> {
        let width = array.count / 70
        let steps = (0..<70).reversed().flatMap { (step: Int) -> ArraySlice<Double> in
          array.elements[step * width..<(step + 1) * width]
        }
        return try NDArray(shape: array.shape, elements: steps)
      }
      let x: NDArray<Double> = random.array([70, 5, 3])
      let h0: NDArray<Double> = random.array([2, 5, both.stateSize])
      let size = both.stateSize
      let up: NDArray<Double> = random.array([70, 5, 2 * size])
      let upOfSecond = try NDArray(
        shape: [70, 5, size],
        elements: (0..<350).flatMap { (row: Int) -> ArraySlice<Double> in
          let end = (row + 1) * 2 * size
          return up.elements[end - size..<end]
        })
      let second = try NDArray(shape: [1, 5, size], elements: Array(h0.elements[(5 * size)...]))
      let found = try rnn.backward(rnn.record(x, h0: h0).1, gradOutput: up)
      let expected = try turned.backward(
        turned.record(reversed(x), h0: second).1, gradOutput: reversed(upOfSecond))
      for (name, array) in expected.parameters.entries {
        let ours = try #require(found.parameters[name + "_reverse"])
        var worst = 0.0
        for (x, y) in zip(ours.elements, array.elements) {
          worst = max(worst, abs(x - y) / max(1, abs(y)))
        }
        #expect(worst < 1e-11, "\(kind) \(name)")
      }
    }
  }

  @Test(arguments: BitCase.all)
  func batchFirstOnlyPermutes(_ example: BitCase) throws {
    let (rnn, x, h0, c0) = try material(example, Float.self, steps: 6, rows: 3)
    var configuration = rnn.configuration
    configuration.batchFirst = true
    let other = try RNN(configuration, parameters: rnn.parameters)
    let expected = try rnn(x, h0: h0, c0: c0)
    let found = try other(x.exchangingLeadingAxes(), h0: h0, c0: c0)
    expectSameBits(found.output.exchangingLeadingAxes(), expected.output)
    expectSameBits(found.hN, expected.hN)
  }

  /// One model, many concurrent tasks, each with forward and backward passes of its own.
  @Test func concurrentTasksGetTheSameBits() async throws {
    for kind in Kind.allCases {
      let configuration = kind.configuration(
        inputSize: 3, hiddenSize: 4, layerCount: 2, bidirectional: true)
      var random = SplitMix64(state: 21)
      let rnn: RNN<Float> = try random.network(configuration)
      let model = try Model(
        rnn: rnn, head: Linear(weight: random.array([5, configuration.outputSize])))
      let inputs: [NDArray<Float>] = (0..<4).map { _ in random.array([6, 3, 3]) }
      @Sendable func run(_ task: Int) throws -> [[Float]] {
        let x = inputs[task % inputs.count]
        let result = try model.backward(
          x, targets: .classes((0..<18).map { $0 % 5 }, shape: [6, 3]), loss: .crossEntropy())
        let plain = try passes(rnn, x, lengths: [2, 6, 4])
        return [[result.loss], result.x.elements, plain.0.output.elements, plain.1.x.elements]
          + result.parameterGroups.flatMap { $0.entries.map(\.array.elements) }
      }
      let alone = try (0..<inputs.count).map(run)
      let found = try await withThrowingTaskGroup(of: (Int, [[Float]]).self) { group in
        for task in 0..<32 { group.addTask { (task, try run(task)) } }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      #expect(found.count == 32)
      for (task, arrays) in found {
        let expected = alone[task % inputs.count]
        #expect(arrays.count == expected.count)
        for (a, b) in zip(arrays, expected) { #expect(sameBits(a, b)) }
      }
    }
  }
}

private typealias Passes<S: Scalar> = (RecurrentOutput<S>, RecurrentGradients<S>)

private func material<S: Scalar>(
  _ example: BitCase, _ type: S.Type, steps: Int, rows: Int
) throws -> (RNN<S>, NDArray<S>, NDArray<S>?, NDArray<S>?) {
  var random = SplitMix64(state: 4)
  let configuration = example.configuration
  let rnn: RNN<S> = try random.network(configuration, scale: 0.6)
  let count = configuration.layerCount * configuration.directionCount
  return (
    rnn, random.array([steps, rows, 3]), random.array([count, rows, configuration.stateSize]),
    configuration.cell.hasCellState ? random.array([count, rows, 4]) : nil
  )
}

/// A forward pass, and the gradients of half the square of all that it returns.
private func passes<S: Scalar>(
  _ rnn: RNN<S>, _ x: NDArray<S>, h0: NDArray<S>? = nil, c0: NDArray<S>? = nil,
  lengths: [Int]? = nil
) throws -> Passes<S> {
  let (result, tape) = try rnn.record(x, h0: h0, c0: c0, lengths: lengths)
  return (result, try gradients(rnn, result, tape))
}

private func gradients<S: Scalar>(
  _ rnn: RNN<S>, _ result: RecurrentOutput<S>, _ tape: Tape<S>
) throws -> RecurrentGradients<S> {
  try rnn.backward(tape, gradOutput: result.output, gradHN: result.hN, gradCN: result.cN)
}

private func expectSameBits<S: Scalar>(
  _ found: NDArray<S>?, _ expected: NDArray<S>?, _ name: String = "",
  _ location: SourceLocation = #_sourceLocation
) {
  #expect(found?.shape == expected?.shape, "\(name)", sourceLocation: location)
  #expect(
    sameBits(found?.elements ?? [], expected?.elements ?? []), "\(name)", sourceLocation: location)
}

private func expectSameBits<S: Scalar>(
  _ found: Passes<S>, _ expected: Passes<S>, _ location: SourceLocation = #_sourceLocation
) {
  expectSameBits(found.0.output, expected.0.output, "output", location)
  expectSameBits(found.0.hN, expected.0.hN, "hN", location)
  expectSameBits(found.0.cN, expected.0.cN, "cN", location)
  expectSameBits(found.1.x, expected.1.x, "gradient of x", location)
  expectSameBits(found.1.h0, expected.1.h0, "gradient of h0", location)
  expectSameBits(found.1.c0, expected.1.c0, "gradient of c0", location)
  for (name, array) in expected.1.parameters.entries {
    expectSameBits(found.1.parameters[name], array, name, location)
  }
}
