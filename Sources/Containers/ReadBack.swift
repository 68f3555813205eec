import Tensors

extension StateDict {
  /// Throws `proof.read-back` unless this, read back from a file, is what was meant to be written:
  /// the same names, types, shapes, bytes and metadata; the order is the container's.
  ///
  /// The bytes of tensors in `proven` are left to whoever compares them with something else.
  package func checkReadBack(of planned: StateDict, except proven: Set<Name> = []) throws {
    func fault(_ place: String, _ found: String) -> RecurrentError {
      RecurrentError(
        .proofReadBack, at: place, found: "reading back gave \(found)",
        expected: "what was written", hint: "Please report this; the input is untouched.")
    }
    for name in names where planned[name] == nil {
      throw fault("tensor \"\(name)\"", "a tensor that was not written")
    }
    for entry in planned.entries {
      guard let tensor = self[entry.name] else {
        throw fault("tensor \"\(entry.name)\"", "no such tensor")
      }
      let isEqual =
        try proven.contains(entry.name)
        ? tensor.dtype == entry.tensor.dtype && tensor.shape == entry.tensor.shape
        : tensor.isIdentical(to: entry.tensor)
      guard isEqual else {
        throw fault("tensor \"\(entry.name)\"", "other bytes than were written")
      }
    }
    for pair in planned.metadata.pairs where metadata[pair.key] != pair.value {
      throw fault("metadata \"\(pair.key)\"", "\(metadata[pair.key] ?? "nothing")")
    }
  }
}
