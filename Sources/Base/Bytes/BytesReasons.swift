import Tensors

extension RecurrentError.Reason {
  package static let fileChanged = Self("file.changed", .changed)
  package static let fileClose = Self("file.close", .inputOutput)
  package static let fileDirectorySync = Self("file.directory-sync", .inputOutput)
  package static let fileFull = Self("file.full", .inputOutput)
  package static let fileMissing = Self("file.missing", .missing)
  package static let fileMode = Self("file.mode", .inputOutput)
  package static let fileNotRegular = Self("file.not-regular", .missing)
  package static let filePermission = Self("file.permission", .permission)
  package static let fileRead = Self("file.read", .inputOutput)
  package static let fileSync = Self("file.sync", .inputOutput)
  package static let fileWrite = Self("file.write", .inputOutput)
  package static let tensorNotExact = Self("tensor.not-exact", .inexpressible)
  package static let tensorNotFloating = Self("tensor.not-floating", .unsupported)
  package static let tensorNotInteger = Self("tensor.not-integer", .inexpressible)
  package static let tensorOutsideStorage = Self("tensor.outside-storage", .damaged)
  package static let tensorStrides = Self("tensor.strides", .damaged)
  package static let tensorFlowCRC = Self("tf.crc", .damaged)
}
