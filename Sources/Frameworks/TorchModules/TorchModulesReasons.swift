import Tensors

extension RecurrentError.Reason {
  package static let ptKey = Self("pt.key", .mismatch)
  package static let ptMaxNorm = Self("pt.max-norm", .unsupported)
  package static let ptModules = Self("pt.modules", .damaged)
  package static let ptName = Self("pt.name", .damaged)
  package static let ptNumPy = Self("pt.numpy", .unsupported)
  package static let ptObject = Self("pt.object", .unsupported)
  package static let ptParametrisation = Self("pt.parametrisation", .unsupported)
  package static let ptRoot = Self("pt.root", .unsupported)
  package static let ptTorchScript = Self("pt.torchscript", .damaged)
  package static let ptTorchScriptUnsupported = Self("pt.torchscript", .unsupported)
}
