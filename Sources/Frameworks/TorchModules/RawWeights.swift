// Weight dropping (AWD-LSTM, fastai) keeps the trained weight as weight_hh_l0_raw; the weight that the
// recurrent module itself holds is what dropout made of it at the last step of training, or absent:
//
//   rnn.weight_hh_l0_raw and rnn.module.weight_hh_l0          the wrapper's parameter and a stale copy
//   rnn.module.weight_hh_l0_raw                               a parameter inside the module
//
// Without dropout, which is how a model is used, the weight is the raw one.

import Containers
import Tensors

extension StateDict {
  /// The same tensors with every raw weight in the place of the weight that it stands for.
  func foldingRawWeights() throws -> StateDict {
    var targets: [Name: Name] = [:]
    var replaced: Set<Name> = []
    for entry in entries {
      guard let target = rawTarget(entry.name), !replaced.contains(target) else { continue }
      if let stale = self[target] {
        guard stale.shape == entry.tensor.shape, stale.dtype == entry.tensor.dtype else { continue }
      }
      targets[entry.name] = target
      replaced.insert(target)
    }
    if targets.isEmpty { return self }
    var raws: [Name: Name] = [:]
    for (raw, target) in targets { raws[target] = raw }
    var result = emptied { targets[$0] == nil && !replaced.contains($0) }
    for entry in entries {
      if let target = targets[entry.name] {
        result.skipped.append(
          "weight dropping of \(target): \(entry.name) is the weight without dropout"
            + (self[target] == nil ? "" : ", \(target) itself a stale copy"))
        if self[target] == nil { try result.append(target, entry.tensor) }
      } else if let raw = raws[entry.name], let tensor = self[raw] {
        try result.append(entry.name, tensor)
      } else {
        try result.append(entry.name, entry.tensor)
      }
    }
    return result
  }

  /// The weight that a raw weight stands for, in the module that has the others of its layer.
  private func rawTarget(_ name: Name) -> Name? {
    let text = name.string
    guard text.hasSuffix("_raw") else { return nil }
    let parts = text.dropLast("_raw".count).split(separator: ".", omittingEmptySubsequences: false)
    guard let weight = parts.last,
      weight.hasPrefix("weight_hh_l") || weight.hasPrefix("weight_ih_l")
    else { return nil }
    let layer = weight.dropFirst("weight_hh".count)
    for inner in [[], ["module"]] {
      let module = parts.dropLast().map(String.init) + inner
      func inside(_ tensor: String) -> Name { Name((module + [tensor]).joined(separator: ".")) }
      let other = weight.hasPrefix("weight_hh") ? "weight_ih" : "weight_hh"
      if self[inside(String(weight))] != nil || self[inside(other + layer)] != nil
        || self[inside(other + layer + "_raw")] != nil
      {
        return inside(String(weight))
      }
    }
    return nil
  }
}
