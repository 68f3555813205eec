/// What a reader of a file, or of a conversion, should know, although nothing is wrong.
package enum Remark: Sendable, Hashable {
  /// A recurrent module of an ONNX model that lies inside another graph, a loop's or a branch's.
  case insideAnotherGraph
  /// The program's forward method does not call the module.
  case notCalled
  /// The program has no forward method that can be read.
  case noForwardMethod
  /// The model returns several results.
  case results(Int)
  /// The model has several inputs.
  case inputs(Int)
  /// The model's class is its author's own, so that what it does with its layers is not in the file.
  case authorsModel
  /// Keras computes a layer in half precision under this policy.
  case mixedPrecision(policy: String, layer: String)
  /// A layer's noise, which acts in training only and is not kept.
  case noise(key: String, fraction: Double)
  /// The noise between layers that differs from layer to layer.
  case unequalNoise
  /// Arrays that reading had to rearrange, and how.
  case rearranged(String)
  /// Matrices that lie as MLX wrote them before 0.18.
  case transposedMatrices
  /// One of an LSTM's two initial states is stored and the other is not.
  case oneState(stored: String, missing: String)
  /// A key of the metadata that contradicts the file, and what the file says.
  case notBelieved(key: String, value: String, because: String)
  /// Tensors, or a module of that name, that are copied without being understood, and why.
  case copiedBlindly(module: String?, because: String)
  /// The replaced file had several names; the others keep what they had.
  case hardLinks(Int)
  /// The replaced file belonged to another user.
  case newOwner
}

extension Remark: CustomStringConvertible {
  /// One line.
  package var description: String {
    switch self {
    case .insideAnotherGraph:
      "inside another graph of the model; how it is connected is not followed"
    case .notCalled: "the program's forward method does not call it"
    case .noForwardMethod: "the program has no forward method that can be read"
    case .results(let count): "the model returns \(count) results"
    case .inputs(let count): "the model has \(count) inputs"
    case .authorsModel:
      "the model's class is its author's own: what it does with its layers is not in the file"
    case .mixedPrecision(let policy, let layer):
      "\(policy): Keras computes \(layer) in half precision; the weights are kept as they are"
    case .noise(let key, let fraction):
      "\(key) \(fraction) of the layer acts in training only, and is not kept"
    case .unequalNoise:
      "the noise between the layers differs from layer to layer; it acts in training only, and is"
        + " not kept"
    case .rearranged(let text): text
    case .transposedMatrices: "matrices lie as in MLX before 0.18, transposed"
    case .oneState(let stored, let missing):
      "the file stores \(stored) and no \(missing), which starts from zeros"
    case .notBelieved(let key, let value, let reason):
      "metadata \(key) = \(value) is not believed: \(reason)"
    case .copiedBlindly(nil, let reason):
      "tensors are copied without being understood: \(reason)"
    case .copiedBlindly(let module?, let reason):
      "\(module.isEmpty ? "the module" : module) is copied without being understood: \(reason)"
    case .hardLinks(let count):
      "the output had \(count) hard links; the others keep the old contents"
    case .newOwner: "the output belonged to another user and belongs to you now"
    }
  }
}
