/// Which rows belong to which time step.
///
/// Step t owns the first rows of a batch that is sorted by falling length, so that a step's rows are
/// never more than those of the step before. With equal lengths every step owns the whole batch.
struct Schedule: Sendable, Equatable {
  /// Row number of the first row of each step, and the total at the end.
  let offsets: [Int]
  /// N, the rows of an array of states.
  let batch: Int

  init(steps: Int, batch: Int) {
    offsets = (0...steps).map { $0 * batch }
    self.batch = batch
  }

  /// `batchSizes[t]` rows at step t, never rising.
  init(batchSizes: [Int], batch: Int) {
    var total = 0
    offsets =
      [0]
      + batchSizes.map { size in
        total += size
        return total
      }
    self.batch = batch
  }

  var steps: Int { offsets.count - 1 }
  var rows: Int { offsets[steps] }

  func count(_ step: Int) -> Int { offsets[step + 1] - offsets[step] }

  func rows(of steps: Range<Int>) -> Range<Int> {
    offsets[steps.lowerBound]..<offsets[steps.upperBound]
  }

  /// The same rows for some of the steps alone.
  func part(_ steps: Range<Int>) -> Schedule {
    Schedule(batchSizes: steps.map(count), batch: batch)
  }

  /// The step before `step` in a sweep, if there is one, and how many of its rows continue here.
  ///
  /// A row that does not continue starts here, from its initial state.
  func predecessor(of step: Int, reversed: Bool) -> (row: Int, count: Int) {
    let neighbour = reversed ? step + 1 : step - 1
    guard neighbour >= 0, neighbour < steps else { return (0, 0) }
    return (offsets[neighbour], min(count(neighbour), count(step)))
  }

  /// Calls `body` with each batch row, and the step after which a sweep is done with it, if it has any.
  func forEachLastStep(reversed: Bool, _ body: (_ batchRow: Int, _ row: Int) -> Void) {
    for step in 0..<steps {
      let next = !reversed && step + 1 < steps ? count(step + 1) : 0
      if reversed && step > 0 { return }
      for row in next..<max(next, count(step)) { body(row, offsets[step] + row) }
    }
  }
}

/// One direction of one layer, as a sweep over time sees it.
struct Sweep: Sendable {
  let cell: any CellStep.Type
  /// The cell's number in `CKernels`.
  let kernel: Int32
  let layout: CellLayout
  let hiddenSize: Int
  /// The size of the state h: P with a projection, else H.
  let stateSize: Int
  let hasProjection: Bool
  let schedule: Schedule
  /// Whether time runs from the last step to the first.
  let reversed: Bool
  /// Elements from one row of the layer's output to the next, and to this direction's columns.
  let outputStride, outputOffset: Int
  /// Where this direction's (N, S) states and (N, H) cells lie in arrays of all of them.
  let stateOffset, cellOffset: Int

  /// Elements in one row of the trace.
  var traceWidth: Int { layout.blockCount * hiddenSize }
  /// How many of them get a product of the input.
  var inputWidth: Int { layout.inputGates.count * hiddenSize }

  init(
    _ configuration: RecurrentConfiguration, _ schedule: Schedule, layer: Int, direction: Int
  ) {
    cell = configuration.cell.step(configuration.gruReset)
    kernel = configuration.cell.kernel(configuration.gruReset)
    layout = cell.layout
    hiddenSize = configuration.hiddenSize
    stateSize = configuration.stateSize
    hasProjection = configuration.projSize > 0
    self.schedule = schedule
    reversed = direction == 1
    outputStride = configuration.outputSize
    outputOffset = direction * stateSize
    let index = layer * configuration.directionCount + direction
    stateOffset = index * schedule.batch * stateSize
    cellOffset = index * schedule.batch * hiddenSize
  }
}
