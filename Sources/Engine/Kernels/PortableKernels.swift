// The kernels in plain Swift: products as sums of scaled rows, which the compiler vectorises without
// changing the order of any sum.

/// Kernels that run anywhere.
struct PortableKernels<S: Scalar>: RecurrentKernels {
  var undivided: Self { self }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  func pack(
    _ matrix: UnsafePointer<S>, rowStride: Int, columnStride: Int, rows: Int, columns: Int
  ) -> PackedMatrix<S> {
    PackedMatrix(count: rows * columns) { packed in
      var row = 0
      while row < rows {
        var column = 0
        while column < columns {
          (packed + (row &* columns &+ column)).initialize(
            to: matrix[row &* rowStride &+ column &* columnStride])
          column &+= 1
        }
        row &+= 1
      }
    }
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  func project(
    _ input: UnsafePointer<S>, _ block: Block, weight: PackedMatrix<S>, bias: UnsafePointer<S>,
    width: Int, into result: UnsafeMutablePointer<S>, stride: Int, backwards: Bool
  ) {
    var row = 0
    while row < block.rows {
      (result + row &* stride).update(from: bias, count: stride)
      row &+= 1
    }
    addProduct(
      input + block.offset, rowStride: block.stride, columnStride: 1,
      weight.elements, into: result, stride: stride, m: block.rows, k: block.columns, n: width)
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  func sweepForward(_ sweep: Sweep, steps: Range<Int>, _ buffers: ForwardBuffers<S>) {
    let schedule = sweep.schedule
    let states = buffers.output + sweep.outputOffset
    let firstRow = schedule.offsets[steps.lowerBound]
    for index in 0..<steps.count {
      let step = sweep.reversed ? steps.upperBound - 1 - index : steps.lowerBound + index
      let first = schedule.offsets[step]
      let (before, continuing) = schedule.predecessor(of: step, reversed: sweep.reversed)
      // First the rows that go on, then those that start here.
      if continuing > 0 {
        stepForward(
          sweep, buffers, trace: buffers.trace + (first - firstRow) * sweep.traceWidth, row: first,
          batchRow: 0, count: continuing, previous: states + before * sweep.outputStride,
          previousStride: sweep.outputStride)
      }
      if continuing < schedule.count(step) {
        let row = first + continuing
        stepForward(
          sweep, buffers, trace: buffers.trace + (row - firstRow) * sweep.traceWidth, row: row,
          batchRow: continuing, count: schedule.count(step) - continuing,
          previous: buffers.initialState + sweep.stateOffset + continuing * sweep.stateSize,
          previousStride: sweep.stateSize)
      }
    }
  }

  @inline(__always)
  private func stepForward(
    _ sweep: Sweep, _ buffers: ForwardBuffers<S>, trace: UnsafeMutablePointer<S>, row: Int,
    batchRow: Int, count: Int, previous: UnsafePointer<S>, previousStride: Int
  ) {
    let (hidden, size, width) = (sweep.hiddenSize, sweep.stateSize, sweep.traceWidth)
    let output = buffers.output + (row * sweep.outputStride + sweep.outputOffset)
    let rows = ForwardRows(
      count: count, hidden: hidden, trace: trace, traceStride: width, previous: previous,
      previousStride: previousStride,
      cells: buffers.cells + (sweep.cellOffset + batchRow * hidden),
      state: sweep.hasProjection ? buffers.scratch : output,
      stateStride: sweep.hasProjection ? hidden : sweep.outputStride)
    for index in 0..<sweep.layout.phases.count {
      let phase = sweep.layout.phases[index]
      addProduct(
        phase.operand.map { UnsafePointer(trace + $0 * hidden) } ?? previous,
        rowStride: phase.operand == nil ? previousStride : width, columnStride: 1,
        buffers.hidden[index].elements,
        into: trace + phase.block * hidden, stride: width, m: count, k: size,
        n: phase.gates.count * hidden)
      sweep.cell.forward(index, rows)
    }
    if let projection = buffers.projection {
      addProduct(
        buffers.scratch, rowStride: hidden, columnStride: 1, projection.elements,
        into: output, stride: sweep.outputStride, m: count, k: hidden, n: size)
    }
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  func sweepBackward(_ sweep: Sweep, _ buffers: BackwardBuffers<S>) {
    let schedule = sweep.schedule
    let states = buffers.output + sweep.outputOffset
    for index in 0..<schedule.steps {
      let step = sweep.reversed ? index : schedule.steps - 1 - index
      let first = schedule.offsets[step]
      let (before, continuing) = schedule.predecessor(of: step, reversed: sweep.reversed)
      if continuing > 0 {
        stepBackward(
          sweep, buffers, row: first, batchRow: 0, count: continuing,
          previous: states + before * sweep.outputStride, previousStride: sweep.outputStride,
          // Only a cell with a second state looks at it, and keeps it in its last block.
          previousCells: buffers.trace
            + (sweep.layout.hasCellState
              ? (before + 1) * sweep.traceWidth - sweep.hiddenSize : 0),
          previousCellsStride: sweep.traceWidth)
      }
      if continuing < schedule.count(step) {
        stepBackward(
          sweep, buffers, row: first + continuing, batchRow: continuing,
          count: schedule.count(step) - continuing,
          previous: buffers.initialState + sweep.stateOffset + continuing * sweep.stateSize,
          previousStride: sweep.stateSize,
          previousCells: buffers.initialCells + sweep.cellOffset + continuing * sweep.hiddenSize,
          previousCellsStride: sweep.hiddenSize)
      }
    }
  }

  @inline(__always)
  private func stepBackward(
    _ sweep: Sweep, _ buffers: BackwardBuffers<S>, row: Int, batchRow: Int, count: Int,
    previous: UnsafePointer<S>, previousStride: Int, previousCells: UnsafePointer<S>,
    previousCellsStride: Int
  ) {
    let (hidden, size, width) = (sweep.hiddenSize, sweep.stateSize, sweep.traceWidth)
    let place = row * sweep.outputStride + sweep.outputOffset
    let carry = buffers.dState + (sweep.stateOffset + batchRow * size)
    let dTrace = buffers.dTrace + row * width
    let dState = sweep.hasProjection ? buffers.dProjected + row * size : buffers.scratch
    for r in 0..<count {
      let gradient = buffers.dOutput + (place + r &* sweep.outputStride)
      let (sum, carried) = (dState + r &* size, carry + r &* size)
      var i = 0
      while i < size {
        sum[i] = gradient[i] + carried[i]
        carried[i] = 0
        i &+= 1
      }
    }
    if let projection = buffers.projection {
      buffers.scratch.update(repeating: 0, count: count * hidden)
      addProduct(
        dState, rowStride: size, columnStride: 1, projection.elements, into: buffers.scratch,
        stride: hidden, m: count, k: size, n: hidden)
    }
    let rows = BackwardRows(
      count: count, hidden: hidden,
      trace: buffers.trace + (sweep.layout.keepsTrace ? row : 0) * width,
      traceStride: width, previous: previous, previousStride: previousStride,
      previousCells: previousCells, previousCellsStride: previousCellsStride,
      state: buffers.output + place, stateStride: sweep.outputStride, dState: buffers.scratch,
      dTrace: dTrace, carry: carry,
      dCells: buffers.dCells
        + (sweep.layout.hasCellState ? sweep.cellOffset + batchRow * hidden : 0))
    for index in sweep.layout.phases.indices.reversed() {
      let phase = sweep.layout.phases[index]
      sweep.cell.backward(index, rows)
      if let operand = phase.operand {
        for r in 0..<count {
          (dTrace + r &* width + operand * hidden).update(repeating: 0, count: hidden)
        }
      }
      addProduct(
        dTrace + phase.block * hidden, rowStride: width, columnStride: 1,
        buffers.hidden[index].elements,
        into: phase.operand.map { dTrace + $0 * hidden } ?? carry,
        stride: phase.operand == nil ? size : width, m: count, k: phase.gates.count * hidden,
        n: size)
    }
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  func addWeightGradient(
    _ gradient: UnsafePointer<S>, _ gradientBlock: Block, input: UnsafePointer<S>,
    _ inputBlock: Block, into dWeight: UnsafeMutablePointer<S>, isFirst: Bool
  ) {
    if isFirst { dWeight.update(repeating: 0, count: gradientBlock.columns * inputBlock.columns) }
    let last = max(0, gradientBlock.rows - 1)
    addProduct(
      gradient + (gradientBlock.offset + last * gradientBlock.stride), rowStride: 1,
      columnStride: -gradientBlock.stride, input + (inputBlock.offset + last * inputBlock.stride),
      bStride: -inputBlock.stride, into: dWeight, stride: inputBlock.columns,
      m: gradientBlock.columns, k: gradientBlock.rows, n: inputBlock.columns)
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  func addInputGradient(
    _ gradient: UnsafePointer<S>, _ block: Block, weight: PackedMatrix<S>, inputSize: Int,
    into dInput: UnsafeMutablePointer<S>, isFirst: Bool
  ) {
    if isFirst { dInput.update(repeating: 0, count: block.rows * inputSize) }
    addProduct(
      gradient + block.offset, rowStride: block.stride, columnStride: 1, weight.elements,
      into: dInput,
      stride: inputSize, m: block.rows, k: block.columns, n: inputSize)
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  func addBiasGradient(
    _ gradient: UnsafePointer<S>, _ block: Block, into dBias: UnsafeMutablePointer<S>
  ) {
    var row = block.rows
    while row > 0 {
      row &-= 1
      let gradient = gradient + (block.offset &+ row &* block.stride)
      var i = 0
      while i < block.columns {
        dBias[i] = dBias[i] + gradient[i]
        i &+= 1
      }
    }
  }
}
