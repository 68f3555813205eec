import Tensors

/// The weights of one layer and direction as the forward sweep uses them.
struct ForwardWeights<S: Scalar>: Sendable {
  /// W_ihᵀ with its gates in the order of the trace's blocks.
  let input: PackedMatrix<S>
  /// W_hhᵀ, each phase's gates by themselves.
  let hidden: [PackedMatrix<S>]
  /// W_hrᵀ, if there is a projection.
  let projection: PackedMatrix<S>?
  /// What the trace starts from: all biases, each in the blocks that its gate's products add up in.
  let bias: [S]
}

/// The weights of one layer and direction as the backward sweep uses them; the same, not transposed.
struct BackwardWeights<S: Scalar>: Sendable {
  let input: PackedMatrix<S>
  let hidden: [PackedMatrix<S>]
  let projection: PackedMatrix<S>?
}

/// The weights of a network, rearranged when they are first used; replaced when the weights are.
final class NetworkWeights<S: Scalar>: Sendable {
  private let forward: [Once<ForwardWeights<S>>]
  private let backward: [Once<BackwardWeights<S>>]

  init(_ configuration: RecurrentConfiguration) {
    let count = configuration.layerCount * configuration.directionCount
    forward = (0..<count).map { _ in Once() }
    backward = (0..<count).map { _ in Once() }
  }

  func forward(_ source: LayerParameters<S>) throws -> ForwardWeights<S> {
    try forward[source.index].get { try source.forward() }
  }

  func backward(_ source: LayerParameters<S>) throws -> BackwardWeights<S> {
    try backward[source.index].get { try source.backward() }
  }
}

/// Where the weights of one layer and direction come from.
struct LayerParameters<S: Scalar> {
  let parameters: Parameters<S>
  let configuration: RecurrentConfiguration
  let layer, direction: Int

  var index: Int { layer * configuration.directionCount + direction }
  private var names: ParameterNames { ParameterNames(layer: layer, direction: direction) }
  private var layout: CellLayout { configuration.cell.step(configuration.gruReset).layout }

  func forward() throws -> ForwardWeights<S> {
    let kernels = kernels(for: S.self)
    // Products want the summed index in rows: the stored matrices read by columns.
    let (hidden, size) = (configuration.hiddenSize, configuration.stateSize)
    let inputSize = configuration.layerInputSize(layer)
    let recurrent = try parameters.required(names.hiddenWeight).elements
    return ForwardWeights(
      input: kernels.pack(
        try inputInBlocks(), rowStride: 1, columnStride: inputSize, rows: inputSize,
        columns: layout.inputGates.count * hidden),
      hidden: layout.phases.map { phase in
        recurrent.withUnsafeBufferPointer {
          kernels.pack(
            $0, from: phase.gates.lowerBound * hidden * size, rowStride: 1, columnStride: size,
            rows: size, columns: phase.gates.count * hidden)
        }
      },
      projection: try projection().map {
        kernels.pack($0, rowStride: 1, columnStride: hidden, rows: hidden, columns: size)
      }, bias: try bias())
  }

  func backward() throws -> BackwardWeights<S> {
    let kernels = kernels(for: S.self)
    let (hidden, size) = (configuration.hiddenSize, configuration.stateSize)
    let inputSize = configuration.layerInputSize(layer)
    let recurrent = try parameters.required(names.hiddenWeight).elements
    return BackwardWeights(
      input: kernels.pack(
        try inputInBlocks(), rowStride: inputSize, columnStride: 1,
        rows: layout.inputGates.count * hidden, columns: inputSize),
      hidden: layout.phases.map { phase in
        recurrent.withUnsafeBufferPointer {
          kernels.pack(
            $0, from: phase.gates.lowerBound * hidden * size, rowStride: size, columnStride: 1,
            rows: phase.gates.count * hidden, columns: size)
        }
      },
      projection: try projection().map {
        kernels.pack($0, rowStride: hidden, columnStride: 1, rows: size, columns: hidden)
      })
  }

  private func inputInBlocks() throws -> [S] {
    try layout.toBlocks(
      parameters.required(names.inputWeight).elements,
      gateCount: configuration.hiddenSize * configuration.layerInputSize(layer))
  }

  private func projection() throws -> [S]? {
    configuration.projSize > 0 ? try parameters.required(names.projection).elements : nil
  }

  private func bias() throws -> [S] {
    let hidden = configuration.hiddenSize
    var bias = [S](repeating: 0, count: layout.blockCount * hidden)
    guard configuration.bias else { return bias }
    let inputBias = try layout.toBlocks(
      parameters.required(names.inputBias).elements, gateCount: hidden)
    bias.replaceSubrange(0..<inputBias.count, with: inputBias)
    let hiddenBias = try parameters.required(names.hiddenBias).elements
    for phase in layout.phases {
      for index in 0..<phase.gates.count * hidden {
        bias[phase.block * hidden + index] += hiddenBias[phase.gates.lowerBound * hidden + index]
      }
    }
    return bias
  }
}

extension RecurrentKernels {
  /// Packs a part of a buffer.
  fileprivate func pack(
    _ buffer: UnsafeBufferPointer<S>, from offset: Int, rowStride: Int, columnStride: Int,
    rows: Int, columns: Int
  ) -> PackedMatrix<S> {
    guard let base = buffer.baseAddress else { return PackedMatrix(count: 0) { _ in } }
    return pack(
      base + offset, rowStride: rowStride, columnStride: columnStride, rows: rows,
      columns: columns)
  }
}

extension CellLayout {
  private var isStoredOrder: Bool { inputGates == Array(inputGates.indices) }

  /// Reorders gates of `gateCount` elements each from the stored order to that of the blocks.
  func toBlocks<S>(_ stored: [S], gateCount: Int) -> [S] {
    if isStoredOrder { return stored }
    var result: [S] = []
    result.reserveCapacity(stored.count)
    // Slice by slice: the elements of joined slices are visited one by one, which took a GRU longer
    // than all the rest of a step.
    for gate in inputGates { result += stored[gate * gateCount..<(gate + 1) * gateCount] }
    return result
  }

  /// Neighbouring blocks whose gates are neighbours in the stored order too.
  var inputRuns: [(block: Int, gates: Range<Int>)] {
    var runs: [(block: Int, gates: Range<Int>)] = []
    for (block, gate) in inputGates.enumerated() {
      if let last = runs.last, last.gates.upperBound == gate {
        runs[runs.count - 1].gates = last.gates.lowerBound..<gate + 1
      } else {
        runs.append((block, gate..<gate + 1))
      }
    }
    return runs
  }
}
