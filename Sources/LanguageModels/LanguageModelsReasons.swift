import Tensors

extension RecurrentError.Reason {
  package static let trainCheckpoint = Self("train.checkpoint", .damaged)
  package static let trainDiverged = Self("train.diverged", .array)
  package static let trainEmptyText = Self("train.empty-text", .mismatch)
  package static let trainMPI = Self("train.mpi", .unsupported)
  package static let trainMPIResources = Self("train.mpi", .resources)
  package static let trainNotUTF8 = Self("train.not-utf8", .damaged)
  package static let trainOption = Self("train.option", .argument)
  package static let trainProcesses = Self("train.processes", .argument)
  package static let trainTextChanged = Self("train.text-changed", .mismatch)
  package static let trainUnknownCharacter = Self("train.unknown-character", .mismatch)
  package static let trainUnknownCharacterArgument = Self("train.unknown-character", .argument)
  package static let trainVocabulary = Self("train.vocabulary", .mismatch)
}
