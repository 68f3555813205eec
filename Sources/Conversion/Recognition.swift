import RNNEngine
import Tensors

/// What a caller knows about a file that its tensors do not say.
public struct ReadOptions: Sendable {
  /// The convention to read as; `nil` to recognise it.
  public var convention: Convention?
  /// The prefix of the recurrent module, when there are several.
  public var module: String?
  /// The cell, where shapes leave it open (tanh or relu).
  public var cell: Cell?
  /// Where a GRU applies its reset gate, which shapes never say.
  public var gruReset: GRUReset?

  /// Creates options; everything is recognised by default.
  public init(
    convention: Convention? = nil, module: String? = nil, cell: Cell? = nil,
    gruReset: GRUReset? = nil
  ) {
    self.convention = convention
    self.module = module
    self.cell = cell
    self.gruReset = gruReset
  }
}

/// The network found in a state dict, and what had to be assumed to find it.
public struct Recognition: Sendable {
  /// What the tensors mean.
  public let convention: Convention
  /// The network.
  public let architecture: Architecture
  /// The prefixes of the names.
  public let naming: Naming
  /// The convention's table for this network; every tensor of it is in the file.
  public let tensors: [StoredTensor]
  /// Tensors that are not part of the network, in file order.
  public let foreign: [Name]
  /// What neither tensors nor metadata say and was assumed, one line each.
  public let assumptions: [String]
  /// What else a reader should know, one line each.
  public let remarks: [String]
  /// What the file itself says beyond names and shapes.
  let known: Set<Candidate.Fact>

  /// Finds the network in a state dict.
  ///
  /// Throws `weights.unrecognized` when there is none, `weights.ambiguous` when there are several, and
  /// `weights.missing`, `weights.extra` or `weights.shape` when tensors contradict each other.
  public init(_ state: StateDict, options: ReadOptions = .init()) throws {
    let found = try Self.candidates(state, options)
    guard found.count <= 1 else {
      throw RecurrentError(
        .malformed, "weights.ambiguous",
        found: "\(found.count) recurrent modules: "
          + found.map { "\"\($0.1.naming.recurrent)\" (\($0.0.name))" }.joined(separator: ", "),
        expected: "one",
        hint: "rnn-convert takes --module PREFIX or --read-as CONVENTION to choose one.")
    }
    guard let (convention, candidate) = found.first else {
      throw Self.unrecognized(state, options)
    }
    try self.init(state, convention, candidate, options)
  }

  private init(
    _ state: StateDict, _ convention: Convention, _ candidate: Candidate, _ options: ReadOptions
  ) throws {
    if let refusal = candidate.refusal { throw refusal }
    self.convention = convention
    naming = candidate.naming
    let (resolved, assumptions) = try Self.resolve(
      candidate, metadata: state.metadata, options: options)
    architecture = resolved
    self.assumptions = assumptions
    remarks = candidate.remarks
    known = candidate.known
    tensors = try convention.storedTensors(of: architecture, naming: naming)
    try Self.check(state, tensors)
    let own = Set(tensors.map(\.name))
    foreign = state.names.filter { !own.contains($0) }
    if convention.name == Convention.torch.name,
      let stray = foreign.first(where: { TorchKey($0)?.prefix == naming.recurrent })
    {
      throw RecurrentError(
        .malformed, "weights.extra", at: "tensor \"\(stray)\"",
        found: "a parameter that \(architecture.summary) does not have",
        expected: "the parameters of PyTorch's recurrent modules")
    }
  }

  /// A recurrent module found in a file, whether or not it can be used.
  public struct Module: Sendable {
    /// What its tensors mean.
    public let convention: Convention
    /// Before its names, without the dot; what `--module` takes.
    public let prefix: String
    /// The network, or why it cannot be used.
    public let network: Result<Recognition, RecurrentError>
  }

  /// All recurrent modules of a state dict, in file order; empty when there is none.
  ///
  /// Throws what a convention throws that cannot read its own structure metadata.
  public static func modules(
    in state: StateDict, options: ReadOptions = .init()
  ) throws -> [Module] {
    try candidates(state, options).map { convention, candidate in
      let network: Result<Recognition, RecurrentError>
      do {
        network = .success(try Recognition(state, convention, candidate, options))
      } catch let error as RecurrentError {
        network = .failure(error)
      }
      let prefix = candidate.naming.recurrent
      return Module(
        convention: convention,
        prefix: prefix.hasSuffix(".") ? String(prefix.dropLast()) : prefix, network: network)
    }
  }

  private static func candidates(
    _ state: StateDict, _ options: ReadOptions
  ) throws -> [(Convention, Candidate)] {
    var found: [(Convention, Candidate)] = []
    for convention in options.convention.map({ [$0] }) ?? Convention.all {
      for candidate in try convention.candidates(state) {
        if let module = options.module, !matches(module, candidate.naming) { continue }
        found.append((convention, candidate))
      }
    }
    return found
  }

  private static func matches(_ module: String, _ naming: Naming) -> Bool {
    naming.recurrent == module || naming.recurrent == module + "."
  }

