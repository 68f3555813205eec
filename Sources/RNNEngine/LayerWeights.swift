import Tensors

/// The weights of one layer and direction, as the sweeps use them.
struct LayerWeights<S: Scalar> {
  /// W_ih with its gates in the order of the trace's blocks.
  let input: [S]
  /// W_hh and W_hr as they are stored; the latter is empty without a projection.
  let hidden, projection: [S]
  /// What the trace starts from: all biases, each in the blocks that its gate's products add up in.
  let bias: [S]

  init(
    _ parameters: Parameters<S>, _ configuration: RecurrentConfiguration, layer: Int,
    direction: Int
  ) throws {
    let names = ParameterNames(layer: layer, direction: direction)
    func find(_ name: String) throws -> [S] { try parameters.required(name).elements }
    let layout = configuration.cell.step(configuration.gruReset).layout
    let hiddenSize = configuration.hiddenSize
    input = layout.toBlocks(
      try find(names.inputWeight), gateCount: hiddenSize * configuration.layerInputSize(layer))
    hidden = try find(names.hiddenWeight)
    projection = configuration.projSize > 0 ? try find(names.projection) : []
    var bias = [S](repeating: 0, count: layout.blockCount * hiddenSize)
    if configuration.bias {
      let inputBias = layout.toBlocks(try find(names.inputBias), gateCount: hiddenSize)
      bias.replaceSubrange(0..<inputBias.count, with: inputBias)
      let hiddenBias = try find(names.hiddenBias)
      for phase in layout.phases {
        for index in 0..<phase.gates.count * hiddenSize {
          bias[phase.block * hiddenSize + index] +=
            hiddenBias[phase.gates.lowerBound * hiddenSize + index]
        }
      }
    }
    self.bias = bias
  }

  /// W_hh packed for the sweep, each phase's gates by themselves.
  func packedHidden(_ sweep: Sweep, _ kernels: any RecurrentKernels<S>) -> [S] {
    sweep.layout.phases.flatMap { phase in
      let size = sweep.hiddenSize * sweep.stateSize
      let range = phase.gates.lowerBound * size..<phase.gates.upperBound * size
      return kernels.pack(
        hidden[range], rows: phase.gates.count * sweep.hiddenSize, columns: sweep.stateSize)
    }
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

  /// Undoes `toBlocks`.
  func toStored<S>(_ blocks: [S], gateCount: Int) -> [S] {
    if isStoredOrder { return blocks }
    var result = blocks
    for (block, gate) in inputGates.enumerated() {
      result.replaceSubrange(
        gate * gateCount..<(gate + 1) * gateCount,
        with: blocks[block * gateCount..<(block + 1) * gateCount])
    }
    return result
  }
}
