// What a cell tells the sweeps. A cell owns only what happens to single elements after the products; the
// sweeps call it with the rows of one time step, so that the call costs nothing per element.
//
// Every row (time step and batch row) has a trace: blocks of H elements. The products add up in some of
// the blocks; the cell replaces them by what its derivative will need. The gradient of the trace has the
// same blocks.

/// Where the products of a cell add up, in blocks of H elements.
struct CellLayout: Sendable {
  /// The gates of the stored weights.
  let gateCount: Int
  /// The blocks of a row of the trace.
  let blockCount: Int
  /// The stored gate that each of the first blocks gets from the input.
  let inputGates: [Int]
  /// The products with W_hh, in the order in which a step computes them.
  let phases: [RecurrentPhase]
  /// Whether there is a second state, c.
  var hasCellState = false
  /// Whether the derivative reads the trace, or the output alone.
  var keepsTrace = true

  /// Whether every gate adds the products of the input and of the state, with both biases.
  var addsBiases: Bool {
    phases.count == 1 && phases[0].block == 0 && phases[0].gates == 0..<gateCount
      && inputGates == Array(0..<gateCount)
  }
}

/// A product of some gates' rows of W_hh.
struct RecurrentPhase: Sendable {
  /// The stored gates; the phases together hold all of them, in order.
  let gates: Range<Int>
  /// The first block of the trace that the product is added to.
  let block: Int
  /// The block that is multiplied; `nil` is the state before the step.
  var operand: Int?
}

/// Rows of one time step, forwards; `trace` holds the pre-activations when the first phase begins.
struct ForwardRows<S: Scalar> {
  let count, hidden: Int
  let trace: UnsafeMutablePointer<S>
  let traceStride: Int
  /// The state before the step.
  let previous: UnsafePointer<S>
  let previousStride: Int
  /// c (count, H) before the step, and after it.
  let cells: UnsafeMutablePointer<S>
  /// Where the new state goes.
  let state: UnsafeMutablePointer<S>
  let stateStride: Int
}

/// Rows of one time step, backwards.
struct BackwardRows<S: Scalar> {
  let count, hidden: Int
  let trace: UnsafePointer<S>
  /// Elements from one row of the trace, and of its gradient, to the next.
  let traceStride: Int
  let previous: UnsafePointer<S>
  let previousStride: Int
  /// c before the step.
  let previousCells: UnsafePointer<S>
  let previousCellsStride: Int
  /// The new state, before a projection only if there is none.
  let state: UnsafePointer<S>
  let stateStride: Int
  /// dL/dh' (count, H), all of it.
  let dState: UnsafePointer<S>
  /// Where the gradient of the trace goes.
  let dTrace: UnsafeMutablePointer<S>
  /// dL/dh (count, H): what does not pass through a product is added here.
  let carry: UnsafeMutablePointer<S>
  /// dL/dc' (count, H) before, dL/dc after.
  let dCells: UnsafeMutablePointer<S>
}

/// Four neighbouring blocks of one row.
typealias Blocks<P> = (P, P, P, P)

extension ForwardRows {
  /// The first blocks of a row's trace.
  @inline(__always)
  func blocks(_ row: Int) -> Blocks<UnsafeMutablePointer<S>> {
    neighbours(trace, row, traceStride, hidden)
  }
  /// The state of a row before the step, and where the new one goes.
  @inline(__always)
  func states(_ row: Int) -> (previous: UnsafePointer<S>, next: UnsafeMutablePointer<S>) {
    (previous + row &* previousStride, state + row &* stateStride)
  }
}

extension BackwardRows {
  /// The first blocks of a row's trace.
  @inline(__always)
  func blocks(_ row: Int) -> Blocks<UnsafePointer<S>> {
    neighbours(trace, row, traceStride, hidden)
  }
  /// The first blocks of the gradient of a row's trace.
  @inline(__always)
  func gradientBlocks(_ row: Int) -> Blocks<UnsafeMutablePointer<S>> {
    neighbours(dTrace, row, traceStride, hidden)
  }
  /// The state of a row before the step, dL/dh' and dL/dh.
  @inline(__always)
  func states(_ row: Int) -> (
    previous: UnsafePointer<S>, gradient: UnsafePointer<S>, carry: UnsafeMutablePointer<S>
  ) {
    (previous + row &* previousStride, dState + row &* hidden, carry + row &* hidden)
  }
}

@inline(__always)
private func neighbours<P: Strideable>(_ start: P, _ row: Int, _ stride: Int, _ size: Int)
  -> Blocks<P>
where P.Stride == Int {
  let first = start.advanced(by: row &* stride)
  return (
    first, first.advanced(by: size), first.advanced(by: 2 &* size), first.advanced(by: 3 &* size)
  )
}

/// The part of a cell between the products.
protocol CellStep: Sendable {
  static var layout: CellLayout { get }

  /// Continues after the product of `phase`; the last one writes the new state.
  static func forward<S: Scalar>(_ phase: Int, _ rows: ForwardRows<S>)

  /// The derivative of `forward`, the last phase first; the sweep multiplies by W_hh after each.
  static func backward<S: Scalar>(_ phase: Int, _ rows: BackwardRows<S>)
}
