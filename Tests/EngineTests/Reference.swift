@testable import RNNEngine

/// A cell with its options, as far as the arithmetic differs.
enum Kind: String, CaseIterable, Decodable, Sendable {
  case tanh, relu, lstm, projected, gru, resetBefore

  func configuration(
    inputSize: Int, hiddenSize: Int, layerCount: Int = 1, bias: Bool = true,
    batchFirst: Bool = false, bidirectional: Bool = false
  ) -> RecurrentConfiguration {
    let cell: Cell =
      switch self {
      case .tanh: .rnnTanh
      case .relu: .rnnRelu
      case .lstm, .projected: .lstm
      case .gru, .resetBefore: .gru
      }
    return RecurrentConfiguration(
      cell: cell, inputSize: inputSize, hiddenSize: hiddenSize, layerCount: layerCount, bias: bias,
      batchFirst: batchFirst, bidirectional: bidirectional,
      projSize: self == .projected ? hiddenSize - 1 : 0,
      gruReset: self == .resetBefore ? .before : .after)
  }
}

/// A slow transcription of the equations: one row, one time step, one unit at a time.
struct Reference {
  let rnn: RNN<Double>

  /// Runs time-major arrays; the lengths must be within bounds.
  func callAsFunction(
    _ x: NDArray<Double>, _ h0: NDArray<Double>, _ c0: NDArray<Double>?, lengths: [Int]
  ) -> (output: [Double], hN: [Double], cN: [Double]) {
    let c = rnn.configuration
    let (steps, batch) = (x.shape[0], x.shape[1])
    let (hidden, size, width) = (c.hiddenSize, c.stateSize, c.outputSize)
    var output = [Double](repeating: 0, count: steps * batch * width)
    var hN = h0.elements
    var cN = c0?.elements ?? [Double](repeating: 0, count: h0.shape[0] * batch * hidden)
    for n in 0..<batch {
      var inputs = (0..<lengths[n]).map { t in
        Array(x.elements[(t * batch + n) * c.inputSize..<(t * batch + n + 1) * c.inputSize])
      }
      for layer in 0..<c.layerCount {
        var results = [[Double]](repeating: [], count: lengths[n])
        for direction in 0..<c.directionCount {
          let row = (layer * c.directionCount + direction) * batch + n
          var h = Array(hN[row * size..<(row + 1) * size])
          var cell = Array(cN[row * hidden..<(row + 1) * hidden])
          let suffix = "_l\(layer)" + (direction == 1 ? "_reverse" : "")
          let order = Array(0..<lengths[n])
          for t in direction == 0 ? order : order.reversed() {
            (h, cell) = step(suffix, inputs[t], h, cell)
            results[t] += h
          }
          hN.replaceSubrange(row * size..<(row + 1) * size, with: h)
          cN.replaceSubrange(row * hidden..<(row + 1) * hidden, with: cell)
        }
        inputs = results
      }
      for (t, values) in inputs.enumerated() {
        output.replaceSubrange((t * batch + n) * width..<(t * batch + n + 1) * width, with: values)
      }
    }
    return (output, hN, cN)
  }

  private func step(
    _ suffix: String, _ x: [Double], _ h: [Double], _ c: [Double]
  ) -> (h: [Double], c: [Double]) {
    let hidden = rnn.configuration.hiddenSize
    func weight(_ name: String) -> [Double] { rnn.parameters[name + suffix]?.elements ?? [] }
    func product(_ w: [Double], _ v: [Double], _ bias: [Double], gate: Int) -> [Double] {
      (0..<hidden).map { i in
        let row = gate * hidden + i
        return v.indices.reduce(bias.isEmpty ? 0 : bias[row]) { $0 + w[row * v.count + $1] * v[$1] }
      }
    }
    func a(_ gate: Int) -> [Double] {
      product(weight("weight_ih"), x, weight("bias_ih"), gate: gate)
    }
    func b(_ gate: Int, _ h: [Double]) -> [Double] {
      product(weight("weight_hh"), h, weight("bias_hh"), gate: gate)
    }
    func sum(_ gate: Int) -> [Double] { zip(a(gate), b(gate, h)).map(+) }
    func sigma(_ v: [Double]) -> [Double] { v.map { 1 / (1 + Double.exp(-$0)) } }
    switch rnn.configuration.cell {
    case .rnnTanh: return (sum(0).map(Double.tanh), c)
    case .rnnRelu: return (sum(0).map { max(0, $0) }, c)
    case .lstm:
      let (i, f, g, o) = (sigma(sum(0)), sigma(sum(1)), sum(2).map(Double.tanh), sigma(sum(3)))
      let next = (0..<hidden).map { f[$0] * c[$0] + i[$0] * g[$0] }
      let m = (0..<hidden).map { o[$0] * Double.tanh(next[$0]) }
      let size = rnn.configuration.projSize
      if size == 0 { return (m, next) }
      let w = weight("weight_hr")
      return ((0..<size).map { p in m.indices.reduce(0) { $0 + w[p * hidden + $1] * m[$1] } }, next)
    case .gru:
      let (r, z) = (sigma(sum(0)), sigma(sum(1)))
      let inner: [Double]
      if rnn.configuration.gruReset == .after {
        inner = zip(r, b(2, h)).map(*)
      } else {
        inner = b(2, zip(r, h).map(*))
      }
      let n = zip(a(2), inner).map { Double.tanh($0 + $1) }
      return ((0..<hidden).map { (h[$0] - n[$0]) * z[$0] + n[$0] }, c)
    }
  }
}
