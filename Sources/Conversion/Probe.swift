import Networks
import RNNEngine
import Tensors

/// Runs two networks on the same inputs and compares what comes out, forward and backward.
///
/// This is the proof of a conversion that changes the convention, where bytes cannot be compared.
package struct Probe: Sendable {
  /// The largest difference of outputs, relative to the largest output (or to 1, if that is more).
  package let forward: Double
  /// The largest difference of gradients, relative to each gradient tensor's largest magnitude.
  package let gradients: Double

  /// Compares two networks of the same architecture in Double.
  package init(_ first: Network, _ second: Network) throws {
    let lhs = try first.model(Double.self, batchFirst: false)
    let rhs = try second.model(Double.self, batchFirst: false)
    let architecture = first.architecture
    // All sizes differ, so that no transposition can hide.
    let (steps, rows) = (7, 3)
    var generator = ProbeGenerator()
    let x = try generator.array([steps, rows, architecture.inputSize])
    let h0 = try generator.array([
      architecture.layerCount * architecture.directionCount, rows, architecture.stateSize,
    ])
    let c0 =
      architecture.cell.hasCellState
      ? try generator.array([h0.shape[0], rows, architecture.hiddenSize]) : nil
    let (a, tapeA) = try lhs.rnn.record(x, h0: h0, c0: c0)
    let (b, tapeB) = try rhs.rnn.record(x, h0: h0, c0: c0)
    var forward = max(
      Self.deviation(a.output, b.output, floor: 1), Self.deviation(a.hN, b.hN, floor: 1))
    if let left = a.cN, let right = b.cN {
      forward = max(forward, Self.deviation(left, right, floor: 1))
    }
    let upstream = try generator.array(a.output.shape)
    let upstreamState = try generator.array(a.hN.shape)
    let upstreamCell = try a.cN.map { try generator.array($0.shape) }
    let ga = try lhs.rnn.backward(
      tapeA, gradOutput: upstream, gradHN: upstreamState, gradCN: upstreamCell)
    let gb = try rhs.rnn.backward(
      tapeB, gradOutput: upstream, gradHN: upstreamState, gradCN: upstreamCell)
    var gradients = max(Self.deviation(ga.x, gb.x), Self.deviation(ga.h0, gb.h0))
    if let left = ga.c0, let right = gb.c0 {
      gradients = max(gradients, Self.deviation(left, right))
    }
    for name in ga.parameters.names {
      guard let left = ga.parameters[name], let right = gb.parameters[name] else { continue }
      gradients = max(gradients, Self.deviation(left, right))
    }
    if let left = lhs.embedding, let right = rhs.embedding {
      // The table enters and leaves unchanged: its vectors and their gradients are its own rows.
      forward = max(forward, Self.deviation(left.weight, right.weight))
    }
    if let headA = lhs.head, let headB = rhs.head {
      let la = try headA(a.output)
      forward = max(forward, Self.deviation(la, try headB(b.output), floor: 1))
      let up = try generator.array(la.shape)
      let ha = try headA.backward(a.output, gradOutput: up)
      let hb = try headB.backward(b.output, gradOutput: up)
      gradients = max(gradients, Self.deviation(ha.x, hb.x), Self.deviation(ha.weight, hb.weight))
    }
    self.forward = forward
    self.gradients = gradients
  }

  /// Whether both deviations are within what one rounding of the parameters' type explains.
  package func passes(for dtype: DType, exact: Bool) -> Bool {
    if exact { return forward == 0 && gradients == 0 }
    let bound: Double =
      switch dtype {
      case .f64: 1e-11
      case .f32: 1e-5
      case .f16: 2e-2
      default: 1e-1
      }
    // Written so that NaN fails.
    return forward <= bound && gradients <= bound
  }

  private static func deviation(
    _ lhs: NDArray<Double>, _ rhs: NDArray<Double>, floor: Double = 0
  ) -> Double {
    guard lhs.shape == rhs.shape else { return .infinity }
    var scale = floor
    var worst = 0.0
    for (a, b) in zip(lhs.elements, rhs.elements) {
      // The same NaN or infinity on both sides is agreement, not a difference.
      if a == b || (a.isNaN && b.isNaN) { continue }
      let difference = abs(a - b)
      worst = difference.isNaN ? .infinity : max(worst, difference)
      scale = max(scale, abs(a), abs(b))
    }
    return worst == 0 ? 0 : worst / (scale > 0 ? scale : 1)
  }
}

/// Probe inputs: SplitMix64, uniform in (−1, 1), the same on every machine.
package struct ProbeGenerator: Sendable {
  private var state: UInt64

  /// Starts a sequence.
  package init(seed: UInt64 = 0x5EED_0F_A_9B0BE) { state = seed }

  /// The next numbers, in an array of the shape given.
  package mutating func array(_ shape: [Int]) throws -> NDArray<Double> {
    let count = try elementCount(of: shape)
    return try NDArray(shape: shape, elements: (0..<count).map { _ in next() })
  }

  /// The numbers from 0 to below a count, in a random order.
  package mutating func order(of count: Int) -> [Int] {
    let keys = (0..<count).map { _ in next() }
    return (0..<count).sorted { (keys[$0], $0) < (keys[$1], $1) }
  }

  private mutating func next() -> Double {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    z ^= z >> 31
    return Double(z >> 11) * 0x1p-52 - 1
  }
}
