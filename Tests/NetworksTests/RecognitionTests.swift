import Networks
import NetworksTestSupport
import RNNEngine
import Tensors
import Testing

@Suite("Names and shapes are recognised, and what is ambiguous is not guessed")
struct RecognitionTests {
  /// The weights of an architecture in a convention, as a file would hold them.
  private func state(_ convention: Convention, _ architecture: Architecture, _ naming: Naming)
    throws -> StateDict
  {
    let canonical = try Network.parameterTensors(of: architecture)
    return try CanonicalWeights(
      canonicalState(architecture, zeros: omitted(convention, architecture)),
      architecture: architecture, tensors: canonical
    ).encoded(as: convention.storedTensors(of: architecture, naming: naming))
  }

  /// What the caller has to say about an architecture that a list of tensors leaves open.
  private func options(_ architecture: Architecture, _ state: StateDict) throws -> ReadOptions {
    let list = try ModuleList(state)
    func neighbour(_ kind: ModuleKind, _ isThere: Bool) -> ReadOptions.Neighbour {
      isThere ? list.modules.first { $0.kind == kind }.map { .named($0.name) } ?? .none : .none
    }
    return ReadOptions(
      cell: architecture.cell,
      gruReset: architecture.cell == .gru ? architecture.gruReset : nil,
      head: neighbour(.linear, architecture.head != nil),
      embedding: neighbour(.embedding, architecture.embedding != nil),
      batchFirst: architecture.batchFirst)
  }

