import Containers
import Frameworks
import Networks
import RNNEngine
import Tensors

/// A conversion before types and metadata: which modules go where.
struct PlanDraft {
  private(set) var state = StateDict()
  private(set) var steps: [ConversionPlan.Step] = []
  private(set) var fates: [ConversionPlan.ModuleFate] = []
  private(set) var network: Network?
  private(set) var convention: Convention?
  private(set) var connections: [Connection] = []
  private(set) var assumptions: [Assumption] = []
  private(set) var carried: [Name] = []
  private(set) var leftBehind: [String] = []
  private(set) var notes: [Remark] = []
  /// What stands around the modules and is not in the output.
  private(set) var surroundings: [String] = []
  private(set) var rewritten: [ModuleRewriting.Rewritten] = []
  /// Whether a whole network was written anew.
  private(set) var changesConvention = false
  private var targetTensors: [StoredTensor] = []
  private var areReadsGiven = false

  /// `list` are the modules of ``described(_:)``, where they are known already.
  init(
    _ input: StateDict, _ inputFormat: WeightFormat, _ format: WeightFormat,
    _ options: ConversionOptions, list: ModuleList? = nil
  ) throws {
    let reading = options.reading
    areReadsGiven = reading.headReads != nil
    // Only a copy inside one framework's own container needs no meaning.
    let isCopy =
      inputFormat.name == format.name && format.isFrameworkArchive
      && format.name != WeightFormat.onnx.name && !options.needsMeaning
    if isCopy {
      copy(input)
      return
    }
    let input = Self.described(input)
    let list = try list ?? ModuleList(input, options: reading)
    try Self.checkDamage(list, options)
    if let convention = options.convention { try format.check(holds: convention) }
    if format.holdsOneNetwork {
      try oneNetwork(input, format, list, options)
    } else {
      try allModules(input, inputFormat, format, list, options)
    }
  }

  /// A file without the text of a configuration, which describes the container that was read.
  static func described(_ input: StateDict) -> StateDict {
    var result = input
    result.metadata = Metadata(
      unique: input.metadata.pairs.filter { !$0.key.hasPrefix("keras.") }.map { ($0.key, $0.value) }
    )
    return result
  }

  private mutating func copy(_ input: StateDict) {
    state = input
    steps = input.entries.map { .copy($0.name, $0.tensor) }
  }

  /// A module that contradicts itself is damage, whatever is to be done with the file.
  private static func checkDamage(_ list: ModuleList, _ options: ConversionOptions) throws {
    for module in list.recurrent {
      guard let refusal = module.refusal else { continue }
      if let asked = options.reading.module, list.module(asked)?.name != module.name { continue }
      let damage: [RecurrentError.Reason] = [.weightsMissing, .weightsExtra, .weightsShape]
      if damage.contains(refusal.reason) || refusal.reason.isOfMetadata { throw refusal }
    }
  }

  // MARK: Containers of modules

