import Tensors

extension RecurrentError {
  /// The exit status of a tool that ends with the error: the numbers of BSD's sysexits.h.
  ///
  /// Arrays come out of files here, so what does not fit is data, not usage.
  package var exitStatus: Int32 {
    switch kind {
    case .argument: 64
    case .array, .damaged, .mismatch, .inexpressible, .difference: 65
    case .missing: 66
    case .unsupported: 69
    case .fault: 70
    case .resources: 71
    case .output: 73
    case .inputOutput: 74
    case .changed: 75
    case .permission: 77
    }
  }
}
