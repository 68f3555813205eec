import Tensors

// Gradient checkpointing: the forward pass keeps the states at every k-th step and forgets the rest; the
// backward pass runs each piece again, the last one first. With k = √T the memory beside input and output
// grows with √T, for one more forward pass. A piece is a sequence with an initial state, which gives the
// bits of the whole one, and the gradients of the weights add up in the same order.

/// The states before each piece of a sequence.
struct Checkpoints<S: Scalar>: Sendable {
  let rows: [S]
  let pieces: [Range<Int>]
  let states: [States<S>]
}

extension Stack {
  /// Runs pieces of `every` steps; only for a network that reads forwards.
  func forwardInPieces(
    _ rows: [S], _ schedule: Schedule, _ states: inout States<S>, every: Int
  ) throws -> (output: [S], checkpoints: Checkpoints<S>) {
    var output: [S] = []
    output.reserveCapacity(schedule.rows * configuration.outputSize)
    let pieces = stride(from: 0, to: schedule.steps, by: every).map {
      $0..<min($0 + every, schedule.steps)
    }
    var before: [States<S>] = []
    for steps in pieces {
      before.append(states)
      output += try forward(
        part(of: rows, schedule, steps, width: configuration.inputSize), schedule.part(steps),
        &states)
    }
    return (output, Checkpoints(rows: rows, pieces: pieces, states: before))
  }

  /// As `backward`, running each piece of the sequence again; hands over the gradient of the states
  /// before each piece, the last one first.
  func backward(
    _ checkpoints: Checkpoints<S>, _ schedule: Schedule, dOutput: [S],
    _ dStates: inout States<S>, _ gradients: inout Parameters<S>,
    beforePiece: ((States<S>) -> Void)? = nil
  ) throws -> [S] {
    var dInput = [S](repeating: 0, count: schedule.rows * configuration.inputSize)
    for (steps, initial) in zip(checkpoints.pieces, checkpoints.states).reversed() {
      var (states, tapes) = (initial, [LayerTape<S>]())
      _ = try forward(
        part(of: checkpoints.rows, schedule, steps, width: configuration.inputSize),
        schedule.part(steps), &states, keep: { tapes.append($0) })
      let piece = try backward(
        &tapes, schedule.part(steps), initial: initial,
        dOutput: part(of: dOutput, schedule, steps, width: configuration.outputSize), &dStates,
        &gradients)
      let start = schedule.offsets[steps.lowerBound] * configuration.inputSize
      dInput.replaceSubrange(start..<start + piece.count, with: piece)
      beforePiece?(dStates)
    }
    return dInput
  }

  private func part(
    of rows: [S], _ schedule: Schedule, _ steps: Range<Int>, width: Int
  ) -> [S] {
    let range = schedule.rows(of: steps)
    return Array(rows[range.lowerBound * width..<range.upperBound * width])
  }
}

extension RNN {
  /// Runs the network for `backward` with gradient checkpointing: same bits, less memory, more time.
  ///
  /// The states of every `every`-th step are kept, by default every √T-th. Throws `engine.checkpoint` for
  /// a bidirectional network, whose second direction needs the whole sequence.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  public func recordWithCheckpoints(
    _ x: NDArray<S>, h0: NDArray<S>? = nil, c0: NDArray<S>? = nil, lengths: [Int]? = nil,
    every: Int? = nil
  ) throws -> (RecurrentOutput<S>, Tape<S>) {
    guard !configuration.bidirectional else {
      throw RecurrentError(
        .engineCheckpointUnsupported, found: "checkpoints for a bidirectional network",
        expected: "one direction")
    }
    if let every, every < 1 {
      throw RecurrentError(
        .engineCheckpoint, at: "every", found: "\(every) steps",
        expected: "at least 1")
    }
    let stack = try checkedStack()
    let sequence = try SequenceLayout(x.shape, count: x.count, of: configuration, lengths: lengths)
    let initial = try sequence.states(h0, c0)
    var states = initial
    let root = Int(Double(sequence.schedule.steps).squareRoot().rounded(.up))
    let (output, checkpoints) = try stack.forwardInPieces(
      sequence.rows(x), sequence.schedule, &states, every: every ?? root)
    let tape = Tape(
      stack: stack, sequence: sequence, layers: [], initial: initial, checkpoints: checkpoints)
    return (result(output, states, sequence), tape)
  }
}
