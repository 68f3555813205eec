import Tensors

extension RecurrentError.Reason {
  /// What is wrong with the value of a metadata key.
  package static func metadata(_ key: String, _ kind: RecurrentError.Kind) -> Self {
    Self("metadata.\(key)", kind)
  }
  package var isOfMetadata: Bool { family == "metadata" }

  package static let conventionInexpressible = Self("convention.inexpressible", .inexpressible)
  package static let conversionSlot = Self("conversion.slot", .fault)
  package static let metadataConnections = Self("metadata.connections", .mismatch)
  package static let metadataFormatVersion = Self("metadata.format_version", .unsupported)
  package static let metadataHead = Self("metadata.head", .mismatch)
  package static let metadataHeadReads = Self("metadata.head_reads", .mismatch)
  package static let namesFormat = Self("names.format", .damaged)
  package static let namesMissing = Self("names.missing", .mismatch)
  package static let namesShape = Self("names.shape", .mismatch)
  package static let networkBatchFirst = Self("network.batch-first", .mismatch)
  package static let networkCell = Self("network.cell", .mismatch)
  package static let networkGRUReset = Self("network.gru-reset", .mismatch)
  package static let networkHeadReads = Self("network.head-reads", .mismatch)
  package static let networkNeighbour = Self("network.neighbour", .mismatch)
  package static let networkSizes = Self("network.sizes", .mismatch)
  package static let usageConvention = Self("usage.convention", .argument)
  package static let weightsAmbiguous = Self("weights.ambiguous", .mismatch)
  package static let weightsDType = Self("weights.dtype", .mismatch)
  package static let weightsDTypeInexpressible = Self("weights.dtype", .inexpressible)
  package static let weightsExtra = Self("weights.extra", .mismatch)
  package static let weightsKind = Self("weights.kind", .mismatch)
  package static let weightsPeepholes = Self("weights.peepholes", .unsupported)
  package static let weightsUnrecognized = Self("weights.unrecognized", .mismatch)
}