  private mutating func allModules(
    _ input: StateDict, _ inputFormat: WeightFormat, _ format: WeightFormat, _ list: ModuleList,
    _ options: ConversionOptions
  ) throws {
    let target =
      try options.convention ?? format.expectedConvention.map(Convention.named)
      // A framework's archive leaves its framework as PyTorch's; neutral files stay as they are.
      ?? (inputFormat.isFrameworkArchive ? .torch : nil)
    let asked = options.reading.module.flatMap(list.module)
    let isDense = asked.map { !$0.isRecurrent } ?? false
    let isDescribed = list.modules.contains { $0.stated != nil || $0.convention.fixed != nil }
    guard !list.recurrent.isEmpty || isDense || (isDescribed && options.reading.module == nil)
    else {
      let isAsked =
        options.needsMeaning || inputFormat.isFrameworkArchive || format.isFrameworkArchive
      let error = list.unrecognized(input, options.reading)
      if isAsked { throw error }
      copy(input)
      notes.append(.copiedBlindly(module: nil, because: error.found))
      return
    }
    var chosen: [Module]?
    if let asked, isDense {
      if let refusal = asked.refusal { throw refusal }
      chosen = [asked]
    } else if options.reading.module != nil || list.recurrent.count == 1,
      list.recurrent.count > 1 || list.recurrent[0].refusal == nil || options.needsMeaning
    {
      let found = try Recognition(input, list, options.reading)
      network = try Network(input, found)
      if options.reading.module != nil { chosen = found.modules }
    }
    let needsRewriting = list.modules.contains {
      target != nil && $0.convention.name != target?.name
    }
    if !needsRewriting, let refused = list.recurrent.first(where: { $0.refusal != nil }),
      network == nil
    {
      notes.append(
        .copiedBlindly(module: refused.name, because: refused.refusal?.found ?? ""))
    }
    if chosen == nil, needsRewriting { try noteRefused(list) }
    try Self.checkReset(list, chosen, target, format)
    var rewriting: ModuleRewriting
    do {
      rewriting = try ModuleRewriting(
        input, list, as: target, chosen: chosen, keepsNames: !format.carriesMetadata)
    } catch let error as RecurrentError where chosen == nil && list.recurrent.count > 1 {
      throw error.hint == nil
        ? error.hinting("Convert the other modules one by one with \(.module).") : error
    }
    state = rewriting.state
    steps = rewriting.steps
    fates = rewriting.fates
    carried = rewriting.carried
    leftBehind += rewriting.leftBehind
    rewritten = rewriting.rewritten
    convention = target ?? (list.recurrent.first ?? list.modules.first)?.convention
    let kept = chosen ?? list.modules
    connections = list.connections.filter { connection in
      [connection.from, connection.to].allSatisfy { name in kept.contains { $0.name == name } }
    }
    let head = format.carriesMetadata ? network?.recognition.head : nil
    let activation = network?.architecture.head?.activation
    note(kept, list)
    surroundings = list.surroundings(
      of: kept, except: head.flatMap { head in activation.map { (head.name, $0) } }
    ).map(\.text)
    leftBehind += surroundings
    if chosen == nil, needsRewriting || inputFormat.name != format.name {
      leftBehind += list.placeless.map(\.text)
    }
    for module in kept where module.kind == .linear {
      guard let activation = module.stated?.activation else { continue }
      // Metadata keep what stands behind the head of the one network.
      let isKept =
        format.carriesMetadata
        && connections.contains { connection in
          connection.to == module.name
            && kept.contains { $0.name == connection.from && $0.isRecurrent }
        }
      let line = "\(activation) behind \(module.name)"
      guard !isKept, !leftBehind.contains(line) else { continue }
      leftBehind.append(line)
      surroundings.append(line)
    }
    guard !format.carriesMetadata else { return }
    for module in kept where module.architecture.storesInitialState {
      let own = [module.initialState.h, module.initialState.c].compactMap { $0 }
      let names = steps.filter { step in own.contains { step.sources == [$0] } }
        .map(\.target.string)
      leftBehind.append(
        "that \(Assumption.name(module.name)) starts from a stored state (kept as \(names.joined(separator: ", "))):"
          + " \(format.name) has no metadata")
    }
  }

  /// A module that cannot be used is no loose tensors: it is refused where nothing else is there to convert, and named
  /// otherwise.
  private mutating func noteRefused(_ list: ModuleList) throws {
    let refused = list.recurrent.filter { $0.refusal != nil }
    if refused.count == list.recurrent.count, let refusal = refused.first?.refusal { throw refusal }
    for module in refused {
      leftBehind.append(
        "what \(module.name.isEmpty ? "a module" : module.name) means: \(module.refusal?.found ?? "");"
          + " its tensors stay as they are")
    }
  }

  private mutating func note(_ modules: [Module], _ list: ModuleList) {
    assumptions = modules.flatMap(\.assumptions).filter { !$0.isAboutLayout }
    for connection in connections {
      assumptions += Assumption.of(
        connection,
        isHead: modules.contains { $0.name == connection.from && $0.isRecurrent },
        isReadsGiven: areReadsGiven)
    }
    // Of several modules one line may say the same.
    var seen: Set<String> = []
    assumptions = assumptions.filter { seen.insert($0.description).inserted }
    for remark in modules.flatMap(\.notes) + list.notes
    where !notes.contains(remark) { notes.append(remark) }
  }

