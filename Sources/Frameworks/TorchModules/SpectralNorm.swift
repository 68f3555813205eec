// torch.nn.utils.spectral_norm and parametrisations of other kinds compute a weight from tensors
// that are kept in its place:
//
//   weight_orig, weight_u, weight_v (missing before PyTorch 1.1)             the old function
//   parametrizations.weight.original, parametrizations.weight.0._u, ._v       parametrizations.spectral_norm
//   parametrizations.weight.original, …                                       any other parametrisation

import Containers
import Tensors

extension StateDict {
  /// The same tensors; modules whose weights are computed from others are refused in `structure`.
  func refusingParametrisations() -> StateDict {
    var refusals: [(module: String, weight: String, isSpectral: Bool)] = []
    var seen: Set<String> = []
    for entry in entries {
      guard let (module, weight, isSpectral) = parametrised(entry.name.string),
        seen.insert(module).inserted, refusals.count < 1000
      else { continue }
      refusals.append((module, weight, isSpectral))
    }
    if refusals.isEmpty { return self }
    var result = self
    var structure = structure ?? Structure()
    for (name, weight, isSpectral) in refusals {
      let error = RecurrentError(
        .ptParametrisation, at: "module \"\(name)\"",
        found: isSpectral
          ? "\(weight) with spectral normalisation"
          : "\(weight) as the result of a parametrisation",
        expected: "the weight itself",
        hint: isSpectral
          ? "In Python, call model.eval(), remove_spectral_norm (or "
            + "parametrize.remove_parametrizations) on it, and save it again."
          : "In Python, call parametrize.remove_parametrizations on it and save it again.")
      if let index = structure.modules.firstIndex(where: { $0.name == name }) {
        structure.modules[index].refusal = error
      } else {
        structure.modules.append(
          Structure.Module(name: name, kind: .other, className: "", refusal: error))
      }
    }
    result.structure = structure
    return result
  }

  /// The module and the weight, if a name is that of a weight that others stand for.
  private func parametrised(_ text: String) -> (module: String, weight: String, isSpectral: Bool)? {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    guard let last = parts.last else { return nil }
    if last.hasSuffix("_orig") {
      let base = String(text.dropLast("_orig".count))
      guard self[Name(base)] == nil, self[Name(base + "_u")] != nil else { return nil }
      return (
        parts.dropLast().joined(separator: "."), String(last.dropLast("_orig".count)), true
      )
    }
    guard last == "original" || last == "original0", parts.count >= 3,
      parts[parts.count - 3] == "parametrizations"
    else { return nil }
    let start = parts.dropLast().joined(separator: ".")
    return (
      parts.dropLast(3).joined(separator: "."), parts[parts.count - 2],
      self[Name(start + ".0._u")] != nil
    )
  }
}
