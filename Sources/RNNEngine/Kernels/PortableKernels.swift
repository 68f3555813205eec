// The kernels in plain Swift: products as sums of scaled rows, which the compiler vectorises without
// changing the order of any sum.

/// Kernels that run anywhere.
struct PortableKernels<S: Scalar>: RecurrentKernels {
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  func pack(_ weight: [S], rows: Int, columns: Int) -> [S] {
    [S](unsafeUninitializedCapacity: rows * columns) { packed, count in
      weight.withUnsafeBufferPointer { weight in
        var column = 0
        while column < columns {
          var row = 0
          while row < rows {
            packed.initializeElement(
              at: column &* rows &+ row, to: weight[row &* columns &+ column])
            row &+= 1
          }
          column &+= 1
        }
      }
      count = rows * columns
    }
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  func project(
    _ input: UnsafePointer<S>, _ block: Block, packedWeight: UnsafePointer<S>,
    bias: UnsafePointer<S>, width: Int, into result: UnsafeMutablePointer<S>
  ) {
    var row = 0
    while row < block.rows {
      (result + row &* width).update(from: bias, count: width)
      row &+= 1
    }
    addProduct(
      input + block.offset, rowStride: block.stride, columnStride: 1, packedWeight,
      into: result, stride: width, m: block.rows, k: block.columns, n: width)
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  func sweepForward(
    _ sweep: Sweep, steps: Range<Int>, z: UnsafeMutablePointer<S>, packedWeight: UnsafePointer<S>,
    initialState: UnsafePointer<S>, output: UnsafeMutablePointer<S>
  ) {
    let (hidden, width) = (sweep.hiddenSize, sweep.gateWidth)
    let states = output + sweep.outputOffset
    let last = sweep.schedule.steps - 1
    for index in 0..<steps.count {
      let step = sweep.reversed ? steps.upperBound - 1 - index : steps.lowerBound + index
      let rows = sweep.schedule.rows(of: step..<step + 1)
      let current = z + (rows.lowerBound - sweep.schedule.offsets[steps.lowerBound]) * width
      if step == (sweep.reversed ? last : 0) {
        addProduct(
          initialState + sweep.stateOffset, rowStride: hidden, columnStride: 1, packedWeight,
          into: current, stride: width, m: rows.count, k: hidden, n: width)
      } else {
        let before = sweep.schedule.offsets[sweep.reversed ? step + 1 : step - 1]
        addProduct(
          states + before * sweep.outputStride, rowStride: sweep.outputStride, columnStride: 1,
          packedWeight, into: current, stride: width, m: rows.count, k: hidden, n: width)
      }
      for row in 0..<rows.count {
        let a = current + row &* width
        let state = states + (rows.lowerBound &+ row) &* sweep.outputStride
        switch sweep.cell {
        case .rnnTanh:
          var i = 0
          while i < hidden {
            state[i] = TanhStep.forward(a[i])
            i &+= 1
          }
        case .rnnRelu:
          var i = 0
          while i < hidden {
            state[i] = ReluStep.forward(a[i])
            i &+= 1
          }
        }
      }
    }
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  func sweepBackward(
    _ sweep: Sweep, output: UnsafePointer<S>, dOutput: UnsafePointer<S>, weight: UnsafePointer<S>,
    dz: UnsafeMutablePointer<S>, dState: UnsafeMutablePointer<S>
  ) {
    let (hidden, width, stride) = (sweep.hiddenSize, sweep.gateWidth, sweep.outputStride)
    let carried = dState + sweep.stateOffset
    for index in 0..<sweep.schedule.steps {
      let step = sweep.reversed ? index : sweep.schedule.steps - 1 - index
      let rows = sweep.schedule.rows(of: step..<step + 1)
      for row in 0..<rows.count {
        let place = sweep.outputOffset &+ (rows.lowerBound &+ row) &* stride
        let (state, gradient) = (output + place, dOutput + place)
        let carry = carried + row &* hidden
        let a = dz + (rows.lowerBound &+ row) &* width
        switch sweep.cell {
        case .rnnTanh:
          var i = 0
          while i < hidden {
            a[i] = TanhStep.backward(gradient[i] + carry[i], state: state[i])
            carry[i] = 0
            i &+= 1
          }
        case .rnnRelu:
          var i = 0
          while i < hidden {
            a[i] = ReluStep.backward(gradient[i] + carry[i], state: state[i])
            carry[i] = 0
            i &+= 1
          }
        }
      }
      addProduct(
        dz + rows.lowerBound * width, rowStride: width, columnStride: 1, weight, into: carried,
        stride: hidden, m: rows.count, k: width, n: hidden)
    }
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  func addWeightGradient(
    _ dz: UnsafePointer<S>, dzRow: Int, width: Int, input: UnsafePointer<S>, _ block: Block,
    into dWeight: UnsafeMutablePointer<S>
  ) {
    addProduct(
      dz + dzRow * width, rowStride: 1, columnStride: width, input + block.offset,
      bStride: block.stride, into: dWeight, stride: block.columns, m: width, k: block.rows,
      n: block.columns)
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  func addInputGradient(
    _ dz: UnsafePointer<S>, rows: Int, width: Int, weight: UnsafePointer<S>, inputSize: Int,
    into dInput: UnsafeMutablePointer<S>
  ) {
    addProduct(
      dz, rowStride: width, columnStride: 1, weight, into: dInput, stride: inputSize, m: rows,
      k: width, n: inputSize)
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  func addBiasGradient(
    _ dz: UnsafePointer<S>, rows: Int, width: Int, into dBias: UnsafeMutablePointer<S>
  ) {
    var row = 0
    while row < rows {
      let gradient = dz + row &* width
      var i = 0
      while i < width {
        dBias[i] = dBias[i] + gradient[i]
        i &+= 1
      }
      row &+= 1
    }
  }
}
