// Weights that a state dict keeps in another form than the module uses them. Each form has a file of
// its own; what is exact by definition is worked out, everything else is refused module by module.

import Containers
import Tensors

extension StateDict {
  /// The same tensors with every weight in the form in which its module uses it, and a line in
  /// `skipped` for each that was worked out.
  ///
  /// Pruned weights, the raw weights of weight dropping and normalised weights are worked out; modules
  /// with spectral normalisation or another parametrisation are refused in `structure`.
  package func foldingReparametrisations() throws -> StateDict {
    try foldingPruning().foldingRawWeights().foldingWeightNorm().refusingParametrisations()
  }

  /// A copy without tensors, for rebuilding; `isKept` says which names stay.
  func emptied(keeping isKept: (Name) -> Bool) -> StateDict {
    var result = StateDict()
    result.metadata = metadata
    result.structure = structure
    result.skipped = skipped
    result.ties = ties.filter { isKept($0.key) && isKept($0.value) }
    return result
  }
}
