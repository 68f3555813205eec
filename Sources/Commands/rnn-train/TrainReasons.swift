import Tensors

extension RecurrentError.Reason {
  package static let trainLog = Self("train.log", .damaged)
  package static let trainResumeOptions = Self("train.resume-options", .argument)
}
