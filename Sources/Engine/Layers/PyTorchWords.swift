import Tensors

extension RecurrentError {
  /// A mistake that PyTorch knows too, in its own sentence, so that a search for it finds what others did about it.
  init(
    _ reason: Reason, at place: String? = nil, found: String,
    asPyTorchSays words: String
  ) {
    self.init(reason, at: place, found: "\(found): \(words)")
  }
}
