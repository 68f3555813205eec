import Tensors

/// A model that reads one time step after another, without a heap allocation per step.
///
/// The bits are those of the whole sequence. Weights and scratch memory are prepared once; a stream belongs to one
/// task at a time, and any number of streams may share a model.
///
/// ```swift
/// let stream = try ModelStream(model)
/// for token in text {
///   try stream.step(tokens: [token])
///   use(stream.logits)
/// }
/// ```
public final class ModelStream<S: Scalar> {
  /// The model, as it was when the stream began.
  public let model: SequenceModel<S>
  /// N, the rows that run side by side.
  public let batch: Int
  /// The top layer's state after the last step, (N, S) row-major; zeros before the first.
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

  /// Prepares a stream of `batch` rows that starts from zeros.
  ///
  /// Throws `engine.stateful` for a bidirectional model, whose second direction starts in the future.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  public init(_ model: SequenceModel<S>, batch: Int = 1) throws {
    let configuration = model.rnn.configuration
    guard !configuration.bidirectional else {
      throw RecurrentError(
        .malformed, "engine.stateful", found: "a bidirectional network",
        expected: "one whose state goes forward in time only")
    }
    guard batch > 0, batch <= 1 << 24 else {
      throw RecurrentError(
        .malformed, "engine.batch", at: "batch", found: "\(batch) rows", expected: "at least 1")
    }
    self.model = model
    self.batch = batch
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
  }

  /// Makes one step of features, x (N, D) row-major; throws `engine.input-size` for another count.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  public func step(_ x: [S]) throws {
    guard x.count == batch * layers[0].input.columns else {
      throw RecurrentError(
        .malformed, "engine.input-size", at: "x", found: "\(x.count) numbers",
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
        .malformed, "engine.no-embedding", at: "x", found: "token ids",
        expected: "floating-point features: the model has no embedding")
    }
    let (count, width) = (embedding.weight.shape[0], embedding.weight.shape[1])
    guard tokens.count == batch else {
      throw RecurrentError(
        .malformed, "engine.input-size", at: "x", found: "\(tokens.count) tokens",
        expected: "\(batch)")
    }
    for token in tokens where token < 0 || token >= count {
      throw RecurrentError(
        .malformed, "engine.index-range", at: "x",
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

  /// The states of all layers, (L, N, S).
  public var h: NDArray<S> {
    NDArray(
      trusted: [layers.count, batch, layers[0].sweep.stateSize],
      Array(UnsafeBufferPointer(start: states.elements, count: states.count)))
  }

  /// An LSTM's cell states, (L, N, H).
  public var c: NDArray<S>? {
    cells.count == 0
      ? nil
      : NDArray(
        trusted: [layers.count, batch, layers[0].sweep.hiddenSize],
        Array(UnsafeBufferPointer(start: cells.elements, count: cells.count)))
  }

  /// Goes on from other states; throws `engine.state-shape` unless they fit. No `c` means zeros.
  public func setState(h: NDArray<S>, c: NDArray<S>? = nil) throws {
    for (array, current, what) in [(h, self.h, "hidden size"), (c ?? h, self.c ?? h, "cell size")] {
      guard array.shape == current.shape, array.count == current.count else {
        throw RecurrentError(
          .malformed, "engine.state-shape", at: what, found: "\(what) \(array.shape)",
          expected: "\(current.shape)")
      }
    }
    resetState()
    states.elements.update(from: h.elements, count: states.count)
    if let c { cells.elements.update(from: c.elements, count: cells.count) }
  }

  /// Goes back to zeros.
  public func resetState() {
    states.elements.update(repeating: 0, count: states.count)
    cells.elements.update(repeating: 0, count: cells.count)
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
