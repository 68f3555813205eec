import Containers
import Conversion
import Frameworks
import Networks
import RNNEngine
import Tensors

/// Modules that were trained go back to their places, and the file is written with everything else that it holds.
///
/// ```swift
/// var file = try WeightFile(path: "translator.pt")
/// var encoder = try file.recurrent("encoder", as: Float.self)
/// // … training changes it …
/// try file.replace("encoder", with: encoder)
/// try file.write(toPath: "tuned.pt")
/// ```
///
/// A replacement must be the same module with other numbers. Its tensors become f32 for `Float` and f64 for `Double`, under
/// the names and in the layout of the file; names that shared a tensor with one of them do so no longer.
extension WeightFile {
  /// Puts other weights in the place of a recurrent module's; `options` are those it was read with.
  ///
  /// Throws `weights.unrecognized` for a name that no such module has, `model.changed` for a module of other sizes or another
  /// cell, `convention.inexpressible` for weights that the file's convention has no place for.
  public mutating func replace<S: Scalar>(
    _ name: String, with rnn: RNN<S>, options: ReadOptions = .init()
  ) throws {
    try replace(name, .recurrent, options, rnn.configuration, rnn.parameters)
  }

  /// Puts other weights in the place of a cell's; throws as for a recurrent module.
  public mutating func replace<S: Scalar>(
    _ name: String, with cell: RecurrentCell<S>, options: ReadOptions = .init()
  ) throws {
    try replace(
      name, .cell, options, cell.configuration, cell.parameters.renamed { $0 + "_l0" })
  }

  /// Puts other weights in the place of a linear layer's; throws as for a recurrent module.
  public mutating func replace<S: Scalar>(
    _ name: String, with linear: Linear<S>, options: ReadOptions = .init()
  ) throws {
    try replace(name, .linear, options, [Parameters(), linear.parameters]) { module in
      module.inputSize = linear.inputSize
      module.head?.classCount = linear.outputSize
      module.head?.bias = linear.bias != nil
    }
  }

  /// Puts other vectors in the place of an embedding's; throws as for a recurrent module.
  public mutating func replace<S: Scalar>(
    _ name: String, with embedding: Embedding<S>, options: ReadOptions = .init()
  ) throws {
    var options = options
    options.table = name
    let groups = [Parameters(), Parameters(), embedding.parameters]
    try replace(name, .embedding, options, groups) { module in
      module.embedding?.tokenCount = embedding.weight.shape[0]
      module.inputSize = embedding.weight.shape[1]
    }
  }

  /// Puts other numbers in the place of a floating-point tensor's, whatever module it belongs to.
  ///
  /// Throws `weights.no-tensor` for a name that the file does not have, `weights.shape` for numbers of another kind or
  /// shape.
  public mutating func replace<S: Scalar>(_ name: String, with array: NDArray<S>) throws {
    let tensor = try tensor(named: name)
    guard tensor.dtype.isFloatingPoint, tensor.shape == array.shape else {
      throw RecurrentError(
        .weightsShape, file: file.path, at: "tensor \"\(name)\"",
        found: "floating-point numbers of shape \(array.shape)",
        expected: "\(tensor.dtype.rawValue), shape \(tensor.shape)")
    }
    var changed = StateDict()
    try changed.append(Name(name), array.tensor)
    state = try state.replacing(changed)
  }

  /// Writes every tensor and all metadata to any container, read back and compared before the file appears.
  ///
  /// `convention` defaults to the container's, or else the one that was read: a Keras model in `.h5` stays Keras's when
  /// `convention` says so. `options` say what the file does not. Throws
  /// `output.exists` for a file that is there, `conversion.not-one-network` where the container holds one network and the
  /// file is more.
  public func write(
    toPath path: String, convention: Convention? = nil, options: ReadOptions = .init(),
    overwrite: Bool = false
  ) throws {
    let output = try WeightFormat.forWriting(path: path, as: convention)
    let state = try StateDict(
      rewriting: state, of: format, options: options, as: convention, in: output)
    try output.write(proven: state, to: path, overwrite: overwrite)
  }

  private mutating func replace<S: Scalar>(
    _ name: String, _ kind: ModuleKind, _ options: ReadOptions,
    _ configuration: RecurrentConfiguration, _ parameters: Parameters<S>
  ) throws {
    try configuration.checkIsPlain()
    // Parameters that a program replaced are checked where they are used, so here too.
    let rnn = try RNN(configuration, parameters: parameters)
    let now = try Architecture(Model(rnn: rnn))
    try replace(name, kind, options, [rnn.parameters]) { module in
      let file = module
      module = now
      // The caller's affairs, which weights do not depend on.
      (module.batchFirst, module.storesInitialState) = (file.batchFirst, file.storesInitialState)
    }
  }

  private mutating func replace<S: Scalar>(
    _ name: String, _ kind: ModuleKind, _ options: ReadOptions, _ groups: [Parameters<S>],
    _ describe: (inout Architecture) -> Void
  ) throws {
    do {
      let module = try ModuleList(state, options: options).named(name, kind)
      var now = module.architecture
      describe(&now)
      guard now.computes(as: module.architecture) else {
        throw RecurrentError(
          .modelChanged, at: "module \"\(name)\"",
          found: "another module: \(now.summary)",
          expected: "the file's: \(module.architecture.summary)")
      }
      state = try state.replacing(
        StateDict(canonical: groups, architecture: module.architecture, as: module.tensors))
    } catch let error as RecurrentError {
      throw error.inFile(file.path)
    }
  }
}

extension RecurrentConfiguration {
  /// Throws `convention.inexpressible` for what no file of weights can say.
  func checkIsPlain() throws {
    guard !residual, !layerNorm else {
      throw RecurrentError(
        .conventionInexpressible,
        found: "residual connections or normalisations between layers",
        expected: "layers that read each other's output, as in PyTorch's modules")
    }
  }
}
