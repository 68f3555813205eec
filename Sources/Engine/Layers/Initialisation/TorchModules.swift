import Tensors

// What `torch.manual_seed(seed)` and a module's constructor give in Python.

extension Parameters {
  /// The initial weights of `nn.RNN`, `nn.LSTM` and `nn.GRU`: every parameter uniform between
  /// ±1/√hiddenSize, in the order given, biases included; bit-equal.
  ///
  /// In single and double precision these are different streams, as in PyTorch with `dtype=`; the
  /// numbers of `.double()` are single-precision ones, widened.
  package static func torchDefault(
    shapes: [(name: String, shape: [Int])], hiddenSize: Int, generator: inout TorchGenerator
  ) throws -> Parameters {
    guard hiddenSize > 0 else {
      throw RecurrentError(
        .engineHiddenSize, found: "hidden_size \(hiddenSize)",
        asPyTorchSays: "hidden_size must be greater than zero")
    }
    let bound = 1 / Double(hiddenSize).squareRoot()
    var result = Parameters()
    for (name, shape) in shapes {
      result.append(name, try generator.uniform(shape: shape, from: -bound, to: bound))
    }
    return result
  }

  /// The initial `weight` and `bias` of `nn.Linear`; bit-equal.
  package static func torchLinear(
    inputSize: Int, outputSize: Int, bias: Bool = true, generator: inout TorchGenerator
  ) throws -> Parameters {
    var result = Parameters()
    result.append(
      "weight",
      try NDArray.kaimingUniform(
        shape: [outputSize, inputSize], gain: .leakyReLU(slope: 5.0.squareRoot()),
        generator: &generator))
    if bias {
      let bound = inputSize > 0 ? 1 / Double(inputSize).squareRoot() : 0
      result.append(
        "bias", try generator.uniform(shape: [outputSize], from: -bound, to: bound))
    }
    return result
  }

  /// The initial `weight` of `nn.Embedding`: standard normal, and zero for the padding index.
  package static func torchEmbedding(
    count: Int, size: Int, paddingIndex: Int? = nil, generator: inout TorchGenerator
  ) throws -> Parameters {
    var weight: NDArray<S> = try generator.randn(shape: [count, size])
    if let paddingIndex {
      let row = paddingIndex < 0 ? count + paddingIndex : paddingIndex
      guard row >= 0, row < count else {
        throw RecurrentError(
          .enginePaddingIndex, found: "padding_idx \(paddingIndex)",
          asPyTorchSays: "Padding_idx must be within num_embeddings, \(count)")
      }
      for index in row * size..<(row + 1) * size { weight.elements[index] = 0 }
    }
    var result = Parameters()
    result.append("weight", weight)
    return result
  }

  /// Makes an LSTM remember at first: the forget gates' biases become 1 in sum.
  ///
  /// Sets the second quarter of every `bias_ih…` to 1 and of every `bias_hh…` to 0, as
  /// `unit_forget_bias` in Keras, which has one bias; other elements keep their values. Throws
  /// `engine.parameter-shape`, and changes nothing, unless every bias has four gates of `hiddenSize`.
  public mutating func setUnitForgetBias(hiddenSize: Int) throws {
    let biases = entries.filter { $0.name.hasPrefix("bias_ih") || $0.name.hasPrefix("bias_hh") }
    guard !biases.isEmpty, hiddenSize > 0 else {
      throw RecurrentError(
        .engineMissingParameter, at: "bias_ih_l0",
        found: "no biases, hidden size \(hiddenSize)", expected: "an LSTM with biases")
    }
    for (name, bias) in biases where bias.count != 4 * hiddenSize {
      throw RecurrentError(
        .engineParameterShape, at: name, found: "shape \(bias.shape)",
        expected: "\(4 * hiddenSize) elements, the four gates of an LSTM")
    }
    updateElements { name, elements in
      guard name.hasPrefix("bias_ih") || name.hasPrefix("bias_hh") else { return }
      for index in hiddenSize..<2 * hiddenSize {
        elements[index] = name.hasPrefix("bias_ih") ? 1 : 0
      }
    }
  }
}

extension RNN {
  /// Creates a network with PyTorch's initial weights, as `torch.manual_seed` and `nn.RNN(…)`.
  ///
  /// Normalisations start as `nn.LayerNorm` does, with weights of 1 and biases of 0, and draw nothing.
  ///
  /// Throws `engine.configuration` for sizes that make no sense.
  public init(_ configuration: RecurrentConfiguration, generator: inout TorchGenerator) throws {
    try configuration.validate()
    var plain = configuration
    (plain.residual, plain.layerNorm) = (false, false)
    var parameters = try Parameters<S>.torchDefault(
      shapes: plain.parameterShapes, hiddenSize: configuration.hiddenSize, generator: &generator)
    for layer in 0..<configuration.layerCount where configuration.normalises(after: layer) {
      let names = NormNames(layer: layer)
      for (name, value) in [(names.weight, 1), (names.bias, 0)] {
        let elements = [S](repeating: S(value), count: configuration.outputSize)
        parameters.append(name, NDArray(trusted: [configuration.outputSize], elements))
      }
    }
    try self.init(configuration, parameters: parameters)
  }
}

extension Embedding {
  /// Creates a table with PyTorch's initial vectors, as `torch.manual_seed` and `nn.Embedding(…)`.
  public init(
    count: Int, size: Int, paddingIndex: Int? = nil, generator: inout TorchGenerator
  ) throws {
    try self.init(
      parameters: try .torchEmbedding(
        count: count, size: size, paddingIndex: paddingIndex, generator: &generator),
      paddingIndex: paddingIndex)
  }
}

extension Linear {
  /// Creates a layer with PyTorch's initial weights, as `torch.manual_seed` and `nn.Linear(…)`.
  public init(
    inputSize: Int, outputSize: Int, bias: Bool = true, generator: inout TorchGenerator
  ) throws {
    try self.init(
      parameters: try .torchLinear(
        inputSize: inputSize, outputSize: outputSize, bias: bias, generator: &generator))
  }
}
