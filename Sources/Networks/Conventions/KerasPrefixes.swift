import RNNEngine
import Tensors

/// Keras's variables by names alone, where no configuration says what they are.
package enum KerasPrefixes {
  /// The components at the end of a prefix that say nothing about the layer.
  package static let innerComponents: Set<String> = [
    "cell", "vars", "#", "*", "*:0", "forward_layer_", "lstm_cell", "gru_cell", "simple_rnn_cell",
  ]

  /// The layer's name in a prefix: `dense` of `layers/dense/vars/#`; `nil` for names without slashes.
  package static func layerName(ofPrefix prefix: String) -> String? {
    guard prefix.contains("/") else { return nil }
    var components = prefix.split(separator: "/").map(String.init)
    while let last = components.last, innerComponents.contains(last) { components.removeLast() }
    components = components.enumerated().filter {
      $0.offset == components.count - 1 || $0.element != "layers"
    }
    .map(\.element)
    // Keras 2 names a layer's scope twice: dense/dense.
    if components.count > 1, components[components.count - 1] == components[components.count - 2] {
      components.removeLast()
    }
    return components.joined(separator: ".")
  }

  /// What Keras's layers imply beside their arrays.
  package static func refine(_ candidate: inout Candidate, _ state: StateDict) {
    // Our own metadata say what differs from the defaults; weights of Keras's own say nothing.
    let saysNothing =
      state.structure?.statesConnections != true && state.metadata["format"] != "rnn-state-dict"
    if saysNothing, candidate.kind == .linear {
      candidate.assumptions.append(.noActivation(module: candidate.name))
    }
    guard candidate.kind == .recurrent else { return }
    if candidate.architecture.cell == .gru {
      if candidate.architecture.bias {
        candidate.known.insert(.gruReset)
      } else if candidate.stated?.recurrent.gruReset == nil {
        candidate.assumptions.append(.resetAfter(module: candidate.name))
      }
    }
    if saysNothing {
      candidate.assumptions.append(
        .kerasDefaults(
          module: candidate.name, isBidirectional: candidate.architecture.bidirectional))
    }
  }
}
