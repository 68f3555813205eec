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
    func room(_ count: Int, seed: UInt64) -> Room<Double> {
      var random = SplitMix64(state: seed)
      let (values, room): (NDArray<Double>, Room<Double>) = (
        random.array([count]), Room(count: count)
      )
      room.elements.update(from: values.elements, count: count)
      return room
    }
    func numbers(_ room: Room<Double>) -> [Double] {
      Array(UnsafeBufferPointer(start: room.elements, count: room.count))
    }
    func run(_ trace: Room<Double>, _ dTrace: Room<Double>) -> [[Double]] {
      let rooms = (0..<6).map { room(count * hidden, seed: UInt64($0)) }
      cell.backward(
        0,
        BackwardRows(
          count: count, hidden: hidden, trace: trace.elements, traceStride: width,
          previous: rooms[0].elements, previousStride: hidden, previousCells: rooms[1].elements,
          previousCellsStride: hidden, state: rooms[2].elements, stateStride: hidden,
          dState: rooms[3].elements, dTrace: dTrace.elements, carry: rooms[4].elements,
          dCells: rooms[5].elements))
      return [numbers(dTrace)] + rooms.map(numbers)
    }
    let trace = room(count * width, seed: 77)
    let before = numbers(trace)
    let apart = run(trace, Room(count: count * width))
    #expect(numbers(trace) == before && apart[0] != before)
    #expect(run(trace, trace) == apart)
  }
}
