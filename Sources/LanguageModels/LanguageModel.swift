import Containers
import Conversion
import Frameworks
import Networks
import RNNEngine
import Tensors

/// A recurrent network with the vocabulary that says what its tokens mean.
///
/// ```swift
/// let model = try LanguageModel<Float>(path: "char.h5")
/// let text = try model.text(after: "The ", length: 200, choice: .greedy)
/// ```
public struct LanguageModel<S: Scalar>: Sendable {
  /// The network: V logits out, and V tokens in, through an embedding or as one-hot vectors.
  public var network: Model<S>
  /// What the tokens mean.
  public let vocabulary: Vocabulary

  /// Pairs a network with its vocabulary; throws `train.vocabulary` unless their sizes agree.
  public init(_ network: Model<S>, vocabulary: Vocabulary) throws {
    let inputs = network.embedding?.weight.shape[0] ?? network.rnn.configuration.inputSize
    guard network.head?.outputSize == vocabulary.count, inputs == vocabulary.count else {
      throw RecurrentError(
        .trainVocabulary,
        found: "\(inputs) tokens in and \(network.head?.outputSize ?? 0) out",
        expected: "\(vocabulary.count), as in the vocabulary")
    }
    self.network = network
    self.vocabulary = vocabulary
  }

  /// A network with PyTorch's initial weights, drawn in the order embedding, recurrent layers, head.
  init(_ plan: TrainingPlan, vocabulary: Vocabulary) throws {
    var generator = TorchGenerator(seed: plan.seed)
    let embedded = plan.embeddingSize > 0
    let embedding =
      embedded
      ? try Embedding<S>(
        count: vocabulary.count, size: plan.embeddingSize, generator: &generator) : nil
    let rnn = try RNN<S>(
      RecurrentConfiguration(
        cell: plan.cell, inputSize: embedded ? plan.embeddingSize : vocabulary.count,
        hiddenSize: plan.hiddenSize, layerCount: plan.layerCount, dropout: plan.dropout),
      generator: &generator)
    let head = try Linear<S>(
      inputSize: plan.hiddenSize, outputSize: vocabulary.count, generator: &generator)
    try self.init(
      Model(rnn: rnn, head: head, embedding: embedding), vocabulary: vocabulary)
  }

  /// Opens a model that `rnn-train` wrote, or the better weights of one of its checkpoints.
  ///
  /// PyTorch files carry no metadata; `vocabularyFile` names a file of the same model that does. Throws
  /// `train.vocabulary` where there is no vocabulary.
  public init(path: String, vocabularyFile: String? = nil) throws {
    let state = try Self.modelState(path)
    let described = try vocabularyFile.map(Self.modelState) ?? state
    do {
      guard let text = described.metadata[Vocabulary.metadataKey] else {
        throw RecurrentError(
          .trainVocabulary, found: "no metadata \"\(Vocabulary.metadataKey)\"",
          expected: "a model of rnn-train",
          hint:
            "Name another file of the same model, such as its checkpoint, with \(.vocabularyFile).")
      }
      let cell = state.metadata["cell"] ?? described.metadata["cell"]
      var options = ReadOptions(batchFirst: false)
      options.cell = cell.flatMap(Cell.init)
      try self.init(
        Network(state, options: options).model(batchFirst: false),
        vocabulary: Vocabulary(metadata: text))
    } catch let error as RecurrentError {
      throw error.inFile(path)
    }
  }

  private static func modelState(_ path: String) throws -> StateDict {
    let state = try WeightFile(path: path).state
    guard state.metadata[TrainingCheckpoint.metadataKey] != nil else { return state }
    let best = try TrainingCheckpoint.part("best.", of: state)
    return best.count > 0 ? best : try TrainingCheckpoint.part("model.", of: state)
  }

  /// The architecture, as files describe it.
  public var architecture: Architecture { Architecture(network) }

  /// The weights in a convention, with the vocabulary among the metadata.
  public func stateDict(
    as convention: Convention = .torch, in format: WeightFormat = .hdf5
  ) throws -> StateDict {
    var state = try StateDict(
      network: network.parameterGroups, architecture, as: convention, in: format)
    if format.carriesMetadata { state.metadata[Vocabulary.metadataKey] = vocabulary.metadata }
    return state
  }

  /// Writes the model to any container, read back and compared before the file appears.
  public func write(toPath path: String, overwrite: Bool = false) throws {
    let format = try WeightFormat.forWriting(path: path)
    let state = try stateDict(
      as: format.expectedConvention.map(Convention.named) ?? .torch, in: format)
    try format.write(state, to: path, overwrite: overwrite) { written in
      try written.checkReadBack(of: state)
    }
  }

  /// Token ids as the network reads them, (T, N, D).
  func vectors(_ ids: [Int], shape: [Int]) throws -> NDArray<S> {
    network.embedding == nil
      ? try NDArray(oneHot: ids, shape: shape, classes: vocabulary.count)
      : try network.vectors(of: NDArray(shape: shape, elements: ids))
  }
}
