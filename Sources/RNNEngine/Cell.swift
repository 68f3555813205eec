/// The recurrent cells of the engine, named as PyTorch's modes in lower case.
public enum Cell: String, Sendable, CaseIterable {
  /// `h' = tanh(W_ih x + b_ih + W_hh h + b_hh)`
  case rnnTanh = "rnn_tanh"
  /// `h' = max(0, W_ih x + b_ih + W_hh h + b_hh)`
  case rnnRelu = "rnn_relu"

  /// How many blocks of `hiddenSize` rows the weights of one layer and direction hold.
  public var gateCount: Int {
    switch self {
    case .rnnTanh, .rnnRelu: 1
    }
  }
}