  /// PyTorch's GRU applies the reset gate behind the product, and its files cannot say otherwise.
  private static func checkReset(
    _ list: ModuleList, _ chosen: [Module]?, _ target: Convention?, _ format: WeightFormat
  ) throws {
    guard format.expectedConvention == Convention.torch.name else { return }
    for module in chosen ?? list.modules
    where module.isRecurrent && module.refusal == nil && module.architecture.cell == .gru
      && module.architecture.gruReset == .before
    {
      let recurrent = module.tensors.first { tensor in
        tensor.placements.contains { $0.slots.contains { $0.role == .weightHH } }
      }
      throw RecurrentError(
        .gruResetBefore(in: module.convention),
        at: recurrent.map { "tensor \"\($0.name)\"" },
        found: "a GRU that applies its reset gate before the recurrent product",
        expected: "one that applies it after, as PyTorch's does",
        hint: "No weights of nn.GRU compute the same; keep it in .h5 for this toolkit,"
          + " or train with reset_after=True.")
    }
  }

  // MARK: Containers of one network

  private mutating func oneNetwork(
    _ input: StateDict, _ format: WeightFormat, _ list: ModuleList, _ options: ConversionOptions
  ) throws {
    let found = try Recognition(input, list, options.reading)
    let network = try Network(input, found)
    let one = try OneNetwork(network, input, options.reading, format)
    let target = try options.convention ?? format.expectedConvention.map(Convention.named) ?? .torch
    guard !network.weights.mixesTypes || options.dtype != nil else {
      throw RecurrentError(
        .weightsDTypeInexpressible, at: "module \"\(found.recurrent.name)\"",
        found: "modules of different element types",
        expected: "one type, because \(format.name) holds one computation",
        hint: "Choose one, for instance \(.word(.dtype, DType.f32)).")
    }
    let (naming, structure) = one.target(target)
    targetTensors = try target.storedTensors(of: network.architecture, naming: naming)
    state = try network.weights.encoded(as: targetTensors)
    steps = targetTensors.map { ConversionPlan.Step($0, from: found.tensors, network.weights) }
    let prefix = naming.recurrent
    let names = found.recurrent.initialState
    for (tensor, name, role) in [
      (network.initialState.h, names.h, "h_0"), (network.initialState.c, names.c, "c_0"),
    ] {
      guard let tensor, let name else { continue }
      try state.append(Name(prefix + role), tensor)
      steps.append(.copy(name, tensor, as: Name(prefix + role)))
    }
    state.structure = structure
    for pair in input.metadata.pairs
    where (!pair.key.contains(".") || list.recurrent.count == 1)
      && pair.key != ModuleMetadata.leftBehindKey
    {
      state.metadata[pair.key] = pair.value
    }
    let outputNames = structure.modules.map(\.name)
    fates = list.modules.map { module in
      let index = found.modules.firstIndex { $0.name == module.name && $0.kind == module.kind }
      return .init(
        module: module, fate: index == nil ? .leftBehind : .converted,
        outputName: index.map { outputNames[$0] } ?? "")
    }
    self.network = network
    convention = target
    connections = found.connections
    assumptions = found.assumptions
    leftBehind = one.leftBehind
    surroundings = one.surroundings
    let isKnown =
      found.recurrent.known.contains(.batchFirst) || options.reading.batchFirst != nil
    if format.isKeras, isKnown, !network.architecture.batchFirst {
      leftBehind.append(
        "the order of x: \(Assumption.name(found.recurrent.name)) takes (T, N, features), Keras's layers"
          + " (N, T, features)")
    }
    for remark in found.notes + list.notes
    where !notes.contains(remark) { notes.append(remark) }
    changesConvention = true
  }

  /// Whether writing adds numbers that are not zero, and so rounds.
  func roundsSums() throws -> Bool {
    if let network, changesConvention { return try network.weights.rounds(writing: targetTensors) }
    return try rewritten.contains { try $0.weights.rounds(writing: $0.tensors) }
  }
}

extension RecurrentError {
  /// The same error with a hint.
  func hinting(_ hint: Advice) -> RecurrentError {
    RecurrentError(
      reason, file: file, at: place, found: found, expected: expected, hint: hint)
  }
}
