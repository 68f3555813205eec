import RNNEngine

extension Architecture {
  /// What a model is, for files; what trains it, dropout and a padding index, goes unsaid but for the index.
  package init<S: Scalar>(_ model: Model<S>) {
    let configuration = model.rnn.configuration
    self.init(
      cell: configuration.cell, inputSize: configuration.inputSize,
      hiddenSize: configuration.hiddenSize, layerCount: configuration.layerCount,
      bidirectional: configuration.bidirectional, bias: configuration.bias,
      batchFirst: configuration.batchFirst, projSize: configuration.projSize,
      gruReset: configuration.gruReset,
      embedding: model.embedding.map {
        .init(tokenCount: $0.weight.shape[0], paddingIndex: $0.paddingIndex)
      },
      head: model.head.map {
        .init(classCount: $0.outputSize, bias: $0.bias != nil, reads: model.headReads)
      })
    storesInitialState = !model.initialState.isEmpty
  }

  /// Whether the parameters of one mean the same in the other, and so do input and output.
  ///
  /// Dropout and the padding index matter to training alone; only a GRU has a reset gate; what follows the
  /// head is not the engine's.
  package func computes(as other: Architecture) -> Bool {
    func essence(_ architecture: Architecture) -> Architecture {
      var result = architecture
      result.dropout = 0
      result.embedding?.paddingIndex = nil
      result.head?.activation = nil
      if result.cell != .gru { result.gruReset = .after }
      return result
    }
    return essence(self) == essence(other)
  }
}
