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
  /// `groups` are the recurrent parameters, the head's and the embedding's, as ``RNNEngine/Model/parameterGroups``;
  /// `initialState` has `h_0` and `c_0`, where there is one.
  /// Throws `convention.inexpressible`.
  package init<S: Scalar>(
    network groups: [Parameters<S>], _ architecture: Architecture,
    initialState: StateDict = StateDict(), as convention: Convention, in format: WeightFormat,
    names: (recurrent: String, head: String, embedding: String)? = nil
  ) throws {
    guard initialState.count == 0 || format.carriesMetadata else {
      throw RecurrentError(
        .conventionInexpressible, found: "a stored initial state",
        expected: "zeros: \(format.name) has no metadata that could say so")
    }
    let customary = Naming.customary(for: architecture)
    let bare = customary.recurrent.withoutDot
    let (recurrent, head, embedding) = names ?? (bare, "classifier", "embedding")
    var torch = try StateDict(
      canonical: groups, architecture: architecture,
      as: Convention.torch.storedTensors(
        of: architecture,
        naming: Naming(
          recurrent: recurrent.asPrefix, head: head.asPrefix, embedding: embedding.asPrefix)))
    for entry in initialState.entries {
      try torch.append(Name(recurrent.asPrefix + entry.name.string), entry.tensor)
    }
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
      for entry in initialState.entries {
        try append(Name(naming.recurrent + entry.name.string), entry.tensor)
      }
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
  /// Parameters under the names of a table, for instance that of the file they came from.
  ///
  /// `groups` are the recurrent parameters, the head's and the embedding's, or the first of them. Throws
  /// `convention.inexpressible` for what has no place in the table.
  package init<S: Scalar>(
    canonical groups: [Parameters<S>], architecture: Architecture, as tensors: [StoredTensor]
  ) throws {
    self = try CanonicalWeights(
      StateDict(canonical: groups), architecture: architecture,
      tensors: Network.parameterTensors(of: architecture)
    ).encoded(as: tensors)
  }

  /// A file's tensors with others in the place of some; all that the file says stays.
  ///
  /// Names that shared a tensor with a replaced one have tensors of their own now.
  package func replacing(_ changed: StateDict) throws -> StateDict {
    var result = StateDict()
    for entry in entries { try result.append(entry.name, changed[entry.name] ?? entry.tensor) }
    result.metadata = metadata
    result.structure = structure
    result.keepsOrder = keepsOrder
    result.skipped = skipped
    result.ties = ties.filter { changed[$0.key] == nil && changed[$0.value] == nil }
    return result
  }

  /// A file's tensors, ready to be written in another container or convention: everything that the file holds goes
  /// along.
  package init(
    rewriting source: StateDict, of format: WeightFormat, options: ReadOptions,
    as convention: Convention?, in output: WeightFormat
  ) throws {
    var conversion = ConversionOptions()
    conversion.reading = options
    // A model of Keras that stays what it is need not be understood.
    let stays =
      output.holdsOneNetwork && format.name == output.name
      && convention?.name == output.expectedConvention
    conversion.convention = stays ? nil : convention
    let draft = try PlanDraft(source, format, output, conversion)
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

  /// Writes a state with what the container adds, read back and compared before the file appears.
  package func write(proven state: StateDict, to path: String, overwrite: Bool) throws {
    let planned = try prepared(state)
    try write(planned, to: path, overwrite: overwrite) { written in
      try written.checkReadBack(of: planned)
    }
  }
}

extension ModuleList {
  /// The module with a name and a kind; throws `weights.unrecognized` naming those that are there, or its refusal.
  package func named(_ name: String, _ kind: ModuleKind) throws -> Module {
    guard let module = modules.first(where: { $0.name == name && $0.kind == kind }) else {
      throw RecurrentError(
        .weightsUnrecognized, at: "module \"\(name)\"",
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
