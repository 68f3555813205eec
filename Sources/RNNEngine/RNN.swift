import Tensors

/// What a recurrent network returns.
public struct RecurrentOutput<S: Scalar>: Sendable, Equatable {
  /// The top layer's states: (T, N, D·H), (N, T, D·H) if `batchFirst`, or (T, D·H) if unbatched.
  public var output: NDArray<S>
  /// Every layer and direction's last state: (L·D, N, H), or (L·D, H) if unbatched.
  public var hN: NDArray<S>
}

/// What a forward pass leaves behind for `backward`; it keeps the weights that it ran with.
public struct Tape<S: Scalar>: Sendable {
  let configuration: RecurrentConfiguration
  let parameters: Parameters<S>
  let sequence: SequenceLayout
  /// The time-major input of each layer, and the output of the last.
  let activations: [[S]]
  let initialState: [S]
}

/// A stack of recurrent layers with PyTorch's semantics, for `Float` or `Double`.
public struct RNN<S: Scalar>: Sendable {
  /// What the network is, apart from its numbers.
  public let configuration: RecurrentConfiguration
  /// The weights under PyTorch's names; replaced ones are checked at the next call.
  public var parameters: Parameters<S> {
    didSet { isChecked = false }
  }
  private var isChecked = true

  /// Creates a network; throws for a bad configuration, and for a missing, extra or misshapen parameter.
  public init(_ configuration: RecurrentConfiguration, parameters: Parameters<S>) throws {
    try configuration.validate()
    self.configuration = configuration
    self.parameters = try parameters.matching(configuration.parameterShapes)
  }

  /// Runs the network on (T, N, D), (N, T, D) if `batchFirst`, or (T, D); no `h0` means zeros.
  public func callAsFunction(_ x: NDArray<S>, h0: NDArray<S>? = nil) throws -> RecurrentOutput<S> {
    try forward(x, h0: h0) { _ in }.result
  }

  /// Runs the network and keeps what `backward` needs.
  public func record(
    _ x: NDArray<S>, h0: NDArray<S>? = nil
  ) throws -> (RecurrentOutput<S>, Tape<S>) {
    var activations: [[S]] = []
    let run = try forward(x, h0: h0) { activations.append($0) }
    let tape = Tape(
      configuration: configuration, parameters: run.parameters, sequence: run.sequence,
      activations: activations, initialState: run.initialState)
    return (run.result, tape)
  }

  private typealias Run = (
    result: RecurrentOutput<S>, parameters: Parameters<S>, sequence: SequenceLayout,
    initialState: [S]
  )

  /// Hands the input of each layer and the output of the last to `keep`.
  private func forward(
    _ x: NDArray<S>, h0: NDArray<S>?, keep: ([S]) -> Void
  ) throws -> Run {
    let parameters =
      isChecked ? self.parameters : try self.parameters.matching(configuration.parameterShapes)
    let sequence = try SequenceLayout(x.shape, count: x.count, of: configuration)
    if let h0 { try sequence.checkState(h0, "hidden size") }
    let initialState = h0?.elements ?? [S](repeating: 0, count: sequence.stateCount)

    var current = sequence.timeMajor(x)
    var finalState: [S] = []
    finalState.reserveCapacity(sequence.stateCount)
    keep(current)
    if sequence.batch > 0 {
      for layer in 0..<configuration.layerCount {
        current = try runLayer(
          layer, parameters, current, sequence, initialState, appendingFinalTo: &finalState)
        keep(current)
      }
    } else {
      current = []
      for _ in 0..<configuration.layerCount { keep(current) }
    }
    let result = RecurrentOutput(
      output: sequence.callerOrder(current, width: sequence.outputWidth),
      hN: NDArray(trusted: sequence.stateShape, finalState))
    return (result, parameters, sequence, initialState)
  }

  private func runLayer(
    _ layer: Int, _ parameters: Parameters<S>, _ input: [S], _ sequence: SequenceLayout,
    _ initialState: [S], appendingFinalTo finalState: inout [S]
  ) throws -> [S] {
    let kernels = kernels(for: S.self)
    let schedule = sequence.schedule
    let inputSize = configuration.layerInputSize(layer)
    let hidden = configuration.hiddenSize
    let chunk = max(1, rowsPerChunk / sequence.batch)
    var output = [S](repeating: 0, count: schedule.rows * sequence.outputWidth)
    for direction in 0..<configuration.directionCount {
      let weights = try LayerWeights(parameters, configuration, layer, direction)
      let sweep = sequence.sweep(configuration, layer, direction)
      let width = sweep.gateWidth
      let packedInput = kernels.pack(weights.input, rows: width, columns: inputSize)
      let packedHidden = kernels.pack(weights.hidden, rows: width, columns: hidden)
      var z = [S](repeating: 0, count: min(chunk, schedule.steps) * sequence.batch * width)
      for start in stride(from: 0, to: schedule.steps, by: chunk) {
        let end = min(start + chunk, schedule.steps)
        let steps =
          sweep.reversed ? schedule.steps - end..<schedule.steps - start : start..<end
        let rows = schedule.rows(of: steps)
        kernels.project(
          input,
          Block(offset: rows.lowerBound * inputSize, rows: rows.count, columns: inputSize),
          packedWeight: packedInput, bias: weights.bias, width: width, into: &z)
        kernels.sweepForward(
          sweep, steps: steps, z: &z, packedWeight: packedHidden, initialState: initialState,
          output: &output)
      }
      let last = schedule.offsets[sweep.reversed ? 0 : schedule.steps - 1]
      for row in last..<last + sequence.batch {
        let place = row * sweep.outputStride + sweep.outputOffset
        finalState.append(contentsOf: output[place..<place + hidden])
      }
    }
    return output
  }
}

// So many rows of projections stay in the second-level cache until the sweep has used them.
private let rowsPerChunk = 192

/// The weights of one layer and direction, the two biases added up.
struct LayerWeights<S: Scalar> {
  let input, hidden, bias: [S]

  init(
    _ parameters: Parameters<S>, _ configuration: RecurrentConfiguration, _ layer: Int,
    _ direction: Int
  ) throws {
    let names = ParameterNames(layer: layer, direction: direction)
    func find(_ name: String) throws -> [S] {
      guard let array = parameters[name] else {
        throw RecurrentError(.fault, "engine.missing-parameter", at: name, found: "no \(name)")
      }
      return array.elements
    }
    input = try find(names.inputWeight)
    hidden = try find(names.hiddenWeight)
    let width = configuration.cell.gateCount * configuration.hiddenSize
    bias =
      configuration.bias
      ? zip(try find(names.inputBias), try find(names.hiddenBias)).map { $0 + $1 }
      : [S](repeating: 0, count: width)
  }
}
