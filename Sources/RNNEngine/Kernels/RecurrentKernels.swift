// The border between what the engine computes and how fast.
//
// Calls are coarse (a chunk of time steps, or all of them), so that an implementation may pack, block,
// vectorise and thread as it likes. Every matrix is row-major. Rows are (time step, batch row) pairs,
// time step slowest; `Schedule` says which rows a step owns. Implementations add products in ascending
// order of the summed index whatever the number of rows, so that one step at a time gives the same bits
// as a whole sequence.

/// Which rows belong to which time step.
///
/// All steps are equally long today; ragged batches only need other offsets.
struct Schedule: Sendable, Equatable {
  /// Row number of the first row of each step, and the total at the end.
  let offsets: [Int]

  init(steps: Int, batch: Int) { offsets = (0...steps).map { $0 * batch } }

  var steps: Int { offsets.count - 1 }
  var rows: Int { offsets[steps] }
  var batch: Int { offsets[1] }

  func rows(of steps: Range<Int>) -> Range<Int> {
    offsets[steps.lowerBound]..<offsets[steps.upperBound]
  }
}

/// One direction of one layer, as a sweep over time sees it.
struct Sweep: Sendable {
  let cell: Cell
  let hiddenSize: Int
  let schedule: Schedule
  /// Whether time runs from the last step to the first.
  let reversed: Bool
  /// Elements from one row of the layer's output to the next, and to this direction's columns.
  let outputStride, outputOffset: Int
  /// Where this direction's (N, H) states lie in an array of states (L·D, N, H).
  let stateOffset: Int

  var gateWidth: Int { cell.gateCount * hiddenSize }
}

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

/// The products and sweeps of a recurrent layer; G·H is `gateWidth`.
protocol RecurrentKernels<S>: Sendable {
  associatedtype S: Scalar

  /// Rearranges a weight (rows, columns) for `project` and `sweepForward`; once per call of the network.
  func pack(_ weight: [S], rows: Int, columns: Int) -> [S]

  /// `result[r] = bias + input[r] · Wᵀ` for all rows of the block; the result is (rows, width).
  func project(
    _ input: UnsafePointer<S>, _ block: Block, packedWeight: UnsafePointer<S>,
    bias: UnsafePointer<S>, width: Int, into result: UnsafeMutablePointer<S>)

  /// Runs a chunk of steps: reads `z`, the projections of the chunk's rows, and writes `output`.
  func sweepForward(
    _ sweep: Sweep, steps: Range<Int>, z: UnsafeMutablePointer<S>, packedWeight: UnsafePointer<S>,
    initialState: UnsafePointer<S>, output: UnsafeMutablePointer<S>)

  /// Runs all steps backwards: writes `dz`, the gradient of the pre-activations (rows, G·H).
  ///
  /// `dState` holds the gradient of the final state before, and of the initial state after.
  func sweepBackward(
    _ sweep: Sweep, output: UnsafePointer<S>, dOutput: UnsafePointer<S>, weight: UnsafePointer<S>,
    dz: UnsafeMutablePointer<S>, dState: UnsafeMutablePointer<S>)

  /// `dWeight += dzᵀ · input` over all rows of the block, which starts at row `dzRow` of `dz`.
  func addWeightGradient(
    _ dz: UnsafePointer<S>, dzRow: Int, width: Int, input: UnsafePointer<S>, _ block: Block,
    into dWeight: UnsafeMutablePointer<S>)

  /// `dInput += dz · W` for all rows.
  func addInputGradient(
    _ dz: UnsafePointer<S>, rows: Int, width: Int, weight: UnsafePointer<S>, inputSize: Int,
    into dInput: UnsafeMutablePointer<S>)

  /// `dBias += Σ dz` over all rows.
  func addBiasGradient(
    _ dz: UnsafePointer<S>, rows: Int, width: Int, into dBias: UnsafeMutablePointer<S>)
}

/// The kernels to use on this machine.
func kernels<S: Scalar>(for type: S.Type = S.self) -> any RecurrentKernels<S> {
  PortableKernels<S>()
}
