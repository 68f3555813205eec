import Tensors

/// What a recurrent network returns.
public struct RecurrentOutput<S: Scalar>: Sendable, Equatable {
  /// The top layer's states: (T, N, D·S), (N, T, D·S) if `batchFirst`, or (T, D·S) if unbatched.
  public var output: NDArray<S>
  /// Every layer and direction's last state: (L·D, N, S), or (L·D, S) if unbatched.
  public var hN: NDArray<S>
  /// An LSTM's last cell states: (L·D, N, H), or (L·D, H) if unbatched.
  public var cN: NDArray<S>?
}

/// What a forward pass leaves behind for `backward`; it keeps the weights that it ran with.
public struct Tape<S: Scalar>: Sendable {
  let stack: Stack<S>
  let sequence: SequenceLayout
  var layers: [LayerTape<S>]
  let initial: States<S>
  /// Stands in for `layers` if there are checkpoints.
  var checkpoints: Checkpoints<S>?
}

/// A stack of recurrent layers with PyTorch's semantics, for `Float` or `Double`.
///
/// The same bits come out of a sequence whether it runs as a whole or one step at a time, alone or as a
/// row of a batch, dense or ragged with equal lengths, and without states or with states of zeros.
public struct RNN<S: Scalar>: Sendable {
  /// What the network is, apart from its numbers.
  public let configuration: RecurrentConfiguration
  /// The weights under PyTorch's names; replaced ones are checked at the next call.
  public var parameters: Parameters<S> {
    didSet {
      isChecked = false
      weights = NetworkWeights(configuration)
    }
  }
  private var isChecked = true
  /// The same, rearranged; copies of a network share it until one of them gets other parameters.
  private var weights: NetworkWeights<S>

  /// Creates a network; throws for a bad configuration, and for a missing, extra or misshapen parameter.
  public init(_ configuration: RecurrentConfiguration, parameters: Parameters<S>) throws {
    try configuration.validate()
    self.configuration = configuration
    self.parameters = try parameters.matching(configuration.parameterShapes)
    weights = NetworkWeights(configuration)
  }

  /// Runs the network on (T, N, D), (N, T, D) if `batchFirst`, or (T, D); no `h0` or `c0` means zeros.
  ///
  /// With `lengths`, each row of the batch ends after so many steps, as in a packed sequence: the reverse
  /// direction starts at its last valid step, the final states are those of its last valid step, and the
  /// output is zero after it. Throws `engine.lengths` for a length of 0 or above T.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  public func callAsFunction(
    _ x: NDArray<S>, h0: NDArray<S>? = nil, c0: NDArray<S>? = nil, lengths: [Int]? = nil
  ) throws -> RecurrentOutput<S> {
    let stack = try checkedStack()
    let sequence = try SequenceLayout(x.shape, count: x.count, of: configuration, lengths: lengths)
    var states = try sequence.states(h0, c0)
    let output = try stack.forward(sequence.rows(x), sequence.schedule, &states)
    return result(output, states, sequence)
  }

  /// Runs the network and keeps what `backward` needs.
  ///
  /// With `dropout` the network is in training mode; without, it is in evaluation mode, where dropout
  /// does nothing.
  ///
  /// Throws as ``callAsFunction(_:h0:c0:lengths:)``, and what drawing the masks throws.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  public func record(
    _ x: NDArray<S>, h0: NDArray<S>? = nil, c0: NDArray<S>? = nil, lengths: [Int]? = nil,
    dropout: DropoutMasks? = nil
  ) throws -> (RecurrentOutput<S>, Tape<S>) {
    let stack = try checkedStack()
    let sequence = try SequenceLayout(x.shape, count: x.count, of: configuration, lengths: lengths)
    let initial = try sequence.states(h0, c0)
    var (states, layers) = (initial, [LayerTape<S>]())
    let output = try stack.forward(
      sequence.rows(x), sequence.schedule, &states, dropout: dropout, keep: { layers.append($0) })
    let tape = Tape(stack: stack, sequence: sequence, layers: layers, initial: initial)
    return (result(output, states, sequence), tape)
  }

  func checkedStack() throws -> Stack<S> {
    Stack(
      configuration: configuration,
      parameters: isChecked
        ? parameters : try parameters.matching(configuration.parameterShapes), weights: weights)
  }

  func result(
    _ output: [S], _ states: States<S>, _ sequence: SequenceLayout
  ) -> RecurrentOutput<S> {
    RecurrentOutput(
      output: sequence.callerOrder(output, width: configuration.outputSize),
      hN: sequence.callerStates(states.h, width: configuration.stateSize),
      cN: configuration.cell.hasCellState
        ? sequence.callerStates(states.c, width: configuration.hiddenSize) : nil)
  }
}
