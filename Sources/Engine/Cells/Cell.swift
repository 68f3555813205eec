/// The recurrent cells of the engine, named as PyTorch's modes in lower case.
public enum Cell: String, Sendable, CaseIterable {
  /// `h' = tanh(W_ih x + b_ih + W_hh h + b_hh)`
  case rnnTanh = "rnn_tanh"
  /// `h' = max(0, W_ih x + b_ih + W_hh h + b_hh)`
  case rnnRelu = "rnn_relu"
  /// Long short-term memory; the gates are stored in the order i, f, g, o.
  case lstm = "lstm"
  /// The gated recurrent unit; the gates are stored in the order r, z, n.
  case gru = "gru"

  /// How many blocks of `hiddenSize` rows the weights of one layer and direction hold.
  public var gateCount: Int { step(.after).layout.gateCount }

  /// Whether the cell carries a second state, c, beside h.
  public var hasCellState: Bool { step(.after).layout.hasCellState }

  /// What happens to each unit after the products; a new cell is one file in Cells/ and one line here.
  func step(_ reset: GRUReset) -> any CellStep.Type {
    switch self {
    case .rnnTanh: ElmanStep<TanhActivation>.self
    case .rnnRelu: ElmanStep<ReluActivation>.self
    case .lstm: LSTMStep.self
    case .gru: reset == .after ? GRUStep.self : ResetBeforeGRUStep.self
    }
  }
}

/// Where a GRU applies its reset gate r.
public enum GRUReset: String, Sendable, CaseIterable {
  /// After the product: `n = tanh(W_in x + b_in + r ⊙ (W_hn h + b_hn))`, as PyTorch and cuDNN.
  case after
  /// Before it: `n = tanh(W_in x + b_in + W_hn (r ⊙ h) + b_hn)`, as ONNX by default and the first paper.
  case before
}
