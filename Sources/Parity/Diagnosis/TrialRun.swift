import RNNEngine
import Tensors

/// What a trial computes, time first.
struct TrialResult<R: Real> {
  var output: [R]
  var hN: [R]
  var cN: [R]
  var logits: [R]
  /// Every step's state of every layer and direction: (T, L·D, N, S).
  var states: [R]
}

extension Trial {
  /// Whether the input, the states and the lengths fit each other; hypotheses may tear them apart.
  var isConsistent: Bool {
    x.count == steps * batch * configuration.inputSize && steps > 0 && batch > 0
      && h0.map { $0.count == blockCount * batch * configuration.stateSize } ?? true
      && c0.map { $0.count == blockCount * batch * configuration.hiddenSize } ?? true
      && lengths.map { $0.count == batch && $0.allSatisfy { $0 > 0 && $0 <= steps } } ?? true
  }

  /// Runs the network; `nil` where the hypothesis does not fit its own sizes.
  @_specialize(where R == Double)
  @_specialize(where R == Dual)
  func run() -> TrialResult<R>? {
    let (steps, batch) = (steps, batch)
    let size = configuration.stateSize
    let width = directions * size
    guard isConsistent else { return nil }
    var input = timeMajor(x, configuration.inputSize)
    var result = TrialResult<R>(output: [], hN: [], cN: [], logits: [], states: [])
    result.states = [R](repeating: R(0), count: steps * blockCount * batch * size)
    var ends = [R](repeating: R(0), count: blockCount * batch * size)
    for layer in 0..<configuration.layerCount {
      var output = [R](repeating: R(0), count: steps * batch * width)
      for direction in 0..<directions {
        let block = layer * directions + direction
        sweep(block, input, into: &output, &result)
      }
      for direction in 0..<directions {
        let block = layer * directions + direction
        for row in 0..<batch {
          let end = (lengths?[row] ?? steps) - 1
          for unit in 0..<size {
            ends[(block * batch + row) * size + unit] =
              output[(end * batch + row) * width + direction * size + unit]
          }
        }
      }
      if options.reverseFirst, directions == 2 { output = exchangingHalves(output) }
      input = output
    }
    if options.statesAtOutputEnd { result.hN = ends }
    result.output = input
    if hasHead { result.logits = logits(result) }
    if options.returnsReverseFirst, directions == 2 {
      result.output = exchangingHalves(result.output)
    }
    if options.turnsOutput {
      result.output = turned(result.output, width)
      if options.reads == .sequence, hasHead { result.logits = turned(result.logits, classCount) }
    }
    reorderStates(&result)
    return result
  }

