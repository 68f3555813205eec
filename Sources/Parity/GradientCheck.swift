import Conversion
import Networks
import RNNEngine
import Tensors

/// Finite differences against backpropagation through time on a given network, in Double.
package struct GradientCheck: Sendable {
  /// The outcome for one parameter tensor or input.
  package struct Entry: Sendable {
    /// The canonical name (`weight_hh_l0`, `x`, `h_0`).
    package let name: String
    /// Elements compared, and elements in all; large tensors are sampled evenly.
    package let compared: Int
    /// The number of elements in all.
    package let count: Int
    /// The largest difference relative to the largest gradient of the tensor.
    package let deviation: Double
  }

  /// The bound that `passes` uses.
  package static let bound = 1e-7
  /// One entry per parameter tensor, then `x` (the vectors, where token ids come in), `h_0` and `c_0`.
  package let entries: [Entry]
  /// Whether all deviations are within ``bound``.
  package var passes: Bool { entries.allSatisfy { $0.deviation <= Self.bound } }

  /// Checks a network on probe inputs (T = 5, N = 3) with random upstream gradients.
  package init(_ network: Network, samples: Int = 400) throws {
    let model = try network.model(Double.self, batchFirst: false)
    let architecture = network.architecture
    var generator = ProbeGenerator()
    let tokens = try model.embedding.map { table in
      // Ids that repeat, and never the padding index: its vector has no gradient by definition.
      let ids = (0..<table.weight.shape[0]).filter { $0 != table.paddingIndex }
      return try NDArray(
        shape: [5, 3],
        elements: (0..<15).map { ids.isEmpty ? 0 : ids[$0 * 4 % min(7, ids.count)] })
    }
    let x =
      try tokens.map { try model.vectors(of: $0) }
      ?? generator.array([5, 3, architecture.inputSize])
    let h0 = try generator.array([
      architecture.layerCount * architecture.directionCount, 3, architecture.stateSize,
    ])
    let c0 =
      architecture.cell.hasCellState
      ? try generator.array([h0.shape[0], 3, architecture.hiddenSize]) : nil
    let (result, tape) = try model.rnn.record(x, h0: h0, c0: c0)
    let upstream = try generator.array(result.output.shape)
    let upstreamState = try generator.array(result.hN.shape)
    let upstreamCell = try result.cN.map { try generator.array($0.shape) }
    let gradients = try model.rnn.backward(
      tape, gradOutput: upstream, gradHN: upstreamState, gradCN: upstreamCell)

    func loss(
      _ rnn: RNN<Double>, _ x: NDArray<Double>, _ h0: NDArray<Double>, _ c0: NDArray<Double>?
    ) throws -> Double {
      let result = try rnn(x, h0: h0, c0: c0)
      var sum = 0.0
      for (computed, weight) in [
        (result.output, upstream), (result.hN, upstreamState),
        (result.cN ?? result.hN, upstreamCell ?? NDArray(zeros: [0])),
      ] {
        sum = zip(computed.elements, weight.elements).reduce(sum) { $0 + $1.0 * $1.1 }
      }
      return sum
    }
    var entries: [Entry] = []
    for (name, array) in model.rnn.parameters.entries {
      guard let gradient = gradients.parameters[name] else { continue }
      entries.append(
        try Self.check(name, array, gradient, samples) { changed in
          var rnn = model.rnn
          rnn.parameters[name] = changed
          return try loss(rnn, x, h0, c0)
        })
    }
    if let tokens, let table = model.embedding {
      let gradient = try table.backward(
        tokens, gradOutput: gradients.x)
      entries.append(
        try Self.check("embedding.weight", table.weight, gradient, samples) { changed in
          let vectors = try Embedding(weight: changed)(tokens)
          return try loss(model.rnn, vectors, h0, c0)
        })
    }
    entries.append(
      try Self.check("x", x, gradients.x, samples) { try loss(model.rnn, $0, h0, c0) })
    entries.append(
      try Self.check("h_0", h0, gradients.h0, samples) { try loss(model.rnn, x, $0, c0) })
    if let c0, let gradient = gradients.c0 {
      entries.append(
        try Self.check("c_0", c0, gradient, samples) { try loss(model.rnn, x, h0, $0) })
    }
    self.entries = entries
  }

  private static func check(
    _ name: String, _ array: NDArray<Double>, _ gradient: NDArray<Double>, _ samples: Int,
    _ loss: (NDArray<Double>) throws -> Double
  ) throws -> Entry {
    let stride = max(1, (array.count + samples - 1) / max(1, samples))
    let scale = gradient.elements.reduce(0) { max($0, $1.magnitude) }
    var worst = 0.0
    var compared = 0
    for index in Swift.stride(from: 0, to: array.count, by: stride) {
      // Fourth order: the truncation error is h⁴, far below the rounding error of h = 2⁻¹⁰.
      let h = 0x1p-10
      func value(_ steps: Double) throws -> Double {
        var changed = array
        changed.elements[index] += steps * h
        return try loss(changed)
      }
      let difference =
        (8 * (try value(1) - value(-1)) - (try value(2) - value(-2))) / (12 * h)
      let deviation = (difference - gradient.elements[index]).magnitude
      worst = deviation.isNaN ? .infinity : max(worst, deviation)
      compared += 1
    }
    return Entry(
      name: name, compared: compared, count: array.count,
      deviation: worst == 0 ? 0 : worst / (scale > 0 ? scale : 1))
  }
}
