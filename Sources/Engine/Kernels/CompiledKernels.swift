import CKernels
import HostSystem

/// The kernels of `CKernels`, for one instruction set.
struct CompiledKernels<S: Scalar>: RecurrentKernels, @unchecked Sendable {
  /// A constant of the program.
  private let table: UnsafePointer<ck_kernels>
  private var divides = true

  var undivided: Self {
    var kernels = self
    kernels.divides = false
    return kernels
  }

  /// The kernels with that name ("avx512", "avx2", "sse2", "neon"), or the best; `nil` where the
  /// processor has none.
  init?(named name: String? = nil) {
    guard let table = ck_find(MemoryLayout<S>.size, name) else { return nil }
    self.table = table
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  func pack(
    _ matrix: UnsafePointer<S>, rowStride: Int, columnStride: Int, rows: Int, columns: Int
  ) -> PackedMatrix<S> {
    PackedMatrix(count: table.pointee.packed_count(rows, columns)) {
      table.pointee.pack(matrix, rowStride, columnStride, rows, columns, $0)
    }
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  func project(
    _ input: UnsafePointer<S>, _ block: Block, weight: PackedMatrix<S>, bias: UnsafePointer<S>,
    width: Int, into result: UnsafeMutablePointer<S>, stride: Int, backwards: Bool
  ) {
    inParallel(block.rows, grain: grain(block.columns * width)) { rows in
      // Blocks beyond `width` start from the bias alone.
      for row in stride > width ? rows : 0..<0 {
        (result + row &* stride + width).update(from: bias + width, count: stride - width)
      }
      table.pointee.product(
        input + (block.offset + rows.lowerBound * block.stride), block.stride, rows.count,
        block.columns, weight.elements, width, bias, result + rows.lowerBound * stride, stride,
        backwards ? 1 : 0)
    }
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  func sweepForward(_ sweep: Sweep, steps: Range<Int>, _ buffers: ForwardBuffers<S>) {
    let work = sweep.hiddenSize * sweep.stateSize * sweep.layout.gateCount * steps.count
    var forward = forward(buffers)
    forRows(of: sweep, work: work) {
      table.pointee.forward($0, steps.lowerBound, steps.upperBound, &forward)
    }
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  func step(
    _ sweep: Sweep, _ input: UnsafePointer<S>, _ block: Block, weights: ForwardWeights<S>,
    _ buffers: ForwardBuffers<S>
  ) {
    let isMerged = sweep.layout.phases.count == 1
    if !isMerged {
      project(
        input, block, weight: weights.input, bias: weights.bias, width: sweep.inputWidth,
        into: buffers.trace, stride: sweep.traceWidth, backwards: buffers.backwards)
    }
    weights.bias.withUnsafeBufferPointer { bias in
      var forward = forward(buffers)
      if isMerged {
        forward.input = UnsafeRawPointer(input + block.offset)
        (forward.input_size, forward.input_columns) = (block.columns, sweep.inputWidth)
        forward.packed_input = UnsafeRawPointer(weights.input.elements)
        forward.bias = bias.baseAddress.map { UnsafeRawPointer($0) }
      }
      let work = sweep.inputWidth * (block.columns + sweep.stateSize)
      forRows(of: sweep, work: work) { table.pointee.forward($0, 0, 1, &forward) }
    }
  }

  @inline(__always)
  private func forward(_ buffers: ForwardBuffers<S>) -> ck_forward {
    let hidden = buffers.hidden
    return ck_forward(
      trace: buffers.trace,
      packed_hidden: (
        .init(hidden[0].elements), hidden.count > 1 ? .init(hidden[1].elements) : nil
      ),
      packed_projection: buffers.projection?.elements, initial_state: buffers.initialState,
      cells: buffers.cells, output: buffers.output, scratch: buffers.scratch,
      backwards: buffers.backwards ? 1 : 0, input: nil, input_size: 0, input_columns: 0,
      packed_input: nil, bias: nil)
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  func sweepBackward(_ sweep: Sweep, _ buffers: BackwardBuffers<S>) {
    let steps = sweep.schedule.steps
    let work = sweep.hiddenSize * sweep.stateSize * sweep.layout.gateCount * steps
    let hidden = buffers.hidden
    var backward = ck_backward(
      trace: buffers.trace, output: buffers.output, initial_state: buffers.initialState,
      initial_cells: buffers.initialCells, d_output: buffers.dOutput,
      packed_hidden: (
        .init(hidden[0].elements), hidden.dropFirst().first.map { .init($0.elements) }
      ),
      packed_projection: buffers.projection?.elements, d_trace: buffers.dTrace,
      d_state: buffers.dState, d_cells: buffers.dCells, d_projected: buffers.dProjected,
      scratch: buffers.scratch)
    forRows(of: sweep, work: work) { table.pointee.backward($0, &backward) }
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  func addWeightGradient(
    _ gradient: UnsafePointer<S>, _ gradientBlock: Block, input: UnsafePointer<S>,
    _ inputBlock: Block, into dWeight: UnsafeMutablePointer<S>, isFirst: Bool
  ) {
    let (rows, columns) = (gradientBlock.rows, gradientBlock.columns)
    if rows == 0, isFirst { dWeight.update(repeating: 0, count: columns * inputBlock.columns) }
    inParallel(columns, grain: max(16, grain(inputBlock.columns * rows))) { range in
      let scratch = PooledMemory<S>(count: table.pointee.weight_scratch(range.count))
      table.pointee.weight_gradient(
        gradient + gradientBlock.offset + range.lowerBound, gradientBlock.stride, range.count,
        input + inputBlock.offset, inputBlock.stride, inputBlock.columns, rows,
        dWeight + range.lowerBound * inputBlock.columns, inputBlock.columns, isFirst ? 1 : 0,
        scratch.elements)
    }
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  func addInputGradient(
    _ gradient: UnsafePointer<S>, _ block: Block, weight: PackedMatrix<S>, inputSize: Int,
    into dInput: UnsafeMutablePointer<S>, isFirst: Bool
  ) {
    // As a bias, so that no element is written twice.
    let zeros = PooledMemory<S>(count: isFirst ? inputSize : 0)
    zeros.elements.update(repeating: 0, count: zeros.count)
    inParallel(block.rows, grain: grain(block.columns * inputSize)) { rows in
      table.pointee.product(
        gradient + (block.offset + rows.lowerBound * block.stride), block.stride, rows.count,
        block.columns, weight.elements, inputSize, isFirst ? zeros.elements : nil,
        dInput + rows.lowerBound * inputSize, inputSize, 0)
    }
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  func addBiasGradient(
    _ gradient: UnsafePointer<S>, _ block: Block, into dBias: UnsafeMutablePointer<S>
  ) {
    table.pointee.bias_gradient(
      gradient + block.offset, block.stride, block.columns, block.rows, dBias)
  }

  /// So many units of `work` multiplications are worth a thread.
  private func grain(_ work: Int) -> Int {
    divides ? max(1, 1_000_000 / max(1, work)) : .max
  }

  @inline(__always)
  private func forRows(
    of sweep: Sweep, work: Int, _ body: (UnsafePointer<ck_sweep>) -> Void
  ) {
    sweep.schedule.offsets.withUnsafeBufferPointer { offsets in
      let whole = ck_sweep(
        cell: sweep.kernel, reversed: sweep.reversed ? 1 : 0,
        has_projection: sweep.hasProjection ? 1 : 0, hidden: sweep.hiddenSize,
        state: sweep.stateSize, steps: sweep.schedule.steps, offsets: offsets.baseAddress,
        output_stride: sweep.outputStride, output_offset: sweep.outputOffset,
        state_offset: sweep.stateOffset, cell_offset: sweep.cellOffset, first_row: 0, end_row: 0,
        is_shared: divides && threadCount > 1 ? 1 : 0)
      inParallel(sweep.schedule.count(0), grain: grain(work)) { rows in
        var part = whole
        part.first_row = rows.lowerBound
        part.end_row = rows.upperBound
        body(&part)
      }
    }
  }
}

extension Cell {
  /// The cell's number in `CKernels`.
  func kernel(_ reset: GRUReset) -> Int32 {
    switch self {
    case .rnnTanh: Int32(CK_RNN_TANH.rawValue)
    case .rnnRelu: Int32(CK_RNN_RELU.rawValue)
    case .lstm: Int32(CK_LSTM.rawValue)
    case .gru: Int32((reset == .after ? CK_GRU : CK_GRU_RESET_BEFORE).rawValue)
    }
  }
}

/// The best kernels of this processor, or those that the environment variable `RECURRENT_KERNELS` names;
/// the portable ones where there is none of that name.
func kernels<S: Scalar>(for type: S.Type = S.self) -> any RecurrentKernels<S> {
  if let kernels = CompiledKernels<S>(named: kernelName) { return kernels }
  return PortableKernels<S>()
}

private let kernelName: String? = getenv("RECURRENT_KERNELS").map { String(cString: $0) }
