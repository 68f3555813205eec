import Conversion
import RNNEngine
import Tensors
import Testing

@Suite struct RecognitionTests {
  /// The weights of an architecture in a convention, as a file would hold them.
  private func state(_ convention: Convention, _ architecture: Architecture, _ naming: Naming)
    throws -> StateDict
  {
    let canonical = try Network.parameterTensors(of: architecture)
    var state = try CanonicalWeights(
      canonicalState(architecture, zeros: omitted(convention, architecture)),
      architecture: architecture, tensors: canonical
    ).encoded(as: convention.storedTensors(of: architecture, naming: naming))
    for pair in try convention.structureMetadata(of: architecture, naming: naming) {
      state.metadata[pair.key] = pair.value
    }
    return state
  }

  @Test(arguments: expressible.indices)
  func everyArchitectureIsRecognised(_ index: Int) throws {
    let (convention, architecture) = expressible[index]
    let naming = Naming(recurrent: convention.name == "torch" ? "encoder.rnn." : "")
    let recognition = try Recognition(
      state(convention, architecture, naming),
      options: ReadOptions(
        cell: architecture.cell,
        gruReset: architecture.cell == .gru ? architecture.gruReset : nil))
    #expect(recognition.convention.name == convention.name)
    // Keras's models say that batches come first; the parameters are the same.
    var found = recognition.architecture
    #expect(found.batchFirst == (convention.name == "keras"))
    found.batchFirst = architecture.batchFirst
    #expect(found == architecture)
    #expect(recognition.foreign.isEmpty)
    #expect(recognition.assumptions.isEmpty)
  }

  private let plain = Architecture(
    inputSize: 3, hiddenSize: 5, layerCount: 2, head: .init(classCount: 7, bias: true))

  private func reason(_ state: StateDict, _ options: ReadOptions = .init()) -> String? {
    do {
      _ = try Recognition(state, options: options)
      return nil
    } catch let error as RecurrentError {
      return error.reason
    } catch {
      return "\(error)"
    }
  }

  private func plainState(
    dropping dropped: Name? = nil, replacing replaced: (Name, Tensor)? = nil
  ) throws -> StateDict {
    var result = StateDict()
    for entry in try state(.torch, plain, Naming(recurrent: "rnn.")).entries
    where entry.name != dropped {
      try result.append(
        entry.name, replaced?.0 == entry.name ? replaced?.1 ?? entry.tensor : entry.tensor)
    }
    return result
  }