  /// One layer and direction through time.
  private func sweep(
    _ block: Int, _ input: [R], into output: inout [R], _ result: inout TrialResult<R>
  ) {
    let (steps, batch, gates) = (steps, batch, gateCount)
    let (hidden, size, inputSize) = (
      configuration.hiddenSize, configuration.stateSize, inputSize(ofBlock: block)
    )
    let (direction, width) = (block % directions, directions * size)
    let base = block * 5
    let (wi, wh, wr) = (weights[base], weights[base + 1], weights[base + 4])
    var (bi, bh) = (weights[base + 2], weights[base + 3])
    if bi.isEmpty { bi = [R](repeating: R(0), count: gates * hidden) }
    if bh.isEmpty { bh = [R](repeating: R(0), count: gates * hidden) }
    var (a, b) = (bi, bh)
    var memory = [R](repeating: R(0), count: hidden)
    var gated = memory
    let isCarrying = configuration.cell.hasCellState
    for row in 0..<batch {
      let length = lengths?[row] ?? steps
      let runs =
        options.runsThroughPadding || (direction == 1 && options.reverseStartsInPadding)
        ? steps : length
      let start = (block * batch + row)
      var h =
        h0.map { Array($0[start * size..<(start + 1) * size]) }
        ?? [R](repeating: R(0), count: size)
      var c =
        c0.map { Array($0[start * hidden..<(start + 1) * hidden]) }
        ?? [R](repeating: R(0), count: hidden)
      for k in 0..<runs {
        let t = direction == 0 || options.reverse == .forwards ? k : runs - 1 - k
        multiply(wi, input, from: (t * batch + row) * inputSize, bi, into: &a, 0..<gates * hidden)
        let isBefore = configuration.cell == .gru && options.reset == .before
        multiply(wh, h, from: 0, bh, into: &b, 0..<(isBefore ? 2 : gates) * hidden)
        switch configuration.cell {
        case .rnnTanh, .rnnRelu:
          for u in 0..<hidden { h[u] = options.state(a[u] + b[u]) }
        case .gru:
          if isBefore {
            for u in 0..<hidden { gated[u] = options.gates(a[u] + b[u]) * h[u] }
            multiply(wh, gated, from: 0, bh, into: &b, 2 * hidden..<3 * hidden)
          }
          for u in 0..<hidden {
            let z = options.gates(a[hidden + u] + b[hidden + u])
            let n: R
            if isBefore {
              n = options.state(a[2 * hidden + u] + b[2 * hidden + u])
            } else {
              let r = options.gates(a[u] + b[u])
              n = options.state(a[2 * hidden + u] + r * b[2 * hidden + u])
            }
            h[u] = (h[u] - n) * z + n
          }
        case .lstm:
          for u in 0..<hidden {
            let i = options.gates(a[u] + b[u])
            let f = options.gates(a[hidden + u] + b[hidden + u])
            let g = options.state(a[2 * hidden + u] + b[2 * hidden + u])
            let o = options.gates(a[3 * hidden + u] + b[3 * hidden + u])
            c[u] = f * c[u] + i * g
            memory[u] = o * options.memory(c[u])
          }
          if wr.isEmpty {
            h = memory
          } else {
            multiply(wr, memory, from: 0, nil, into: &h, 0..<size)
          }
        }
        let place = options.reverse == .notTurnedBack && direction == 1 ? k : t
        guard place < length else { continue }
        let target = (place * batch + row) * width + direction * size
        let state = ((place * blockCount + block) * batch + row) * size
        for u in 0..<size {
          output[target + u] = h[u]
          result.states[state + u] = h[u]
        }
      }
      result.hN += h
      if isCarrying { result.cN += c }
    }
  }

  /// into[rows] = bias + matrix · vector.
  @inline(__always)
  private func multiply(
    _ matrix: [R], _ vector: [R], from start: Int, _ bias: [R]?, into result: inout [R],
    _ rows: Range<Int>
  ) {
    guard !rows.isEmpty else { return }
    let columns = matrix.count / max(1, bias?.count ?? rows.count)
    matrix.withUnsafeBufferPointer { m in
      vector.withUnsafeBufferPointer { v in
        for row in rows {
          // Four sums at a time: one would wait for itself.
          let from = row &* columns
          var (s0, s1, s2, s3) = (bias?[row] ?? R(0), R(0), R(0), R(0))
          var k = 0
          while k &+ 3 < columns {
            s0 = s0 + m[from &+ k] * v[start &+ k]
            s1 = s1 + m[from &+ k &+ 1] * v[start &+ k &+ 1]
            s2 = s2 + m[from &+ k &+ 2] * v[start &+ k &+ 2]
            s3 = s3 + m[from &+ k &+ 3] * v[start &+ k &+ 3]
            k &+= 4
          }
          while k < columns {
            s0 = s0 + m[from &+ k] * v[start &+ k]
            k &+= 1
          }
          let sum = (s0 + s1) + (s2 + s3)
          result[row] = sum
        }
      }
    }
  }

  /// Every row's last step of a sequence, as the options say which that is.
  private func lastSteps(of sequence: [R], _ width: Int) -> [R] {
    (0..<batch).flatMap { row in
      let step =
        switch options.lastStep {
        case .valid: (lengths?[row] ?? steps) - 1
        case .padded: steps - 1
        case .first: 0
        }
      let start = (step * batch + row) * width
      return sequence[start..<start + width]
    }
  }

