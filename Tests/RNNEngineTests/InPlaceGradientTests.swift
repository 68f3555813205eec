import Testing

@testable import RNNEngine

/// A backward pass that is the last user of a trace puts the gradient in its place.
struct InPlaceGradientTests {
  @Test func theGradientMayTakeThePlaceOfTheTrace() {
    expectTheSameInPlace(LSTMStep.self)
    expectTheSameInPlace(GRUStep.self)
  }

  private func expectTheSameInPlace(_ cell: any CellStep.Type) {
    let (count, hidden) = (3, 5)
    let width = cell.layout.blockCount * hidden
    var random = SplitMix64(state: 11)
    func array(_ count: Int) -> [Double] {
      let array: NDArray<Double> = random.array([count])
      return array.elements
    }
    let (trace, previous, cells) = (array(count * width), array(count * hidden), array(count * hidden))
    let (state, dState) = (array(count * hidden), array(count * hidden))
    func run(_ trace: UnsafePointer<Double>, _ dTrace: UnsafeMutablePointer<Double>) -> [[Double]] {
      var carry = [Double](repeating: 0.5, count: count * hidden)
      var dCells = [Double](repeating: 0.25, count: count * hidden)
      cell.backward(
        0,
        BackwardRows(
          count: count, hidden: hidden, trace: trace, traceStride: width, previous: previous,
          previousStride: hidden, previousCells: cells, previousCellsStride: hidden, state: state,
          stateStride: hidden, dState: dState, dTrace: dTrace, carry: &carry, dCells: &dCells))
      return [carry, dCells]
    }
    var apart = [Double](repeating: 0, count: trace.count)
    let results = run(trace, &apart)
    var place = trace
    let inPlace = place.withUnsafeMutableBufferPointer { buffer -> [[Double]] in
      guard let base = buffer.baseAddress else { return [] }
      return run(base, base)
    }
    #expect(place == apart && apart != trace)
    #expect(inPlace == results)
  }
}
