/// What kind of thing a module is.
public enum ModuleKind: String, Sendable {
  /// A stack of recurrent layers that runs over a sequence.
  case recurrent
  /// One step of a recurrent layer, as `nn.LSTMCell`.
  case cell
  /// A table of vectors that token ids choose from.
  case embedding
  /// A linear layer.
  case linear
  /// Anything else, with or without parameters.
  case other

  /// Whether it is a stack of recurrent layers or a cell.
  public var isRecurrent: Bool { self == .recurrent || self == .cell }
}