  private func logits(_ result: TrialResult<R>) -> [R] {
    let width = configuration.outputSize
    var read: [R] = []
    switch options.reads {
    case .sequence: read = result.output
    case .last: read = lastSteps(of: result.output, width)
    case .final:
      let (size, last) = (configuration.stateSize, configuration.layerCount - 1)
      for row in 0..<batch {
        for direction in 0..<directions {
          let start = ((last * directions + direction) * batch + row) * size
          read += result.hN[start..<start + size]
        }
      }
    }
    let bias = weights[headBias]
    var logits = [R](repeating: R(0), count: read.count / width * classCount)
    var product = [R](repeating: R(0), count: classCount)
    let zeros = product
    for row in 0..<read.count / width {
      multiply(
        weights[headWeight], read, from: row * width, bias.isEmpty ? zeros : bias, into: &product,
        0..<classCount)
      logits.replaceSubrange(row * classCount..<(row + 1) * classCount, with: product)
    }
    return logits
  }

  private func exchangingHalves(_ output: [R]) -> [R] {
    let size = configuration.stateSize
    return output.indices.map { index in
      let unit = index % (2 * size)
      return output[index - unit + (unit + size) % (2 * size)]
    }
  }

  /// From the last valid step to the first.
  private func turned(_ rows: [R], _ width: Int) -> [R] {
    var result = rows
    for step in 0..<steps {
      for row in 0..<batch {
        let length = lengths?[row] ?? steps
        guard step < length else { continue }
        let (from, to) = ((step * batch + row) * width, ((length - 1 - step) * batch + row) * width)
        for unit in 0..<width { result[to + unit] = rows[from + unit] }
      }
    }
    return result
  }

  private func reorderStates(_ result: inout TrialResult<R>) {
    guard options.statesByDirection || options.statesLastLayerFirst else { return }
    let layers = configuration.layerCount
    func reordered(_ states: [R]) -> [R] {
      let size = states.count / blockCount
      return (0..<blockCount).flatMap { place -> ArraySlice<R> in
        let block =
          options.statesByDirection
          ? place % layers * directions + place / layers
          : (layers - 1 - place / directions) * directions + place % directions
        return states[block * size..<(block + 1) * size]
      }
    }
    result.hN = reordered(result.hN)
    if !result.cN.isEmpty { result.cN = reordered(result.cN) }
  }

  /// From the caller's order to time first.
  func timeMajor(_ rows: [R], _ width: Int) -> [R] {
    timeAxis == 0 ? rows : Self.exchanged(rows, batch, steps, width)
  }

  static func exchanged(_ rows: [R], _ outer: Int, _ inner: Int, _ width: Int) -> [R] {
    var result: [R] = []
    result.reserveCapacity(rows.count)
    for b in 0..<inner {
      for a in 0..<outer {
        let start = (a * inner + b) * width
        result += rows[start..<start + width]
      }
    }
    return result
  }

  /// A result under a fixture's name, in the caller's order; `axes` of a tensor of logits are those wanted.
  func tensor(_ name: String, of result: TrialResult<R>, axes: Int) -> (shape: [Int], [R])? {
    func sequence(_ rows: [R], _ width: Int) -> (shape: [Int], [R]) {
      guard isBatched else { return ([steps, width], rows) }
      let isBatchFirst = (timeAxis == 1) != options.exchangesOutput
      return isBatchFirst
        ? ([batch, steps, width], Self.exchanged(rows, steps, batch, width))
        : ([steps, batch, width], rows)
    }
    func states(_ rows: [R], _ width: Int) -> (shape: [Int], [R]) {
      (isBatched ? [blockCount, batch, width] : [blockCount, width], rows)
    }
    switch name {
    case "output": return sequence(result.output, configuration.outputSize)
    case "h_n": return states(result.hN, configuration.stateSize)
    case "c_n":
      return configuration.cell.hasCellState ? states(result.cN, configuration.hiddenSize) : nil
    case "states/h":
      return (
        [steps, blockCount] + (isBatched ? [batch] : []) + [configuration.stateSize], result.states
      )
    case "logits":
      guard hasHead else { return nil }
      guard options.reads == .sequence else {
        return (isBatched ? [batch, classCount] : [classCount], result.logits)
      }
      guard axes < xShape.count else { return sequence(result.logits, classCount) }
      return (
        isBatched ? [batch, classCount] : [classCount], lastSteps(of: result.logits, classCount)
      )
    default: return nil
    }
  }
}
