import Tensors

extension RecurrentError {
  /// A mistake that PyTorch knows too, in its own sentence, so that a search for it finds what others did about it.
  init(
    _ kind: Kind, _ reason: String, at place: String? = nil, found: String,
    asPyTorchSays words: String
  ) {
    self.init(kind, reason, at: place, found: "\(found): \(words)")
  }
}
