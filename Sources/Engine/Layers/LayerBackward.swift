import Tensors

extension Stack {
  /// Adds the gradients of the weights to `gradients`, and returns that of the input rows.
  ///
  /// `dStates` holds the gradients of the final states before, of the initial ones after. A sequence cut
  /// into pieces gives the same bits, if the pieces follow each other from the last to the first. With
  /// `isFirst` nothing was in the gradients of the recurrent matrices.
  func backward(
    _ tapes: inout [LayerTape<S>], _ schedule: Schedule, initial: States<S>, dOutput: [S],
    _ dStates: inout States<S>, _ gradients: inout Parameters<S>, isFirst: Bool = false
  ) throws -> [S] {
    var dOutput = dOutput
    for layer in tapes.indices.reversed() {
      if let mask = tapes[layer].mask { multiply(&dOutput, by: mask) }
      if let norm = tapes[layer].norm, let layerNorm = try layerNorm(after: layer) {
        let names = NormNames(layer: layer)
        var dWeight = try gradients.required(names.weight).elements
        var dBias = try gradients.required(names.bias).elements
        layerNorm.backward(norm, &dOutput, weight: &dWeight, bias: &dBias)
        gradients.update(names.weight) { $0 = dWeight }
        gradients.update(names.bias) { $0 = dBias }
      }
      var dInput = try backwardLayer(
        layer, &tapes[layer], schedule, initial, dOutput, &dStates, &gradients, isFirst: isFirst)
      if configuration.addsResidual(of: layer) { add(dOutput, to: &dInput) }
      dOutput = dInput
    }
    return dOutput
  }

  private func backwardLayer(
    _ layer: Int, _ tape: inout LayerTape<S>, _ schedule: Schedule, _ initial: States<S>,
    _ dOutput: [S], _ dStates: inout States<S>, _ gradients: inout Parameters<S>, isFirst: Bool
  ) throws -> [S] {
    let inputSize = configuration.layerInputSize(layer)
    let rows = schedule.rows
    guard rows > 0 else { return [] }
    var dInput = [S].unfilled(rows * inputSize)
    func direction(_ direction: Int) throws -> DirectionBackward<S> {
      try DirectionBackward(
        self, schedule, layer: layer, direction: direction, trace: &tape.traces[direction])
    }
    func run(
      _ first: DirectionBackward<S>, _ second: DirectionBackward<S>?, output: UnsafePointer<S>,
      initialState: UnsafePointer<S>, initialCells: UnsafePointer<S>, dOutput: UnsafePointer<S>,
      dState: UnsafeMutablePointer<S>, dCells: UnsafeMutablePointer<S>
    ) {
      func run(_ direction: DirectionBackward<S>) {
        direction.run(
          output: output, initialState: initialState, initialCells: initialCells,
          dOutput: dOutput, dState: dState, dCells: dCells)
      }
      guard let second else { return run(first) }
      inParallel(2, grain: 1) { range in
        if range.contains(0) { run(first) }
        if range.contains(1) { run(second) }
      }
    }
    // As many at a time as run concurrently: what is not in use takes no memory.
    let isConcurrent = runsDirectionsConcurrently(layer, schedule)
    for index in stride(from: 0, to: configuration.directionCount, by: isConcurrent ? 2 : 1) {
      let first = try direction(index)
      let second = isConcurrent ? try direction(index + 1) : nil
      run(
        first, second, output: tape.output, initialState: initial.h, initialCells: initial.c,
        dOutput: dOutput, dState: &dStates.h, dCells: &dStates.c)
      first.addGradients(tape, initial, dInput: &dInput, &gradients, isFirst: isFirst)
      second?.addGradients(tape, initial, dInput: &dInput, &gradients, isFirst: isFirst)
    }
    return dInput
  }
}
