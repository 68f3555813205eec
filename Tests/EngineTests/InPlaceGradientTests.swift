import Testing

@testable import RNNEngine

/// A backward pass that is the last user of a trace puts the gradient in its place.
@Suite("A trace's last user puts the gradient in its place")
struct InPlaceGradientTests {
  @Test func theGradientMayTakeThePlaceOfTheTrace() {
    expectTheSameInPlace(LSTMStep.self)
    expectTheSameInPlace(GRUStep.self)
  }

  private func expectTheSameInPlace(_ cell: any CellStep.Type) {
    let (count, hidden) = (3, 5)
    let width = cell.layout.blockCount * hidden
    func pooled(_ count: Int, seed: UInt64) -> PooledMemory<Double> {
      var random = SplitMix64(state: seed)
      let (values, memory): (NDArray<Double>, PooledMemory<Double>) = (
        random.array([count]), PooledMemory(count: count)
      )
      memory.elements.update(from: values.elements, count: count)
      return memory
    }
    func numbers(_ memory: PooledMemory<Double>) -> [Double] {
      Array(UnsafeBufferPointer(start: memory.elements, count: memory.count))
    }
    func run(_ trace: PooledMemory<Double>, _ dTrace: PooledMemory<Double>) -> [[Double]] {
      let blocks = (0..<6).map { pooled(count * hidden, seed: UInt64($0)) }
      cell.backward(
        0,
        BackwardRows(
          count: count, hidden: hidden, trace: trace.elements, traceStride: width,
          previous: blocks[0].elements, previousStride: hidden, previousCells: blocks[1].elements,
          previousCellsStride: hidden, state: blocks[2].elements, stateStride: hidden,
          dState: blocks[3].elements, dTrace: dTrace.elements, carry: blocks[4].elements,
          dCells: blocks[5].elements))
      return [numbers(dTrace)] + blocks.map(numbers)
    }
    let trace = pooled(count * width, seed: 77)
    let before = numbers(trace)
    let apart = run(trace, PooledMemory(count: count * width))
    #expect(numbers(trace) == before && apart[0] != before)
    #expect(run(trace, trace) == apart)
  }
}
