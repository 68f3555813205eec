import Tensors

extension RecurrentError.Reason {
  package static let modelChanged = Self("model.changed", .array)
  package static let usageURL = Self("usage.url", .argument)
  package static let weightsNoTensor = Self("weights.no-tensor", .mismatch)
}