  @Test func assumptionsAreNamed() throws {
    let recognition = try Recognition(plainState())
    #expect(
      recognition.assumptions == ["assumed nonlinearity tanh; pass --cell rnn_relu if not"])
  }

  @Test func metadataSettlesTheCell() throws {
    var file = try plainState()
    file.metadata["cell"] = "rnn_relu"
    file.metadata["batch_first"] = "true"
    let recognition = try Recognition(file)
    #expect(recognition.architecture.cell == .rnnRelu)
    #expect(recognition.architecture.batchFirst)
    #expect(recognition.assumptions.isEmpty)
    file.metadata["cell"] = "transformer"
    #expect(reason(file) == "metadata.cell")
  }

  @Test func contradictionsAreErrors() throws {
    #expect(reason(try plainState()) == nil)
    #expect(reason(try plainState(dropping: "rnn.bias_hh_l1")) == "weights.missing")
    #expect(reason(try plainState(dropping: "rnn.weight_hh_l0")) == "weights.unrecognized")
    let wrong = try Tensor.make([Double](repeating: 1, count: 6), shape: [6])
    #expect(
      reason(try plainState(replacing: ("rnn.bias_hh_l1", wrong))) == "weights.shape")
    let integers = try Tensor(dtype: .i64, shape: [5], bytes: [UInt8](repeating: 0, count: 40))
    #expect(
      reason(try plainState(replacing: ("rnn.bias_hh_l1", integers))) == "weights.dtype")
    var extra = try plainState()
    try extra.append("rnn.weight_hh_l7", wrong)
    #expect(reason(extra) == "weights.missing")
  }

  @Test func severalModulesAskForOne() throws {
    var file = try plainState()
    for entry in try state(.torch, plain, Naming(recurrent: "decoder.")).entries
    where entry.name.string.hasPrefix("decoder.") {
      try file.append(entry.name, entry.tensor)
    }
    #expect(reason(file) == "weights.ambiguous")
    #expect(reason(file, ReadOptions(module: "decoder")) == nil)
    #expect(reason(file, ReadOptions(module: "nothing")) == "weights.unrecognized")
  }

  @Test func severalModulesAreAllListed() throws {
    var file = try plainState()
    for entry in try state(.torch, plain, Naming(recurrent: "decoder.")).entries
    where entry.name.string.hasPrefix("decoder.") && entry.name != "decoder.bias_hh_l1" {
      try file.append(entry.name, entry.tensor)
    }
    let modules = try Recognition.modules(in: file)
    #expect(modules.map(\.prefix) == ["rnn", "decoder"])
    #expect(try modules[0].network.get().architecture.layerCount == 2)
    #expect(throws: RecurrentError.self) { try modules[1].network.get() }
    #expect(try Recognition.modules(in: StateDict()).isEmpty)
  }

  @Test(arguments: ["embedding", "model.encoder", "wte", "token_embedding"])
  func embeddingsHaveCustomaryNames(_ name: String) throws {
    let architecture = Architecture(
      cell: .gru, inputSize: 5, hiddenSize: 5, embedding: .init(tokenCount: 7),
      head: .init(classCount: 7, bias: false))
    let file = try state(
      .torch, architecture,
      Naming(recurrent: "rnn.", head: "decoder.", embedding: name + "."))
    #expect(try Recognition(file).architecture == architecture)
    // Any other name would be a guess.
    let other = try state(
      .torch, architecture, Naming(recurrent: "rnn.", head: "decoder.", embedding: "stem."))
    #expect(try Recognition(other).architecture.embedding == nil)
    #expect(try Recognition(other).foreign == ["stem.weight"])
  }

  @Test func wholeModulesSayWhatTheyAre() throws {
    let architecture = Architecture(
      inputSize: 4, hiddenSize: 5, embedding: .init(tokenCount: 7),
      head: .init(classCount: 7, bias: true))
    var file = try state(.torch, architecture, Naming(recurrent: "rnn.", head: "fc."))
    file.metadata["torch.modules"] = """
      [{"prefix":"rnn.","mode":"RNN_RELU","batch_first":true},
       {"prefix":"embedding.","num_embeddings":7,"embedding_dim":4,"padding_idx":2}]
      """
    let recognition = try Recognition(file)
    #expect(recognition.architecture.cell == .rnnRelu && recognition.architecture.batchFirst)
    #expect(recognition.architecture.embedding?.paddingIndex == 2)
    #expect(recognition.assumptions.isEmpty)
    file.metadata["cell"] = "rnn_tanh"
    #expect(reason(file) == "metadata.cell")
    file.metadata["torch.modules"] = "rnn"
    #expect(reason(file) == "metadata.torch.modules")
  }

  @Test func gatedCellsAreKnownByTheirShapes() throws {
    for (cell, projSize) in [(Cell.gru, 0), (.lstm, 0), (.lstm, 2)] {
      let architecture = Architecture(
        cell: cell, inputSize: 3, hiddenSize: 5, layerCount: 2, bidirectional: true,
        projSize: projSize)
      var file = try state(.torch, architecture, Naming(recurrent: "rnn."))
      let recognition = try Recognition(file)
      #expect(recognition.architecture == architecture)
      #expect(recognition.assumptions.isEmpty)
      file.metadata["gru_reset"] = "before"
      #expect(
        try Recognition(file).architecture.gruReset == (cell == .gru ? .before : .after))
      #expect(reason(file, ReadOptions(cell: .rnnTanh)) == "metadata.cell")
    }
  }
}
