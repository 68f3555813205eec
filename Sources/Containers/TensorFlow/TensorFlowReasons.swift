import Tensors

extension RecurrentError.Reason {
  package static let tensorFlowEntry = Self("tf.entry", .damaged)
  package static let tensorFlowIndex = Self("tf.index", .damaged)
  package static let tensorFlowSnappy = Self("tf.snappy", .unsupported)
}
