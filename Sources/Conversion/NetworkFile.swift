import Bytes
import Containers
import Frameworks
import Networks
import RNNEngine
import Tensors

extension StateDict {
  /// The parameters of a network that a program made, ready to be written: under PyTorch users' names in `convention`, with
  /// everything that tensors cannot say as metadata, or as structure where the container holds a computation.
  ///
  /// `groups` are the recurrent parameters, the head's and the embedding's, as ``SequenceModel/parameterGroups``.
  /// Throws `convention.inexpressible`.
  package init<S: Scalar>(
    network groups: [Parameters<S>], _ architecture: Architecture, as convention: Convention,
    in format: WeightFormat, names: (recurrent: String, head: String, embedding: String)? = nil
  ) throws {
    let customary = Naming.customary(for: architecture)
    let bare = customary.recurrent.withoutDot
    let (recurrent, head, embedding) = names ?? (bare, "classifier", "embedding")
    var torch = try CanonicalWeights(
      StateDict(canonical: groups), architecture: architecture,
      tensors: Network.parameterTensors(of: architecture)
    ).encoded(
      as: Convention.torch.storedTensors(
        of: architecture,
        naming: Naming(
          recurrent: recurrent.asPrefix, head: head.asPrefix, embedding: embedding.asPrefix)))
    torch.metadata["format"] = "rnn-state-dict"
    torch.metadata["format_version"] = "1"
    ModuleMetadata.write(
      architecture, module: recurrent, isOnlyOne: true, isCertain: [.cell, .gruReset, .batchFirst],
      to: &torch.metadata)
    torch.metadata["head"] = architecture.head == nil ? "none" : "linear"
    var connections: [Connection] = []
    if architecture.embedding != nil {
      connections.append(
        Connection(from: embedding, to: recurrent, reads: .sequence, evidence: .given))
    }
    if let reads = architecture.head?.reads {
      connections.append(
        Connection(from: recurrent, to: head, reads: reads, evidence: .given))
    }
    torch.metadata["connections"] =
      connections.isEmpty ? nil : ModuleMetadata.text(connections)
    let reading = ReadOptions(convention: .torch)
    if format.holdsOneNetwork {
      let network = try Network(torch, options: reading)
      let one = try OneNetwork(network, torch, reading, format)
      let (naming, structure) = one.target(convention)
      self = try network.weights.encoded(
        as: convention.storedTensors(of: network.architecture, naming: naming))
      self.structure = structure
      metadata = torch.metadata
    } else if convention.name == Convention.torch.name {
      self = torch
    } else {
      let list = try ModuleList(torch, options: reading)
      self = try ModuleRewriting(torch, list, as: convention).state
    }
    if !format.carriesMetadata { metadata = Metadata() }
  }
}

extension StateDict {
  /// A file's tensors with the parameters of one of its networks replaced, ready to be written in another container
  /// or convention: everything else that the file holds goes along.
  ///
  /// `canonical` are the parameters under the canonical names, ``Network/parameterTensors(of:)``.
  package init(
    updating source: StateDict, of format: WeightFormat, _ recognition: Recognition,
    with canonical: StateDict, options: ReadOptions, as convention: Convention?,
    in output: WeightFormat
  ) throws {
    let weights = try CanonicalWeights(
      canonical, architecture: recognition.architecture,
      tensors: Network.parameterTensors(of: recognition.architecture))
    let updated = try weights.encoded(as: recognition.tensors)
    var state = StateDict()
    for entry in source.entries {
      try state.append(entry.name, updated[entry.name] ?? entry.tensor)
    }
    state.metadata = source.metadata
    state.structure = source.structure
    state.keepsOrder = source.keepsOrder
    state.ties = source.ties.filter { updated[$0.key] == nil && updated[$0.value] == nil }
    var conversion = ConversionOptions()
    conversion.reading = options
    conversion.convention = convention
    let draft = try PlanDraft(state, format, output, conversion)
    self = draft.state
    _ = OutputMetadata(draft, output, options).write(to: &self)
  }
}

extension WeightFormat {
  /// A state with what the container adds because of the tensors; throws what the container cannot hold.
  package func prepared(_ state: StateDict) throws -> StateDict {
    let result = try completed(state)
    try check(result)
    return result
  }
}

extension ModuleList {
  /// The module with a name and a kind; throws `weights.unrecognized` naming those that are there, or its refusal.
  package func named(_ name: String, _ kind: ModuleKind) throws -> Module {
    guard let module = modules.first(where: { $0.name == name && $0.kind == kind }) else {
      throw RecurrentError(
        .malformed, "weights.unrecognized", at: "module \"\(name)\"",
        found: modules.first { $0.name == name }.map(\.what) ?? "no such module",
        expected: "a module of kind \(kind.rawValue): one of "
          + modules.filter { $0.kind == kind }.map { "\"\($0.name)\"" }.joined(separator: ", "),
        hint: nearest(to: name, among: modules.filter { $0.kind == kind }.map(\.name))
          .map { "Did you mean \"\($0)\"?" })
    }
    if let refusal = module.refusal { throw refusal }
    return module
  }
}

extension Network {
  /// One module of a file, alone.
  package init(_ state: StateDict, module: Module) throws {
    try self.init(
      module: module,
      CanonicalWeights(state, architecture: module.architecture, tensors: module.tensors),
      initialState: (
        module.initialState.h.flatMap { state[$0] }, module.initialState.c.flatMap { state[$0] }
      ))
  }

  /// The parameters under the canonical names.
  package var canonical: StateDict {
    get throws { try weights.encoded(as: Self.parameterTensors(of: architecture)) }
  }
}
