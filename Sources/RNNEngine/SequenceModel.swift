import Tensors

/// A recurrent network, with a linear layer on its output or without.
public struct SequenceModel<S: Scalar>: Sendable {
  /// The recurrent network.
  public var rnn: RNN<S>
  /// The linear layer, mapping every time step's output to logits.
  public var head: Linear<S>?

  /// What the model returns.
  public struct Output: Sendable, Equatable {
    /// The recurrent network's output.
    public var output: NDArray<S>
    /// The recurrent network's final states.
    public var hN: NDArray<S>
    /// An LSTM's final cell states.
    public var cN: NDArray<S>?
    /// The head's output at every time step, if there is a head.
    public var logits: NDArray<S>?
  }

  /// The loss, all gradients, and the forward results that they came from.
  public struct Gradients: Sendable {
    /// The value of the loss.
    public var loss: S
    /// Of the recurrent weights, under their names.
    public var recurrent: Parameters<S>
    /// Of the head, under `weight` and `bias`; empty without a head.
    public var head: Parameters<S>
    /// Of the input.
    public var x: NDArray<S>
    /// Of the initial state.
    public var h0: NDArray<S>
    /// Of an LSTM's initial cell state.
    public var c0: NDArray<S>?
    /// The forward results, for example to carry the state on.
    public var forward: Output

    /// The gradients of the weights, recurrent ones first, for clipping and for optimisers.
    public var parameterGroups: [Parameters<S>] {
      get { [recurrent, head] }
      set {
        guard newValue.count == 2 else { return }
        recurrent = newValue[0]
        head = newValue[1]
      }
    }
  }

  /// Creates a model; throws unless the head reads what the network writes.
  public init(rnn: RNN<S>, head: Linear<S>? = nil) throws {
    let width = rnn.configuration.outputSize
    if let head, head.inputSize != width {
      throw RecurrentError(
        .malformed, "engine.head-size", at: "head", found: "a head of \(head.inputSize) inputs",
        expected: "\(width), the recurrent network's output")
    }
    self.rnn = rnn
    self.head = head
  }

  /// Runs the model; shapes as for `RNN`.
  public func callAsFunction(
    _ x: NDArray<S>, h0: NDArray<S>? = nil, c0: NDArray<S>? = nil, lengths: [Int]? = nil
  ) throws -> Output {
    let result = try rnn(x, h0: h0, c0: c0, lengths: lengths)
    return Output(
      output: result.output, hN: result.hN, cN: result.cN, logits: try head?(result.output))
  }

  /// The loss and its gradients; without a head the loss reads the recurrent output itself.
  ///
  /// With `lengths` the loss ignores the padding; with `dropout` the network is in training mode.
  public func backward(
    _ x: NDArray<S>, h0: NDArray<S>? = nil, c0: NDArray<S>? = nil, lengths: [Int]? = nil,
    dropout: DropoutMasks? = nil, targets: Targets<S>, loss: Loss
  ) throws -> Gradients {
    let (result, tape) = try rnn.record(
      x, h0: h0, c0: c0, lengths: lengths, dropout: dropout)
    let logits = try head?(result.output)
    // A 2-D array has no batch axis to come first.
    let (value, gradLogits) = try loss.evaluate(
      logits: logits ?? result.output, targets: targets,
      batchFirst: rnn.configuration.batchFirst, lengths: lengths)
    var gradOutput = gradLogits
    var headGradients = Parameters<S>()
    if let head {
      let gradients = try head.backward(result.output, gradOutput: gradLogits)
      gradOutput = gradients.x
      headGradients.append("weight", gradients.weight)
      if let bias = gradients.bias { headGradients.append("bias", bias) }
    }
    let gradients = try rnn.backward(tape, gradOutput: gradOutput)
    return Gradients(
      loss: value, recurrent: gradients.parameters, head: headGradients, x: gradients.x,
      h0: gradients.h0, c0: gradients.c0,
      forward: Output(output: result.output, hN: result.hN, cN: result.cN, logits: logits))
  }

  /// The weights, recurrent ones first; the second group is empty without a head.
  public var parameterGroups: [Parameters<S>] {
    [rnn.parameters, head?.parameters ?? Parameters()]
  }

  /// Replaces the weights; throws, and changes nothing, if any does not fit.
  public mutating func setParameterGroups(_ groups: [Parameters<S>]) throws {
    guard groups.count == 2 else {
      throw RecurrentError(
        .malformed, "engine.parameter-groups", found: "\(groups.count) groups of parameters",
        expected: "2, recurrent and head")
    }
    let recurrent = try RNN(rnn.configuration, parameters: groups[0])
    let newHead = head == nil && groups[1].names.isEmpty ? nil : try Linear(parameters: groups[1])
    self = try SequenceModel(rnn: recurrent, head: newHead)
  }
}
