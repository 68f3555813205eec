import Tensors

/// A model that reads one time step after another, without a heap allocation per step.
///
/// The bits are those of the whole sequence. Weights and scratch memory are prepared once; a stream belongs to one
/// task at a time, and any number of streams may share a model.
///
/// ```swift
/// let stream = try model.stream()
/// for token in text {
///   try stream.step(tokens: [token])
///   use(stream.logits)
/// }
/// ```
public final class ModelStream<S: Scalar> {
  /// The model, as it was when the stream began.
  public let model: Model<S>
  /// N, the rows that run side by side.
  public let batch: Int
  /// The top layer's state after the last step, (N, S) row-major; zeros before the first step.
  public private(set) var output: [S]
  /// The head's output after the last step, (N, C) row-major; empty without a head.
  public private(set) var logits: [S]

  private let kernels: any RecurrentKernels<S>
  private let layers: [Layer]
  private let norms: [LayerNorm<S>?]
  /// h of all layers (L, N, S) before a step, and after it.
  private var states, nextStates: PooledMemory<S>
  /// c of all layers (L, N, H).
  private let cells: PooledMemory<S>
  private let input, trace, scratch: PooledMemory<S>
  /// The model's initial state, of all rows.
  private let initial: Model<S>.State
  /// Whether the number of steps made is odd: kernels read large matrices forwards and backwards in turns.
  private var isOdd = false

  /// All that a step needs, so that none of it is copied for a step.
  private final class Layer {
    let sweep: Sweep
    let weights: ForwardWeights<S>
    let input: Block
    let addsResidual: Bool
    /// Of even steps and of odd ones, whose states before and after are each other's.
    let even, odd: ForwardBuffers<S>

    init(
      _ sweep: Sweep, _ weights: ForwardWeights<S>, input: Block, addsResidual: Bool,
      _ buffers: (_ isOdd: Bool) -> ForwardBuffers<S>
    ) {
      (self.sweep, self.weights, self.input, self.addsResidual) = (
        sweep, weights, input, addsResidual
      )
      (even, odd) = (buffers(false), buffers(true))
    }
  }

