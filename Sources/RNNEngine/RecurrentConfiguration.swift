import Tensors

/// What a recurrent network is, apart from its numbers: PyTorch's constructor arguments.
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

  /// Creates a configuration with PyTorch's defaults; `validate()` checks it.
  public init(
    cell: Cell = .rnnTanh, inputSize: Int, hiddenSize: Int, layerCount: Int = 1, bias: Bool = true,
    batchFirst: Bool = false, bidirectional: Bool = false
  ) {
    self.cell = cell
    self.inputSize = inputSize
    self.hiddenSize = hiddenSize
    self.layerCount = layerCount
    self.bias = bias
    self.batchFirst = batchFirst
    self.bidirectional = bidirectional
  }

  /// 2 if bidirectional, else 1.
  public var directionCount: Int { bidirectional ? 2 : 1 }

  /// Throws `engine.configuration` unless every size is at least 1.
  public func validate() throws {
    // The bounds keep every later product of two sizes and a small factor inside `Int`.
    let sizes = [
      ("input_size", inputSize, 1 << 28), ("hidden_size", hiddenSize, 1 << 28),
      ("num_layers", layerCount, 1 << 16),
    ]
    for (name, size, bound) in sizes where size < 1 || size > bound {
      throw RecurrentError(
        .malformed, "engine.configuration", at: name, found: "\(name) \(size)",
        expected: size < 1 ? "\(name) must be greater than zero" : "at most \(bound)")
    }
  }

  /// Names and shapes of all parameters, in PyTorch's order.
  public var parameterShapes: [(name: String, shape: [Int])] {
    var result: [(name: String, shape: [Int])] = []
    for layer in 0..<layerCount {
      for direction in 0..<directionCount {
        let names = ParameterNames(layer: layer, direction: direction)
        let rows = cell.gateCount * hiddenSize
        result.append((names.inputWeight, [rows, layerInputSize(layer)]))
        result.append((names.hiddenWeight, [rows, hiddenSize]))
        if bias {
          result.append((names.inputBias, [rows]))
          result.append((names.hiddenBias, [rows]))
        }
      }
    }
    return result
  }

  func layerInputSize(_ layer: Int) -> Int {
    layer == 0 ? inputSize : directionCount * hiddenSize
  }
}

/// The names of one layer and direction's parameters.
struct ParameterNames {
  let inputWeight, hiddenWeight, inputBias, hiddenBias: String

  init(layer: Int, direction: Int) {
    let suffix = "_l\(layer)" + (direction == 0 ? "" : "_reverse")
    inputWeight = "weight_ih" + suffix
    hiddenWeight = "weight_hh" + suffix
    inputBias = "bias_ih" + suffix
    hiddenBias = "bias_hh" + suffix
  }
}