  private static func unrecognized(_ state: StateDict, _ options: ReadOptions) -> RecurrentError {
    let hint = options.module.flatMap { module -> String? in
      var others = options
      others.module = nil
      let prefixes = (try? candidates(state, others))?.map(\.1.naming.recurrent) ?? []
      let names = prefixes.map { $0.hasSuffix(".") ? String($0.dropLast()) : $0 }
      return nearest(to: module, among: names).map { "Did you mean --module \($0)?" }
    }
    let names = state.names.prefix(8).map { "\"\($0)\"" }.joined(separator: ", ")
    let wanted =
      options.convention.map { "the \($0.name) convention" }
      ?? "the names of one of: " + Convention.all.map(\.name).joined(separator: ", ")
    return RecurrentError(
      .malformed, "weights.unrecognized",
      found: state.count == 0 ? "no tensors" : "tensors \(names)\(state.count > 8 ? ", …" : "")",
      expected: wanted + (options.module.map { " under \"\($0)\"" } ?? ""), hint: hint)
  }

  /// Combines shapes, metadata and options; contradictions are errors, gaps are assumptions.
  private static func resolve(
    _ candidate: Candidate, metadata: Metadata, options: ReadOptions
  ) throws -> (Architecture, [String]) {
    var architecture = candidate.architecture
    var assumptions: [String] = []
    var declared = options.cell
    if declared == nil, let text = metadata["cell"] {
      guard let cell = Cell(rawValue: text) else {
        throw RecurrentError(
          .unsupported, "metadata.cell", at: "metadata \"cell\"", found: "\"\(text)\"",
          expected: Cell.allCases.map(\.rawValue).joined(separator: " or "))
      }
      declared = cell
    }
    if let declared {
      let gates = architecture.cell.gateNames.count
      guard declared.gateNames.count == gates else {
        throw RecurrentError(
          .malformed, "metadata.cell", at: "metadata \"cell\"", found: declared.rawValue,
          expected: "a cell with \(gates) gates, as the shapes say")
      }
      guard !candidate.known.contains(.cell) || declared == architecture.cell else {
        throw RecurrentError(
          .malformed, "metadata.cell", at: "metadata \"cell\"", found: declared.rawValue,
          expected: "\(architecture.cell.rawValue), as the file says")
      }
      architecture.cell = declared
    } else if !candidate.known.contains(.cell), architecture.cell.gateNames.count == 1 {
      assumptions.append("assumed nonlinearity tanh; pass --cell rnn_relu if not")
    }
    if architecture.cell == .gru {
      let knows = candidate.known.contains(.gruReset)
      let text =
        options.gruReset?.rawValue ?? metadata["gru_reset"]
        ?? (knows ? architecture.gruReset : .after).rawValue
      guard let reset = GRUReset(rawValue: text) else {
        throw RecurrentError(
          .malformed, "metadata.gru_reset", at: "metadata \"gru_reset\"", found: "\"\(text)\"",
          expected: "after or before")
      }
      guard !knows || reset == architecture.gruReset else {
        throw RecurrentError(
          .malformed, "metadata.gru_reset", at: "metadata \"gru_reset\"", found: "\"\(text)\"",
          expected: "\(architecture.gruReset.rawValue), as the file says")
      }
      architecture.gruReset = reset
    }
    switch metadata["batch_first"] {
    case nil, "false"?: break
    case "true"?: architecture.batchFirst = true
    case let text?:
      throw RecurrentError(
        .malformed, "metadata.batch_first", at: "metadata \"batch_first\"", found: "\"\(text)\"",
        expected: "true or false")
    }
    switch metadata["head"] {
    case nil: break
    case "none"?: architecture.head = nil
    case "linear"?:
      guard architecture.head != nil else {
        throw RecurrentError(
          .malformed, "metadata.head", at: "metadata \"head\"", found: "linear",
          expected: "a linear layer with \(architecture.outputSize)"
            + " input features among the tensors")
      }
    case let text?:
      throw RecurrentError(
        .malformed, "metadata.head", at: "metadata \"head\"", found: "\"\(text)\"",
        expected: "none or linear")
    }
    return (architecture, assumptions)
  }

  private static func check(_ state: StateDict, _ tensors: [StoredTensor]) throws {
    var dtype: DType?
    for stored in tensors {
      let place = "tensor \"\(stored.name)\""
      guard let tensor = state[stored.name] else {
        throw RecurrentError(
          .malformed, "weights.missing", at: place, found: "no such tensor",
          expected: "shape \(stored.shape)")
      }
      // NumPy notebooks write biases as (n), (1, n) or (n, 1) alike; the bytes are the same.
      let isVector = stored.shape.filter { $0 != 1 }.count <= 1
      let fits =
        tensor.shape == stored.shape
        || (isVector && tensor.shape.filter { $0 != 1 } == stored.shape.filter { $0 != 1 })
      guard fits else {
        throw RecurrentError(
          .malformed, "weights.shape", at: place, found: "shape \(tensor.shape)",
          expected: "shape \(stored.shape)")
      }
      guard tensor.dtype.isFloatingPoint else {
        throw RecurrentError(
          .malformed, "weights.dtype", at: place, found: tensor.dtype.rawValue,
          expected: "a floating-point type")
      }
      guard dtype == nil || dtype == tensor.dtype else {
        throw RecurrentError(
          .malformed, "weights.dtype", at: place, found: tensor.dtype.rawValue,
          expected: "\(dtype?.rawValue ?? ""), the type of the network's other tensors")
      }
      dtype = tensor.dtype
    }
  }
}
