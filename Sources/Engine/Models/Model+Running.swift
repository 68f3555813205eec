import Tensors

extension Model {
  /// Runs whole sequences; x is (T, N, D), (N, T, D) if batch-first, or (T, D).
  ///
  /// With `lengths` each row ends after so many steps, as in a packed sequence. Throws what
  /// ``RNN/callAsFunction(_:h0:c0:lengths:)`` throws.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  public func callAsFunction(
    _ x: NDArray<S>, state: State = State(), lengths: [Int]? = nil
  ) throws -> Output {
    let state = try start(state, of: x)
    let result = try rnn(x, h0: state.h, c0: state.c, lengths: lengths)
    return Output(
      output: result.output, hN: result.hN, cN: result.cN,
      logits: try logits(result.output, result.hN, lengths: lengths))
  }

  /// Runs whole sequences of token ids, (T, N), (N, T) if batch-first, or (T), through the embedding.
  ///
  /// Throws as ``vectors(of:)`` does, too.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  public func callAsFunction(
    tokens: NDArray<Int>, state: State = State(), lengths: [Int]? = nil
  ) throws -> Output {
    try self(vectors(of: tokens), state: state, lengths: lengths)
  }

  /// Runs one block of a long sequence from `state`, and replaces that by the state it ends in.
  ///
  /// The bits are those of the whole sequence. A batch of another size than the state's is an error,
  /// never a broadcast. Throws `engine.stateful` for a bidirectional network, whose second direction
  /// would have to start in the future.
  public func callAsFunction(
    _ x: NDArray<S>, state: inout State, lengths: [Int]? = nil
  ) throws -> Output {
    try checkCarriesState()
    let result = try self(x, state: state, lengths: lengths)
    state = result.state
    return result
  }

  /// Runs one block of token ids from `state`, and replaces that by the state it ends in.
  public func callAsFunction(
    tokens: NDArray<Int>, state: inout State, lengths: [Int]? = nil
  ) throws -> Output {
    try self(vectors(of: tokens), state: &state, lengths: lengths)
  }

  /// Runs one time step, x (N, D), from `state` and replaces it.
  ///
  /// A sequence fed step by step gives the bits that the whole sequence gives. Throws
  /// `model.bidirectional` for bidirectional networks, which need the whole sequence.
  public func step(_ x: NDArray<S>, state: inout State) throws -> Output {
    let configuration = rnn.configuration
    guard !configuration.bidirectional else {
      throw RecurrentError(
        .modelBidirectional, found: "a bidirectional network",
        expected: "one that only looks back", hint: "Run the whole sequence instead.")
    }
    guard x.shape.count == 2 else {
      throw RecurrentError(
        .engineInputShape, at: "x", found: "shape \(x.shape)", expected: "(N, D)")
    }
    let time = configuration.batchFirst ? 1 : 0
    var result = try self(x.insertingAxis(at: time), state: state)
    state = result.state
    result.output.shape.remove(at: time)
    if headReads == .sequence { result.logits?.shape.remove(at: time) }
    return result
  }

  /// Runs one time step of one token id per row from `state` and replaces it.
  public func step(tokens: [Int], state: inout State) throws -> Output {
    try step(vectors(of: NDArray(tokens)), state: &state)
  }

  /// A stream that makes one step after another without an allocation, from the model's initial state.
  ///
  /// Throws `engine.stateful` for a bidirectional network, whose second direction starts in the future.
  public func stream(batch: Int = 1) throws -> ModelStream<S> {
    try ModelStream(self, batch: batch)
  }

  /// The vectors of token ids (T, N), (N, T) if batch-first, or (T): their shape and (D).
  ///
  /// Throws `engine.no-embedding` when the model has none, `engine.index-range` for an id outside it.
  public func vectors(of tokens: NDArray<Int>) throws -> NDArray<S> {
    try requiredEmbedding()(tokens)
  }

  func requiredEmbedding() throws -> Embedding<S> {
    guard let embedding else {
      throw RecurrentError(
        .engineNoEmbedding, at: "x", found: "token ids",
        expected: "floating-point features: the model has no embedding")
    }
    return embedding
  }

  /// The logits of a result of the recurrent network; `nil` without a head.
  package func logits(
    _ output: NDArray<S>, _ hN: NDArray<S>, lengths: [Int]?
  ) throws -> NDArray<S>? {
    try head?(
      HeadInput.forward(output, hN, rnn.configuration, headReads, lengths: lengths))
  }
}
