import Tensors

extension RecurrentError.Reason {
  package static let outputCreate = Self("output.create", .output)
  package static let outputDanglingLink = Self("output.dangling-link", .output)
  package static let outputDirectory = Self("output.directory", .output)
  package static let outputExists = Self("output.exists", .output)
  package static let outputNotRegular = Self("output.not-regular", .output)
  package static let outputPublish = Self("output.publish", .output)
}
