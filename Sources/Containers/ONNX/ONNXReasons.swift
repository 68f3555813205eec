import Tensors

extension RecurrentError.Reason {
  package static let onnxExternalData = Self("onnx.external-data", .damaged)
  package static let onnxExternalMissing = Self("onnx.external-missing", .missing)
  package static let onnxExternalOverlap = Self("onnx.external-overlap", .damaged)
  package static let onnxExternalPath = Self("onnx.external-path", .damaged)
  package static let onnxExternalSize = Self("onnx.external-size", .damaged)
  package static let onnxNoGraph = Self("onnx.no-graph", .damaged)
  package static let onnxNoOperators = Self("onnx.no-operators", .damaged)
  package static let onnxRank = Self("onnx.rank", .unsupported)
  package static let onnxTensorSize = Self("onnx.tensor-size", .damaged)
  package static let onnxTwoGraphs = Self("onnx.two-graphs", .damaged)
  package static let onnxTypedData = Self("onnx.typed-data", .damaged)
  package static let onnxTypedLimit = Self("onnx.typed-limit", .unsupported)
}
