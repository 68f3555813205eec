import Tensors

extension RecurrentError.Reason {
  package static let tensorFlowName = Self("tf.name", .unsupported)
  package static let tensorFlowPartitioned = Self("tf.partitioned", .unsupported)
}
