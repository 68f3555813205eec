import RNNEngine
import Tensors

/// What network a file holds, or one module of it: everything that its tensors must agree with.
public struct Architecture: Sendable, Equatable {
  /// The recurrent cell.
  public var cell: Cell
  /// D, the features of an input step.
  public var inputSize: Int
  /// H, the features of the hidden state.
  public var hiddenSize: Int
  /// L, the stacked layers; 0 for an embedding or a linear layer alone.
  public var layerCount: Int
  /// Whether each layer also runs backwards in time.
  public var bidirectional: Bool
  /// Whether the layers have biases.
  public var bias: Bool
  /// Whether x and output are (N,T,·) instead of (T,N,·); weights do not depend on it.
  public var batchFirst: Bool
  /// P, the size that an LSTM's state is projected to; 0 for no projection.
  public var projSize: Int
  /// Where a GRU applies its reset gate; other cells ignore it.
  public var gruReset: GRUReset
  /// The layer that turns token ids into input vectors, where there is one.
  public var embedding: Embedding?
  /// The linear layer after the last recurrent layer.
  public var head: Head?
  /// The probability of dropout between layers, in training; weights do not depend on it.
  public var dropout = 0.0
  /// Whether the states of the first step are tensors of the network and not zeros.
  public var storesInitialState = false

  /// A table of D-wide vectors before the first recurrent layer, as `nn.Embedding`.
  public struct Embedding: Sendable, Equatable {
    /// V, the number of vectors.
    public var tokenCount: Int
    /// The token whose vector is not trained, if there is one; weights do not say.
    public var paddingIndex: Int?

    /// Describes a table of V = `tokenCount` vectors.
    package init(tokenCount: Int, paddingIndex: Int? = nil) {
      self.tokenCount = tokenCount
      self.paddingIndex = paddingIndex
    }
  }

  /// A linear layer on top: logits = output · weightᵀ + bias.
  public struct Head: Sendable, Equatable {
    /// C, the features of a logit vector.
    public var classCount: Int
    /// Whether it has a bias.
    public var bias: Bool
    /// Which results of the recurrent layers it reads.
    public var reads: HeadReads
    /// The function that the logits pass through (`softmax`); `nil` for none.
    public var activation: String?

    /// Describes a head with C = `classCount`.
    package init(
      classCount: Int, bias: Bool, reads: HeadReads = .sequence, activation: String? = nil
    ) {
      self.classCount = classCount
      self.bias = bias
      self.reads = reads
      self.activation = activation
    }
  }

  /// Describes a network; sizes as in `nn.RNN`.
  package init(
    cell: Cell = .rnnTanh, inputSize: Int, hiddenSize: Int, layerCount: Int = 1,
    bidirectional: Bool = false, bias: Bool = true, batchFirst: Bool = false, projSize: Int = 0,
    gruReset: GRUReset = .after, embedding: Embedding? = nil, head: Head? = nil
  ) {
    self.cell = cell
    self.inputSize = inputSize
    self.hiddenSize = hiddenSize
    self.layerCount = layerCount
    self.bidirectional = bidirectional
    self.bias = bias
    self.batchFirst = batchFirst
    self.projSize = projSize
    self.gruReset = gruReset
    self.embedding = embedding
    self.head = head
  }

  /// 1, or 2 when bidirectional.
  public var directionCount: Int { bidirectional ? 2 : 1 }

  /// Whether two readings of its results give the same: the last step of one direction is its final state.
  package func reads(_ one: HeadReads, sameAs other: HeadReads) -> Bool {
    one == other || (!bidirectional && one != .sequence && other != .sequence)
  }

  /// The features of the state h: P with a projection, else H.
  public var stateSize: Int { projSize > 0 ? projSize : hiddenSize }

  /// The features of the output: those of the state in each direction.
  public var outputSize: Int { directionCount * stateSize }

  /// The input features of a layer: D for the first, the output of the layer below for the others.
  package func inputSize(ofLayer layer: Int) -> Int { layer == 0 ? inputSize : outputSize }

  /// The engine's configuration of the recurrent part.
  public var configuration: RecurrentConfiguration {
    RecurrentConfiguration(
      cell: cell, inputSize: inputSize, hiddenSize: hiddenSize, layerCount: layerCount,
      bias: bias, batchFirst: batchFirst, bidirectional: bidirectional, projSize: projSize,
      gruReset: gruReset, dropout: dropout)
  }

  /// One line for people: `rnn_tanh, 2 layers, bidirectional, input 65, hidden 48, head 65`.
  public var summary: String {
    var parts: [String] = []
    if layerCount == 0 {
      if let embedding { return "embedding \(embedding.tokenCount), \(inputSize) features" }
      if let head {
        return "linear \(inputSize) -> \(head.classCount)" + (head.bias ? "" : ", no bias")
      }
    }
    if let embedding { parts.append("embedding \(embedding.tokenCount)") }
    parts += [cell.rawValue, layerCount == 1 ? "1 layer" : "\(layerCount) layers"]
    if bidirectional { parts.append("bidirectional") }
    parts += ["input \(inputSize)", "hidden \(hiddenSize)"]
    if projSize > 0 { parts.append("projection \(projSize)") }
    if cell == .gru, gruReset == .before { parts.append("reset before") }
    if !bias { parts.append("no bias") }
    if storesInitialState { parts.append("stored initial state") }
    if let head {
      parts.append("linear head \(head.classCount)")
      if head.reads != .sequence { parts.append("reads \(head.reads.rawValue)") }
      if let activation = head.activation { parts.append(activation) }
    }
    return parts.joined(separator: ", ")
  }
}
