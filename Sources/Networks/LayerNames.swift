/// The names that people give embeddings.
package enum EmbeddingNames {
  private static let words = [
    "embedding", "embeddings", "embed", "embeds", "emb", "embs", "embedder", "wte", "lookup",
  ]
  /// PyTorch's word language model calls its table the encoder.
  private static let whole = ["encoder", "wordembedding", "wordembeddings", "charembedding"]

  /// Whether a module's name says that it is a table of vectors.
  ///
  /// `word_emb`, `char_embeddings`, `tok_embeddings`, `src_embed`, `embedding_1` and `embed_tokens` do; `membrane` does not.
  package static func suggest(_ name: String) -> Bool {
    guard let last = name.split(whereSeparator: { $0 == "." || $0 == "/" }).last else {
      return false
    }
    var pieces: [String] = []
    var piece = ""
    for character in last {
      if character == "_" || character == "-" || character.isNumber {
        pieces.append(piece)
        piece = ""
      } else if character.isUppercase, !piece.isEmpty, piece.last?.isLowercase == true {
        pieces.append(piece)
        piece = character.lowercased()
      } else {
        piece += character.lowercased()
      }
    }
    pieces.append(piece)
    return pieces.contains { words.contains($0) } || whole.contains(last.lowercased())
  }
}

/// The names that people give linear layers on top.
package enum DenseNames {
  private static let heads: Set<String> = [
    "classifier", "head", "fc", "linear", "decoder", "output", "out", "proj", "dense", "logits",
    "readout", "lm_head", "fc_out", "out_proj", "proj_out", "output_proj", "output_projection",
    "projection_out", "hidden2tag", "hidden2out", "hidden2output", "hidden2label", "to_logits",
  ]

  /// Whether a name is one of those; numbers at its end do not count.
  package static func isHead(_ name: String) -> Bool {
    guard let last = name.split(whereSeparator: { $0 == "." || $0 == "/" }).last else {
      return false
    }
    var word = last.lowercased()
    while let character = word.last, character.isNumber || character == "_" { word.removeLast() }
    if word.hasSuffix("_layer") { word.removeLast("_layer".count) }
    return heads.contains(word)
  }
}