  @Test(arguments: expressible.indices)
  func everyArchitectureIsRecognised(_ index: Int) throws {
    let (convention, architecture) = expressible[index]
    var naming = Naming(recurrent: convention.name == "torch" ? "encoder.rnn." : "")
    if convention.name == "keras" {
      (naming.head, naming.embedding) = ("layers/dense/vars/#", "layers/embedding/vars/#")
    }
    let file = try state(convention, architecture, naming)
    if convention.name == "keras", architecture.layerCount > 1 {
      // Without a model nothing says that layers of one class stand on each other.
      let layers = try ModuleList(file, options: ReadOptions(cell: architecture.cell)).recurrent
      #expect(layers.count == architecture.layerCount)
      #expect(layers.allSatisfy { $0.refusal == nil && $0.architecture.layerCount == 1 })
      return
    }
    let recognition = try Recognition(file, options: options(architecture, file))
    #expect(recognition.convention.name == convention.name)
    #expect(recognition.architecture == architecture)
    #expect(recognition.foreign.isEmpty)
    // What names leave open is only how single layers stand together, and what a framework implies.
    let open = Set(recognition.assumptions.map(\.code))
    #expect(open.isSubset(of: ["stack", "framework"]), "\(open)")
    if convention.name == "torch" { #expect(open.isEmpty) }
  }

  private let plain = Architecture(
    inputSize: 3, hiddenSize: 5, layerCount: 2, head: .init(classCount: 7, bias: true))

  private func reason(_ state: StateDict, _ options: ReadOptions = .init()) -> String? {
    do {
      _ = try Recognition(state, options: options)
      return nil
    } catch let error as RecurrentError {
      return error.reason.code
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
      recognition.assumptions.map(\.description) == [
        "assumed nonlinearity tanh; pass `cell: .rnnRelu` if not",
        "assumed: classifier follows rnn directly; pass `head: .none` if not",
        "assumed: classifier reads every step; pass `headReads: .last` or `.final` if not",
        "assumed: rnn takes (T, N, features); pass `batchFirst: true` if not",
      ])
    #expect(recognition.connections.map(\.evidence) == [.assumed])
  }

  @Test func metadataSettlesTheCell() throws {
    var file = try plainState()
    file.metadata["cell"] = "rnn_relu"
    file.metadata["batch_first"] = "true"
    let recognition = try Recognition(file)
    #expect(recognition.architecture.cell == .rnnRelu)
    #expect(recognition.architecture.batchFirst)
    #expect(recognition.assumptions.map(\.code) == ["head", "head_reads"])
    file.metadata["connections"] = "rnn -> classifier [last] (given)"
    let said = try Recognition(file)
    #expect(said.assumptions.isEmpty && said.architecture.head?.reads == .last)
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
    let modules = try ModuleList(file).recurrent
    #expect(modules.map(\.name) == ["rnn", "decoder"])
    #expect(modules[0].refusal == nil && modules[0].architecture.layerCount == 2)
    #expect(modules[1].refusal?.reason.code == "weights.missing")
    #expect(try ModuleList(StateDict()).modules.isEmpty)
  }

  @Test(arguments: ["embedding", "model.encoder", "wte", "token_embedding"])
  func embeddingsHaveCustomaryNames(_ name: String) throws {
    let architecture = Architecture(
      cell: .gru, inputSize: 5, hiddenSize: 5, embedding: .init(tokenCount: 7),
      head: .init(classCount: 7, bias: false))
    let file = try state(
      .torch, architecture,
      Naming(recurrent: "rnn.", head: "decoder.", embedding: name + "."))
    #expect(try Recognition(file).architecture.embedding?.tokenCount == 7)
    // Any other name would be a guess, unless the caller says so.
    let other = try state(
      .torch, architecture, Naming(recurrent: "rnn.", head: "decoder.", embedding: "stem."))
    #expect(try Recognition(other).architecture.embedding == nil)
    let given = try Recognition(other, options: ReadOptions(embedding: .named("stem")))
    #expect(given.architecture.embedding?.tokenCount == 7)
    #expect(given.connections.first?.evidence == .given)
  }

  @Test func wholeModulesSayWhatTheyAre() throws {
    let architecture = Architecture(
      inputSize: 4, hiddenSize: 5, embedding: .init(tokenCount: 7),
      head: .init(classCount: 7, bias: true))
    var file = try state(.torch, architecture, Naming(recurrent: "rnn.", head: "fc."))
    var recurrent = Structure.Recurrent()
    (recurrent.cell, recurrent.batchFirst) = ("rnn_relu", true)
    file.structure = Structure(modules: [
      .init(name: "embedding", kind: .embedding, paddingIndex: 2),
      .init(name: "rnn", kind: .recurrent, recurrent: recurrent),
      .init(name: "fc", kind: .linear),
    ])
    let recognition = try Recognition(file)
    #expect(recognition.architecture.cell == .rnnRelu && recognition.architecture.batchFirst)
    #expect(recognition.architecture.embedding?.paddingIndex == 2)
    #expect(recognition.assumptions.map(\.code) == ["embedding", "head", "head_reads"])
    // A module of another kind in between contradicts the assumption.
    file.structure?.modules.insert(.init(name: "act", kind: .other, className: "ReLU"), at: 2)
    #expect(try Recognition(file).head == nil)
    file.structure?.modules[2].className = "Dropout"
    #expect(try Recognition(file).head?.name == "fc")
    file.metadata["cell"] = "rnn_tanh"
    #expect(reason(file) == "metadata.cell")
  }

  @Test func gatedCellsAreKnownByTheirShapes() throws {
    for (cell, projSize) in [(Cell.gru, 0), (.lstm, 0), (.lstm, 2)] {
      let architecture = Architecture(
        cell: cell, inputSize: 3, hiddenSize: 5, layerCount: 2, bidirectional: true,
        projSize: projSize)
      var file = try state(.torch, architecture, Naming(recurrent: "rnn."))
      let recognition = try Recognition(file)
      #expect(recognition.architecture == architecture)
      #expect(recognition.assumptions.map(\.code) == ["batch_first"])
      file.metadata["gru_reset"] = "before"
      #expect(
        try Recognition(file).architecture.gruReset == (cell == .gru ? .before : .after))
      #expect(reason(file, ReadOptions(cell: .rnnTanh)) == "network.cell")
    }
  }
}
