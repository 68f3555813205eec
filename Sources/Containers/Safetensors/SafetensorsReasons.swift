import Tensors

extension RecurrentError.Reason {
  package static let safetensorsAmbiguousMetadata = Self(
    "safetensors.ambiguous-metadata", .inexpressible)
  package static let safetensorsDType = Self("safetensors.dtype", .damaged)
  package static let safetensorsDTypeUnsupported = Self("safetensors.dtype", .unsupported)
  package static let safetensorsDTypeFault = Self("safetensors.dtype", .fault)
  package static let safetensorsGap = Self("safetensors.gap", .damaged)
  package static let safetensorsHeader = Self("safetensors.header", .damaged)
  package static let safetensorsHeaderLength = Self("safetensors.header-length", .damaged)
  package static let safetensorsHeaderLengthInexpressible = Self(
    "safetensors.header-length", .inexpressible)
  package static let safetensorsMetadata = Self("safetensors.metadata", .damaged)
  package static let safetensorsName = Self("safetensors.name", .damaged)
  package static let safetensorsOffsets = Self("safetensors.offsets", .damaged)
  package static let safetensorsOverlap = Self("safetensors.overlap", .damaged)
  package static let safetensorsReservedName = Self("safetensors.reserved-name", .inexpressible)
  package static let safetensorsShape = Self("safetensors.shape", .damaged)
  package static let safetensorsSize = Self("safetensors.size", .damaged)
  package static let safetensorsSizeInexpressible = Self("safetensors.size", .inexpressible)
  package static let safetensorsTrailingBytes = Self("safetensors.trailing-bytes", .damaged)
  package static let safetensorsTruncated = Self("safetensors.truncated", .damaged)
}
