import Tensors

extension RecurrentError.Reason {
  package static let tensorFlowCell = Self("tf.cell", .unsupported)
  package static let tensorFlowCuDNN = Self("tf.cudnn", .unsupported)
}
