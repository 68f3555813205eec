import Containers
import Tensors

// Layers that take one step or the final states of a recurrent layer and do nothing else:
//   y[:, -1, :]                          GetItem, its key as the second argument: [slice, -1, slice]
//   Concatenate()([forward_h, backward_h]) of the results of a Bidirectional layer with return_state

extension KerasFlow {
  /// What a layer picks of a recurrent layer's results.
  struct Selection {
    /// The recurrent layer.
    let layer: Int
    let reads: HeadReads
  }

  /// The selection that a layer is; `nil` for every other layer.
  func selection(of index: Int) -> Selection? {
    let layer = graph.layers[index]
    guard layer.uses == 1, !layer.isCustom, !layer.isDistributed, let call = layer.call,
      call.keywords.isEmpty
    else { return nil }
    switch layer.className {
    case "GetItem": return lastStep(call)
    case "Concatenate": return finalStates(call, axis: layer.config["axis"]?.intValue ?? -1)
    default: return nil
    }
  }

  private func lastStep(_ call: KerasGraph.Call) -> Selection? {
    guard let key = call.arguments.dropFirst().first?.arrayValue, (2...3).contains(key.count),
      Self.isWhole(key[0]), key[1].intValue == -1, key.dropFirst(2).allSatisfy(Self.isWhole),
      case .output(let below, 0)? = call.inputs.first.map(source),
      let recurrent = roles[below].recurrent, recurrent.returnsSequences,
      recurrent.recurrent.batchFirst == true
    else { return nil }
    return Selection(layer: below, reads: .last)
  }

  /// `:`, a slice without bounds.
  private static func isWhole(_ key: JSON) -> Bool {
    guard key["class_name"]?.stringValue == "__slice__", let config = key["config"] else {
      return false
    }
    return ["start", "stop", "step"].allSatisfy { [nil, .null].contains(config[$0]) }
  }

  private func finalStates(_ call: KerasGraph.Call, axis: Int) -> Selection? {
    let sources = call.inputs.map(source)
    guard sources.count == 2, axis == -1 || axis == 1,
      case .output(let below, 1) = sources[0], case .output(below, let second) = sources[1],
      let recurrent = roles[below].recurrent, recurrent.isBidirectional
    else { return nil }
    // Results are the output, then the states of one direction, then those of the other.
    let states = recurrent.recurrent.cell == "lstm" ? 2 : 1
    return second == 1 + states ? Selection(layer: below, reads: .final) : nil
  }
}
