import Tensors

/// What a recurrent network is, apart from its numbers: PyTorch's constructor arguments, and two of ours.
///
/// PyTorch's `nn.RNN`, `nn.LSTM` and `nn.GRU` know neither `residual` nor `layerNorm`: a network with either
/// has no counterpart there, only a composition of modules, one recurrent module per layer. With uₖ for what
/// layer k computes from its input xₖ, a stack is
///
///     sₖ = uₖ + xₖ                        with `residual` and k ≥ 1, else sₖ = uₖ
///     xₖ₊₁ = dropout(LayerNorm(sₖ))       with `layerNorm`, else xₖ₊₁ = dropout(sₖ)
///     output = s of the last layer
///
/// The states h and c are the layers' own, untouched by either option. Both work on the features of
/// one time step and one row, so that every guarantee of the engine holds with them.
public struct RecurrentConfiguration: Sendable, Equatable {
  /// The cell of every layer.
  public var cell: Cell
  /// D, the size of the input.
  public var inputSize: Int
  /// H, the size of the hidden state.
  public var hiddenSize: Int
  /// L, the number of stacked layers.
  public var layerCount: Int
  /// Whether there are biases (two per layer and direction, as in PyTorch).
  public var bias: Bool
  /// Whether input and output are (N, T, …); never changes the initial and final states.
  public var batchFirst: Bool
  /// Whether a second set of weights reads the sequence backwards.
  public var bidirectional: Bool
  /// P, the size that an LSTM's state is projected to, or 0 for no projection.
  public var projSize: Int
  /// Where a GRU applies its reset gate; other cells ignore it.
  public var gruReset: GRUReset
  /// The probability of zeroing an element of the output of each layer but the last, in training only.
  public var dropout: Double
  /// Whether every layer but the first adds its input to its output.
  ///
  /// Never the first, not even where the sizes agree: what a network computes does not hang on a
  /// coincidence of sizes.
  public var residual: Bool
  /// Whether the features are normalised between layers, with a weight and a bias of their own:
  /// `norm_weight_l0` and `norm_bias_l0` (D·S) stand behind the parameters of layer 0, and so on; the
  /// last layer has none.
  public var layerNorm: Bool

  /// Creates a configuration with PyTorch's defaults; `validate()` checks it.
  public init(
    cell: Cell = .rnnTanh, inputSize: Int, hiddenSize: Int, layerCount: Int = 1, bias: Bool = true,
    batchFirst: Bool = false, bidirectional: Bool = false, projSize: Int = 0,
    gruReset: GRUReset = .after, dropout: Double = 0, residual: Bool = false,
    layerNorm: Bool = false
  ) {
    self.cell = cell
    self.inputSize = inputSize
    self.hiddenSize = hiddenSize
    self.layerCount = layerCount
    self.bias = bias
    self.batchFirst = batchFirst
    self.bidirectional = bidirectional
    self.projSize = projSize
    self.gruReset = gruReset
    self.dropout = dropout
    self.residual = residual
    self.layerNorm = layerNorm
  }

  /// 2 if bidirectional, else 1.
  public var directionCount: Int { bidirectional ? 2 : 1 }

  /// S, the size of the state h: `projSize` if there is a projection, else `hiddenSize`.
  public var stateSize: Int { projSize > 0 ? projSize : hiddenSize }
  /// D·S, the size of the output at each time step.
  public var outputSize: Int { directionCount * stateSize }

  /// Throws `engine.configuration` unless the sizes, the projection and the dropout make sense.
  public func validate() throws {
    // The bounds keep every later product of two sizes and a small factor inside `Int`.
    let sizes = [
      ("input_size", inputSize, 1 << 28), ("hidden_size", hiddenSize, 1 << 28),
      ("num_layers", layerCount, 1 << 16),
    ]
    func refuse(_ name: String, _ found: String, _ words: String) -> RecurrentError {
      RecurrentError(
        .engineConfiguration, at: name, found: found, asPyTorchSays: words)
    }
    for (name, size, bound) in sizes where size < 1 || size > bound {
      guard size >= 1 else { throw refuse(name, "\(size)", "\(name) must be greater than zero") }
      throw RecurrentError(
        .engineConfiguration, at: name, found: "\(size)",
        expected: "at most \(bound)")
    }
    if projSize != 0 {
      guard cell.hasCellState else {
        throw refuse(
          "proj_size", "\(projSize) with cell \(cell.rawValue)",
          "proj_size argument is only supported for LSTM, not RNN or GRU")
      }
      guard projSize > 0 else {
        throw refuse(
          "proj_size", "\(projSize)",
          "proj_size should be a positive integer or zero to disable projections")
      }
      guard projSize < hiddenSize else {
        throw refuse(
          "proj_size", "\(projSize) with hidden_size \(hiddenSize)",
          "proj_size has to be smaller than hidden_size")
      }
    }
    guard (0...1).contains(dropout) else {
      throw refuse(
        "dropout", "\(dropout)",
        "dropout should be a number in range [0, 1] representing the probability of an element being"
          + " zeroed")
    }
  }

  /// Names and shapes of all parameters, in PyTorch's order; `norm_…` behind the layer's others.
  public var parameterShapes: [(name: String, shape: [Int])] {
    var result: [(name: String, shape: [Int])] = []
    for layer in 0..<layerCount {
      for direction in 0..<directionCount {
        let names = ParameterNames(layer: layer, direction: direction)
        let rows = cell.gateCount * hiddenSize
        result.append((names.inputWeight, [rows, layerInputSize(layer)]))
        result.append((names.hiddenWeight, [rows, stateSize]))
        if bias {
          result.append((names.inputBias, [rows]))
          result.append((names.hiddenBias, [rows]))
        }
        if projSize > 0 { result.append((names.projection, [projSize, hiddenSize])) }
      }
      if normalises(after: layer) {
        let names = NormNames(layer: layer)
        result.append((names.weight, [outputSize]))
        result.append((names.bias, [outputSize]))
      }
    }
    return result
  }

  func layerInputSize(_ layer: Int) -> Int {
    layer == 0 ? inputSize : outputSize
  }

  func normalises(after layer: Int) -> Bool { layerNorm && layer + 1 < layerCount }

  func addsResidual(of layer: Int) -> Bool { residual && layer > 0 }
}

/// The names of one layer and direction's parameters.
struct ParameterNames {
  let inputWeight, hiddenWeight, inputBias, hiddenBias, projection: String

  // The usual ones once: a call with few steps would spend its time on them.
  private static let first = (0..<8).map { ParameterNames(layer: $0 / 2, newFor: $0 % 2) }

  init(layer: Int, direction: Int) {
    self = layer < 4 ? Self.first[layer * 2 + direction] : Self(layer: layer, newFor: direction)
  }

  private init(layer: Int, newFor direction: Int) {
    let suffix = "_l\(layer)" + (direction == 0 ? "" : "_reverse")
    inputWeight = "weight_ih" + suffix
    hiddenWeight = "weight_hh" + suffix
    inputBias = "bias_ih" + suffix
    hiddenBias = "bias_hh" + suffix
    projection = "weight_hr" + suffix
  }
}

/// The names of the parameters of the normalisation after a layer.
struct NormNames {
  let weight, bias: String

  init(layer: Int) {
    weight = "norm_weight_l\(layer)"
    bias = "norm_bias_l\(layer)"
  }
}
