import Containers
import Conversion
import Frameworks
import Networks
import RNNEngine
import Tensors

/// Modules by name, for models that are more than one network: two heads, an encoder and a decoder, attention.
extension WeightFile {
  /// The recurrent module with a name (`encoder.rnn`); `""` is a bare one.
  ///
  /// Throws `weights.unrecognized` when there is none, and what is wrong with it when it cannot be used.
  public func recurrent<S: Scalar>(
    _ name: String, as type: S.Type = S.self, options: ReadOptions = .init()
  ) throws -> RNN<S> {
    try module(name, .recurrent, options) { try $0.model(S.self).rnn }
  }

  /// The cell with a name (`decoder.cell`), one step of one layer.
  ///
  /// Throws as ``recurrent(_:as:options:)``.
  public func cell<S: Scalar>(
    _ name: String, as type: S.Type = S.self, options: ReadOptions = .init()
  ) throws -> RecurrentCell<S> {
    let rnn = try module(name, .cell, options) { try $0.model(S.self).rnn }
    let configuration = rnn.configuration
    return try RecurrentCell(
      configuration.cell, inputSize: configuration.inputSize,
      hiddenSize: configuration.hiddenSize, bias: configuration.bias,
      gruReset: configuration.gruReset,
      parameters: rnn.parameters.renamed { String($0.dropLast("_l0".count)) })
  }

  /// The linear layer with a name; throws as ``recurrent(_:as:options:)``.
  public func linear<S: Scalar>(
    _ name: String, as type: S.Type = S.self, options: ReadOptions = .init()
  ) throws -> Linear<S> {
    try module(name, .linear, options) { try Linear(parameters: $0.parameters()) }
  }

  /// The embedding with a name; throws as ``recurrent(_:as:options:)``.
  public func embedding<S: Scalar>(
    _ name: String, as type: S.Type = S.self, options: ReadOptions = .init()
  ) throws -> Embedding<S> {
    var options = options
    options.table = name
    return try module(name, .embedding, options) {
      try Embedding(
        parameters: $0.parameters(), paddingIndex: $0.architecture.embedding?.paddingIndex)
    }
  }

  /// The numbers of any tensor by its name: of a module of another kind, such as a convolution or a normalisation.
  ///
  /// Throws `weights.no-tensor` for a name that the file does not have.
  public func array<S: Scalar>(_ name: String, as type: S.Type = S.self) throws -> NDArray<S> {
    try numbers(name) { try NDArray($0) }
  }

  /// The numbers of an integer tensor by its name.
  ///
  /// Throws `weights.no-tensor` for a name that the file does not have, `tensor.not-integer` for other numbers.
  public func array(_ name: String, as type: Int.Type) throws -> NDArray<Int> {
    try numbers(name) { try NDArray<Int>($0) }
  }

  /// The tensor with a name; throws `weights.no-tensor`.
  func tensor(named name: String) throws -> Tensor {
    guard let tensor = state[Name(name)] else {
      let names = state.entries.map(\.name.string)
      throw RecurrentError(
        .weightsNoTensor, file: file.path, at: "tensor \"\(name)\"",
        found: "no such tensor", expected: "one of the file's \(names.count)",
        hint: nearest(to: name, among: names).map { "Did you mean \"\($0)\"?" })
    }
    return tensor
  }

  private func numbers<Result>(_ name: String, _ make: (Tensor) throws -> Result) throws -> Result {
    let tensor = try tensor(named: name)
    do {
      return try make(tensor)
    } catch let error as RecurrentError {
      throw error.inFile(file.path)
    }
  }

  private func module<Result>(
    _ name: String, _ kind: ModuleKind, _ options: ReadOptions,
    _ make: (Network) throws -> Result
  ) throws -> Result {
    do {
      return try make(Network(state, module: ModuleList(state, options: options).named(name, kind)))
    } catch let error as RecurrentError {
      throw error.inFile(file.path)
    }
  }
}

extension Network {
  /// The parameters of one module under their bare names (`weight`, `bias`).
  fileprivate func parameters<S: Scalar>() throws -> Parameters<S> {
    var parameters = Parameters<S>()
    for entry in try canonical.entries {
      let text = entry.name.string
      let bare = text.lastIndex(of: ".").map { String(text[text.index(after: $0)...]) } ?? text
      parameters.append(bare, try NDArray(entry.tensor))
    }
    return parameters
  }
}
