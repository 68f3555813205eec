// The border between what the engine computes and how fast.
//
// Calls are coarse (a chunk of time steps, or all of them), so that an implementation may pack, block,
// vectorise and thread as it likes. Every matrix is row-major. Rows are (time step, batch row) pairs,
// time step slowest; `Schedule` says which rows a step owns. Implementations add products in ascending
// order of the summed index whatever the number of rows, so that one step at a time gives the same bits
// as a whole sequence.

/// A matrix of `rows` × `columns` at `offset` elements into a buffer.
struct Block {
  var offset = 0
  let rows, columns: Int
  /// Elements from one row to the next.
  let stride: Int

  init(offset: Int = 0, rows: Int, columns: Int, stride: Int? = nil) {
    self.offset = offset
    self.rows = rows
    self.columns = columns
    self.stride = stride ?? columns
  }
}

/// What a forward sweep reads and writes.
struct ForwardBuffers<S: Scalar> {
  /// The trace of the chunk's rows, holding the products of the input and all biases.
  let trace: UnsafeMutablePointer<S>
  /// W_hhᵀ, each phase's gates by themselves.
  let hidden: [PackedMatrix<S>]
  /// W_hrᵀ, if there is a projection.
  let projection: PackedMatrix<S>?
  /// The initial states of all layers and directions.
  let initialState: UnsafePointer<S>
  /// c of all layers and directions: initial before the first chunk, final after the last.
  let cells: UnsafeMutablePointer<S>
  /// The layer's output, zero where there is a projection to add up.
  let output: UnsafeMutablePointer<S>
  /// Scratch memory for (N, H) elements.
  let scratch: UnsafeMutablePointer<S>
  /// Whether matrices are read from their end first, which finds in the cache what was read last.
  var backwards = false
}

/// What a backward sweep reads and writes.
struct BackwardBuffers<S: Scalar> {
  let trace: UnsafePointer<S>
  let output: UnsafePointer<S>
  /// The initial h and c of all layers and directions.
  let initialState, initialCells: UnsafePointer<S>
  let dOutput: UnsafePointer<S>
  /// W_hh, each phase's gates by themselves.
  let hidden: [PackedMatrix<S>]
  /// W_hr, if there is a projection.
  let projection: PackedMatrix<S>?
  /// The gradient of the trace, all rows.
  let dTrace: UnsafeMutablePointer<S>
  /// The gradients of the final h and c before, of the initial ones after.
  let dState, dCells: UnsafeMutablePointer<S>
  /// Gets dL/dh' (rows, P) of all rows if there is a projection.
  let dProjected: UnsafeMutablePointer<S>
  /// Scratch memory for (N, H) elements.
  let scratch: UnsafeMutablePointer<S>
}

/// The products and sweeps of a recurrent layer.
protocol RecurrentKernels<S>: Sendable {
  associatedtype S: Scalar

  /// The same kernels on the caller's thread alone, which allocate nothing.
  var undivided: Self { get }

  /// Rearranges a matrix (rows, columns) to stand on the right of products.
  func pack(
    _ matrix: UnsafePointer<S>, rowStride: Int, columnStride: Int, rows: Int, columns: Int
  ) -> PackedMatrix<S>

  /// `result[r] = bias + input[r] · weight` for all rows of the block.
  ///
  /// The result and the bias are `stride` wide; the product adds to the first `width` columns. Whether
  /// it begins with the last of them shows in the time only.
  func project(
    _ input: UnsafePointer<S>, _ block: Block, weight: PackedMatrix<S>, bias: UnsafePointer<S>,
    width: Int, into result: UnsafeMutablePointer<S>, stride: Int, backwards: Bool)

  /// Makes a single step, from its input (N, D); the trace may hold anything before.
  ///
  /// The bits are those of `project` and `sweepForward`.
  func step(
    _ sweep: Sweep, _ input: UnsafePointer<S>, _ block: Block, weights: ForwardWeights<S>,
    _ buffers: ForwardBuffers<S>)

  /// Runs a chunk of steps.
  func sweepForward(_ sweep: Sweep, steps: Range<Int>, _ buffers: ForwardBuffers<S>)

  /// Runs all steps backwards.
  func sweepBackward(_ sweep: Sweep, _ buffers: BackwardBuffers<S>)

  /// `dWeight += gradientᵀ · input` over all rows, the last row first; if it is the first, nothing was
  /// in `dWeight`.
  ///
  /// In this order a sequence that is cut into pieces, the last piece first, gives the same bits.
  func addWeightGradient(
    _ gradient: UnsafePointer<S>, _ gradientBlock: Block, input: UnsafePointer<S>,
    _ inputBlock: Block, into dWeight: UnsafeMutablePointer<S>, isFirst: Bool)

  /// `dInput += gradient · weight` for all rows; if it is the first, nothing was in `dInput`.
  func addInputGradient(
    _ gradient: UnsafePointer<S>, _ block: Block, weight: PackedMatrix<S>, inputSize: Int,
    into dInput: UnsafeMutablePointer<S>, isFirst: Bool)

  /// `dBias += Σ gradient` over all rows, the last row first.
  func addBiasGradient(
    _ gradient: UnsafePointer<S>, _ block: Block, into dBias: UnsafeMutablePointer<S>)
}

extension RecurrentKernels {
  func step(
    _ sweep: Sweep, _ input: UnsafePointer<S>, _ block: Block, weights: ForwardWeights<S>,
    _ buffers: ForwardBuffers<S>
  ) {
    project(
      input, block, weight: weights.input, bias: weights.bias, width: sweep.inputWidth,
      into: buffers.trace, stride: sweep.traceWidth, backwards: buffers.backwards)
    sweepForward(sweep, steps: 0..<1, buffers)
  }

  func addWeightGradient(
    _ gradient: UnsafePointer<S>, _ gradientBlock: Block, input: UnsafePointer<S>,
    _ inputBlock: Block, into dWeight: UnsafeMutablePointer<S>
  ) {
    addWeightGradient(
      gradient, gradientBlock, input: input, inputBlock, into: dWeight, isFirst: false)
  }

  func project(
    _ input: UnsafePointer<S>, _ block: Block, weight: PackedMatrix<S>, bias: UnsafePointer<S>,
    width: Int, into result: UnsafeMutablePointer<S>, stride: Int
  ) {
    project(
      input, block, weight: weight, bias: bias, width: width, into: result, stride: stride,
      backwards: false)
  }
}
