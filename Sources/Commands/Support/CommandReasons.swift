import Tensors

extension RecurrentError.Reason {
  package static let outputWrite = Self("output.write", .inputOutput)
  package static let usageCell = Self("usage.cell", .argument)
  package static let usageGRUReset = Self("usage.gru-reset", .argument)
  package static let usageHeadReads = Self("usage.head-reads", .argument)
  package static let usageYesNo = Self("usage.yes-no", .argument)
}
