import Tensors

extension RecurrentError.Reason {
  package static let ptByteOrder = Self("pt.byteorder", .damaged)
  package static let ptDType = Self("pt.dtype", .damaged)
  package static let ptDTypeUnsupported = Self("pt.dtype", .unsupported)
  package static let ptExpansion = Self("pt.expansion", .damaged)
  package static let ptLayout = Self("pt.layout", .damaged)
  package static let ptLazy = Self("pt.lazy", .unsupported)
  package static let ptLegacy = Self("pt.legacy", .damaged)
  package static let ptPickleSize = Self("pt.pickle-size", .damaged)
  package static let ptPT2 = Self("pt.pt2", .damaged)
  package static let ptPT2Unsupported = Self("pt.pt2", .unsupported)
  package static let ptStorage = Self("pt.storage", .damaged)
  package static let ptStorageSize = Self("pt.storage-size", .damaged)
  package static let ptTar = Self("pt.tar", .damaged)
  package static let ptTensor = Self("pt.tensor", .damaged)
  package static let ptTensorKind = Self("pt.tensor-kind", .unsupported)
  package static let ptTrailingBytes = Self("pt.trailing-bytes", .damaged)
  package static let ptVersion = Self("pt.version", .damaged)
  package static let ptVersionUnsupported = Self("pt.version", .unsupported)
}
