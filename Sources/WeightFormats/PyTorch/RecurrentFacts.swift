import Tensors

/// What a file says about one recurrent module (or embedding) beyond its tensors, in the words of
/// PyTorch.
package struct RecurrentFacts {
  /// The prefix of the module's tensors, dot included.
  let prefix: String
  /// `mode` and whichever other hyper-parameters the file has.
  let pairs: [(key: String, value: JSON)]

  /// PyTorch's modes, and the cells that metadata calls them.
  package static let cells = [
    "RNN_TANH": "rnn_tanh", "RNN_RELU": "rnn_relu", "LSTM": "lstm", "GRU": "gru",
  ]
  static let keys = [
    "mode", "input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout",
    "bidirectional", "proj_size",
  ]
  /// What an `nn.Embedding` says; only one with a padding index has anything to say.
  static let embeddingKeys = ["num_embeddings", "embedding_dim", "padding_idx"]
  /// The metadata key that keeps the facts of every module, a JSON array of objects.
  package static let metadataKey = "torch.modules"

  private subscript(key: String) -> JSON? { pairs.first { $0.key == key }?.value }

  /// Puts the facts into metadata: all of them under `torch.modules`, and what every recurrent module agrees on
  /// under the keys that all containers share.
  static func describe(_ facts: [RecurrentFacts], in metadata: inout Metadata) {
    guard !facts.isEmpty else { return }
    metadata[metadataKey] =
      JSON.array(
        facts.map { fact in
          .object(
            [JSON.Member(key: "prefix", value: .string(fact.prefix))]
              + fact.pairs.map { JSON.Member(key: $0.key, value: $0.value) })
        }
      ).serialized()
    let recurrent = facts.filter { $0["mode"] != nil }
    func agreed(_ key: String) -> JSON? {
      guard let first = recurrent.first?[key] else { return nil }
      return recurrent.allSatisfy { $0[key] == first } ? first : nil
    }
    metadata["cell"] = agreed("mode")?.stringValue.flatMap { cells[$0] }
    metadata["batch_first"] = agreed("batch_first")?.boolValue.map { $0 ? "true" : "false" }
    metadata["dropout"] = agreed("dropout")?.doubleValue.map { "\($0)" }
  }
}
