extension RecurrentError.Reason {
  package static let faultUnexpected = Self("fault.unexpected", .fault)
  package static let fileTruncated = Self("file.truncated", .damaged)
  package static let memoryBlock = Self("memory.block", .resources)
  package static let nameDuplicate = Self("name.duplicate", .damaged)
  package static let tensorShape = Self("tensor.shape", .damaged)
  package static let tensorSize = Self("tensor.size", .array)
}