  /// Prepares a stream of `batch` rows that starts from the model's initial state.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  init(_ model: Model<S>, batch: Int) throws {
    let configuration = model.rnn.configuration
    try model.checkCarriesState()
    guard batch > 0, batch <= 1 << 24 else {
      throw RecurrentError(
        .engineBatch, at: "batch", found: "\(batch) rows", expected: "at least 1")
    }
    self.model = model
    self.batch = batch
    initial = try model.start(.init(), rows: batch)
    let stack = try model.rnn.checkedStack()
    let schedule = Schedule(steps: 1, batch: batch)
    let sweeps = (0..<configuration.layerCount).map {
      Sweep(configuration, schedule, layer: $0, direction: 0)
    }
    let inputSizes = (0..<configuration.layerCount).map(configuration.layerInputSize)
    norms = try (0..<configuration.layerCount).map { try stack.layerNorm(after: $0) }
    kernels = RNNEngine.kernels(for: S.self).undivided
    let (size, hidden) = (configuration.stateSize, configuration.hiddenSize)
    func zeros(_ count: Int) -> [S] { [S](repeating: 0, count: count * batch) }
    // Every layer leaves its output in the input, the last one too, which may be wider than any input.
    func zeroed(_ count: Int) -> PooledMemory<S> {
      let memory = PooledMemory<S>(count: count * batch)
      memory.elements.update(repeating: 0, count: memory.count)
      return memory
    }
    let (states, nextStates) = (
      zeroed(configuration.layerCount * size), zeroed(configuration.layerCount * size)
    )
    let cells = zeroed(configuration.cell.hasCellState ? configuration.layerCount * hidden : 0)
    input = zeroed(max(size, inputSizes.max() ?? 0))
    let (trace, scratch) = (zeroed(sweeps.map(\.traceWidth).max() ?? 0), zeroed(hidden))
    layers = try sweeps.indices.map { layer in
      let (sweep, parameters) = (
        sweeps[layer],
        LayerParameters(
          parameters: stack.parameters, configuration: configuration, layer: layer, direction: 0)
      )
      let weights = try stack.weights.forward(parameters)
      return Layer(
        sweep, weights, input: Block(rows: batch, columns: inputSizes[layer]),
        addsResidual: configuration.addsResidual(of: layer)
      ) { isOdd in
        ForwardBuffers(
          trace: trace.elements, hidden: weights.hidden, projection: weights.projection,
          initialState: (isOdd ? nextStates : states).elements, cells: cells.elements,
          output: (isOdd ? states : nextStates).elements + sweep.stateOffset,
          scratch: scratch.elements, backwards: isOdd)
      }
    }
    (self.states, self.nextStates, self.cells) = (states, nextStates, cells)
    (self.trace, self.scratch) = (trace, scratch)
    output = zeros(size)
    logits = zeros(model.head?.outputSize ?? 0)
    try check(initial)
    resetState()
  }

  /// Makes one step of features, x (N, D) row-major; throws `engine.input-size` for another count.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  public func step(_ x: [S]) throws {
    guard x.count == batch * layers[0].input.columns else {
      throw RecurrentError(
        .engineInputSize, at: "x", found: "\(x.count) numbers",
        expected: "\(batch) × \(layers[0].input.columns)")
    }
    input.elements.update(from: x, count: x.count)
    run()
  }

  /// Makes one step of token ids, one per row, through the embedding.
  ///
  /// Throws `engine.no-embedding` without one, `engine.index-range` for an id outside it.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  public func step(tokens: [Int]) throws {
    guard let embedding = model.embedding else {
      throw RecurrentError(
        .engineNoEmbedding, at: "x", found: "token ids",
        expected: "floating-point features: the model has no embedding")
    }
    let (count, width) = (embedding.weight.shape[0], embedding.weight.shape[1])
    guard tokens.count == batch else {
      throw RecurrentError(
        .engineInputSize, at: "x", found: "\(tokens.count) tokens",
        expected: "\(batch)")
    }
    for token in tokens where token < 0 || token >= count {
      throw RecurrentError(
        .engineIndexRange, at: "x",
        found: "index out of range in self: \(token)", expected: "0 to \(count - 1)")
    }
    embedding.weight.elements.withUnsafeBufferPointer { table in
      guard let base = table.baseAddress else { return }
      for row in tokens.indices {
        (input.elements + row * width).update(from: base + tokens[row] * width, count: width)
      }
    }
    run()
  }

  /// The state after the last step: h (L, N, S), and c (L, N, H) of an LSTM.
  public var state: Model<S>.State {
    func array(_ memory: PooledMemory<S>, _ width: Int) -> NDArray<S> {
      NDArray(
        trusted: [layers.count, batch, width],
        Array(UnsafeBufferPointer(start: memory.elements, count: memory.count)))
    }
    let sweep = layers[0].sweep
    return .init(
      h: array(states, sweep.stateSize), c: cells.count == 0 ? nil : array(cells, sweep.hiddenSize))
  }

  /// Goes on from another state of all rows; throws `engine.state-shape` unless it fits.
  ///
  /// An array that is `nil` is zeros; a state without any array is the model's initial state.
  public func setState(_ state: Model<S>.State) throws {
    let state = try model.start(state, rows: batch)
    try check(state)
    copy(state)
  }

  /// Goes back to the model's initial state, zeros if it stores none.
  public func resetState() { copy(initial) }

  private func check(_ state: Model<S>.State) throws {
    let sweep = layers[0].sweep
    if state.c != nil, cells.count == 0 {
      throw RecurrentError(
        .engineCellState, at: "c",
        found: "a cell state for \(model.rnn.configuration.cell.rawValue)", expected: "none")
    }
    for (array, width, what) in [
      (state.h, sweep.stateSize, "h"), (state.c, sweep.hiddenSize, "c"),
    ] {
      guard let array else { continue }
      let shape = [layers.count, batch, width]
      guard array.shape == shape, array.count == shape.reduce(1, *) else {
        throw RecurrentError(
          .engineStateShape, at: what, found: "shape \(array.shape)",
          expected: "\(shape)")
      }
    }
  }

  private func copy(_ state: Model<S>.State) {
    func fill(_ memory: PooledMemory<S>, _ array: NDArray<S>?) {
      if let array {
        memory.elements.update(from: array.elements, count: memory.count)
      } else {
        memory.elements.update(repeating: 0, count: memory.count)
      }
    }
    fill(states, state.h)
    fill(cells, state.c)
  }

  private func run() {
    let isOdd = isOdd
    for index in layers.indices {
      let layer = layers[index]
      let count = batch * layer.sweep.stateSize
      let next = nextStates.elements + index * count
      if layer.sweep.hasProjection { next.update(repeating: 0, count: count) }
      kernels.step(
        layer.sweep, input.elements, layer.input, weights: layer.weights,
        isOdd ? layer.odd : layer.even)
      let passed = input.elements
      if layer.addsResidual {
        for i in 0..<count { passed[i] = next[i] + passed[i] }
      } else {
        passed.update(from: next, count: count)
      }
      if let norm = norms[index] {
        let rows = Array(UnsafeBufferPointer(start: passed, count: count))
        passed.update(from: norm.forward(rows).output, count: count)
      }
    }
    swap(&states, &nextStates)
    self.isOdd.toggle()
    let count = output.count
    output.withUnsafeMutableBufferPointer {
      $0.baseAddress?.update(from: input.elements, count: count)
    }
    if let head = model.head { head.apply(output, rows: batch, into: &logits, with: kernels) }
  }
}
