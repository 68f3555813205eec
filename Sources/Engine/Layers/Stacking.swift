/// What a stack of layers does between its layers, beside dropout.
///
/// PyTorch's `nn.RNN`, `nn.LSTM` and `nn.GRU` have none of this: a network with either option has no
/// counterpart there, only a composition of modules, one recurrent module per layer. With uₖ for what
/// layer k computes from its input xₖ, a stack is
///
///     sₖ = uₖ + xₖ                        with `residual` and k ≥ 1, else sₖ = uₖ
///     xₖ₊₁ = dropout(LayerNorm(sₖ))       with `layerNorm`, else xₖ₊₁ = dropout(sₖ)
///     output = s of the last layer
///
/// The states h and c are the layers' own, untouched by either option. Both work on the features of
/// one time step and one row, so that every guarantee of the engine holds with them.
public struct Stacking: Sendable, Equatable {
  /// Whether every layer but the first adds its input to its output.
  ///
  /// Never the first, not even where the sizes agree: what a network computes does not hang on a
  /// coincidence of sizes.
  public var residual: Bool
  /// Whether the features are normalised between layers, with a weight and a bias of their own:
  /// `norm_weight_l0` and `norm_bias_l0` (D·S) stand behind the parameters of layer 0, and so on; the
  /// last layer has none.
  public var layerNorm: Bool

  /// Describes a stack; without arguments that of PyTorch's modules.
  public init(residual: Bool = false, layerNorm: Bool = false) {
    self.residual = residual
    self.layerNorm = layerNorm
  }

  /// Each layer reads the output of the one below: what PyTorch's modules do.
  public static let plain = Stacking()
}
