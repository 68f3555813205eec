import RNNEngine
import Tensors
import WeightFormats

/// What a conversion should do.
public struct ConversionOptions: Sendable {
  /// The input's container; `nil` to recognise it by content.
  public var inputFormat: WeightFormat?
  /// The output's container; `nil` to choose it by extension.
  public var outputFormat: WeightFormat?
  /// What the caller knows about the input.
  public var reading = ReadOptions()
  /// The output's convention; `nil` for the container's, or else the input's.
  public var convention: Convention?
  /// The output's floating-point type; `nil` to keep every tensor's own.
  public var dtype: DType?
  /// Whether the output is proven equal before it appears.
  public var verifies = true
  /// The number of parameters up to which both networks are run to prove a change of convention.
  ///
  /// Running needs memory in proportion to the parameters; larger networks are proven by comparing
  /// parameter by parameter, which needs the same memory for any size.
  public var largestRun = 1 << 21
  /// Whether an existing output may be replaced.
  public var overwrites = false
  /// Called after every piece of work, on the thread that converts.
  public var progress: (@Sendable (ConversionProgress) -> Void)?

  /// Creates options that keep everything as it is.
  public init() {}
}

/// What goes where in a conversion, worked out before anything is written.
public struct ConversionPlan: Sendable {
  /// One tensor of the output.
  public struct Step: Sendable {
    /// The output's tensor.
    public let target: Name
    /// Its shape in the output.
    public let shape: [Int]
    /// Its element type in the output.
    public let dtype: DType
    /// The input's tensors that it is made of.
    public let sources: [Name]
    /// What happens on the way ("transposed"); empty when the bytes are copied.
    public let actions: [String]
  }

  /// The input.
  public let input: WeightFile
  /// Where the output goes.
  public let outputPath: String
  /// The output's container.
  public let outputFormat: WeightFormat
  /// The network in the input; `nil` when the tensors are copied without being understood.
  public let network: Network?
  /// The output's convention; `nil` without a network.
  public let convention: Convention?
  /// The output's tensors in order.
  public let steps: [Step]
  /// Assumptions, and what is not carried over; one line each.
  public let notes: [String]
  /// The keys of metadata that the output's container has no place for.
  public let droppedMetadata: [String]
  /// The largest loss of a narrowed tensor, with its name.
  public let losses: [(name: Name, loss: ConversionLoss)]
  /// What will be written.
  public let output: StateDict
  /// Whether tensors change their meaning or layout.
  public let changesConvention: Bool
  let options: ConversionOptions

  /// Reads the input and works out the conversion; writes nothing.
  ///
  /// Throws what the readers throw, `convention.inexpressible` when the target has no words for the
  /// network, and `conversion.collision` when two tensors would get one name.
  public init(from inputPath: String, to outputPath: String, options: ConversionOptions) throws {
    var options = options
    // A wrong extension is said before a file is opened.
    options.outputFormat = try Self.container(of: outputPath, options)
    let input: WeightFile
    do {
      input = try WeightFile(path: inputPath, format: options.inputFormat)
    } catch let error as RecurrentError where error.reason == "pt.key" {
      // Several state dicts side by side (a generator and its critic): the module names one of them.
      guard let module = options.reading.module else { throw error }
      input = try WeightFile(path: inputPath, format: options.inputFormat, key: module)
      options.reading.module = nil
    }
    try self.init(input, to: outputPath, options: options)
  }

  private static func container(
    of outputPath: String, _ options: ConversionOptions
  ) throws -> WeightFormat {
    let format = try options.outputFormat ?? WeightFormat.forWriting(path: outputPath)
    let isForKeras = options.convention?.name == Convention.keras.name
    // Keras has an HDF5 layout of its own, and would not find plain datasets.
    return format.name == WeightFormat.hdf5.name && isForKeras ? .kerasLegacy : format
  }

  /// Works out the conversion of a file that is open; reads its elements only to find what narrowing
  /// loses, and writes nothing.
  public init(_ input: WeightFile, to outputPath: String, options: ConversionOptions) throws {
    self.input = input
    self.outputPath = outputPath
    let outputFormat = try Self.container(of: outputPath, options)
    self.outputFormat = outputFormat
    self.options = options
    do {
      var notes: [String] = []
      let network = try Self.network(
        in: input.state, options, isArchive: input.format.isFrameworkArchive,
        // Only a copy inside one framework's own container needs no meaning.
        asked: (outputFormat.isFrameworkArchive || input.format.isFrameworkArchive)
          && input.format.name != outputFormat.name,
        &notes)
      let fromArchive = input.format.isFrameworkArchive
      let target =
        try options.convention
        ?? network.flatMap { network in
          try outputFormat.expectedConvention.map(Convention.named)
            // A framework's archive leaves its framework as PyTorch's; neutral files stay as they are.
            ?? (fromArchive ? .torch : network.recognition.convention)
        }
      if network != nil { try target.map(outputFormat.check(holds:)) }
      changesConvention =
        network != nil
        && (target?.name != network?.recognition.convention.name
          || outputFormat.lacksStructure(input.state.metadata))
      if let network { try Self.refuseResetBefore(network, in: outputFormat) }
      var (state, steps) = try Self.rearranged(
        input.state, network, changesConvention ? target : nil,
        keepsForeign: !outputFormat.isFrameworkArchive)
      if changesConvention, outputFormat.isFrameworkArchive {
        notes += (network?.recognition.foreign ?? []).map {
          "tensor \($0) is left behind: \(outputFormat.name) holds the network's own only"
        }
      }
      var losses: [(name: Name, loss: ConversionLoss)] = []
      if let dtype = options.dtype {
        (state, steps, losses) = try Self.narrowed(state, steps, to: dtype, options.progress)
      }
      var droppedMetadata: [String] = []
      if outputFormat.carriesMetadata {
        if network != nil {
          state.metadata["format"] = state.metadata["format"] ?? "rnn-state-dict"
          state.metadata["format_version"] = state.metadata["format_version"] ?? "1"
        }
        if let cell = options.reading.cell { state.metadata["cell"] = cell.rawValue }
        if let network { Self.note(network, in: &state.metadata) }
        if let reset = options.reading.gruReset { state.metadata["gru_reset"] = reset.rawValue }
      } else {
        // Structure is no loss: it describes the container that was read.
        notes += state.metadata.pairs.filter { pair in
          !pair.key.hasPrefix("format") && !Convention.all.contains { $0.ownsMetadata(pair.key) }
        }.map {
          "metadata \($0.key) = \($0.value) is not carried over: \(outputFormat.name) has no metadata"
        }
        droppedMetadata = state.metadata.pairs.map(\.key).filter { !$0.hasPrefix("format") }
        state.metadata = Metadata()
      }
      notes += input.state.skipped.map { "not a weight, left behind: \($0)" }
      if options.overwrites { notes += OutputFile.remarks(onReplacing: outputPath) }
      self.network = network
      convention = network == nil ? nil : target
      self.steps = steps
      self.losses = losses
      self.notes = notes
      self.droppedMetadata = droppedMetadata
      output = try outputFormat.completed(state)
    } catch let error as RecurrentError {
      throw error.inFile(input.file.path)
    }
    do {
      try outputFormat.check(output)
    } catch let error as RecurrentError {
      throw error.inFile(outputPath)
    }
  }

  /// The network, or `nil` when nothing requires one and the tensors are merely copied.
  private static func network(
    in state: StateDict, _ options: ConversionOptions, isArchive: Bool, asked: Bool,
    _ notes: inout [String]
  ) throws -> Network? {
    do {
      let network = try Network(state, options: options.reading)
      notes += network.recognition.assumptions + network.recognition.remarks
      return network
    } catch let error as RecurrentError {
      // A network that contradicts itself is damage; no network at all is none of our business
      // unless the caller asked for meaning.
      let damage = ["weights.missing", "weights.extra", "weights.shape"]
      let asked =
        // A module that is there and cannot be expressed must not pass for tensors without meaning.
        asked || (isArchive && error.reason != "weights.unrecognized")
        || options.convention != nil || options.reading.convention != nil
        || options.reading.module != nil || options.reading.cell != nil
      if asked || damage.contains(error.reason) || error.reason.hasPrefix("metadata.") {
        throw error
      }
      notes.append("tensors are copied without being understood: \(error.found)")
      return nil
    }
  }

  /// PyTorch's GRU applies the reset gate behind the product, and its files cannot say otherwise.
  private static func refuseResetBefore(_ network: Network, in format: WeightFormat) throws {
    let architecture = network.architecture
    guard architecture.cell == .gru, architecture.gruReset == .before,
      format.expectedConvention == Convention.torch.name
    else { return }
    let recurrent = network.recognition.tensors.first { tensor in
      tensor.placements.contains { $0.slots.contains { $0.role == .weightHH } }
    }
    throw RecurrentError(
      .malformed, "\(network.recognition.convention.name).gru-reset-before",
      at: recurrent.map { "tensor \"\($0.name)\"" },
      found: "a GRU that applies its reset gate before the recurrent product",
      expected: "one that applies it after, as PyTorch's does",
      hint: "No weights of nn.GRU compute the same; keep it in .h5 for this toolkit,"
        + " or train with reset_after=True.")
  }

  /// Writes down what shapes or the file itself settle; nothing is assumed by that.
  private static func note(_ network: Network, in metadata: inout Metadata) {
    let architecture = network.architecture
    let known = network.recognition.known
    if architecture.cell.gateNames.count > 1 || known.contains(.cell) {
      metadata["cell"] = architecture.cell.rawValue
    }
    if architecture.cell == .gru, known.contains(.gruReset) {
      metadata["gru_reset"] = architecture.gruReset.rawValue
    }
    if known.contains(.batchFirst) {
      metadata["batch_first"] = architecture.batchFirst ? "true" : "false"
    }
  }

  private static func rearranged(
    _ state: StateDict, _ network: Network?, _ target: Convention?, keepsForeign: Bool
  ) throws -> (StateDict, [Step]) {
    guard let network, let target else {
      let steps = state.entries.map {
        Step(
          target: $0.name, shape: $0.tensor.shape, dtype: $0.tensor.dtype, sources: [$0.name],
          actions: [])
      }
      return (state, steps)
    }
    let architecture = network.architecture
    let naming = Naming.customary(for: architecture)
    let tensors = try target.storedTensors(of: architecture, naming: naming)
    var result = try network.weights.encoded(as: tensors)
    var steps = tensors.map { step($0, network) }
    let source = network.recognition.convention
    for name in keepsForeign ? network.recognition.foreign : [] {
      guard let tensor = state[name] else { continue }
      guard result[name] == nil else {
        throw RecurrentError(
          .malformed, "conversion.collision", at: "tensor \"\(name)\"",
          found: "a tensor outside the network with a name that \(target.name) needs",
          expected: "distinct names")
      }
      // Paths of an archive's objects become the dotted names that everybody else has.
      let carried =
        source.name == Convention.keras.name && target.name != source.name
        ? Name(String(name.string.map { $0 == "/" ? "." : $0 })) : name
      try result.append(carried, tensor)
      steps.append(
        Step(
          target: carried, shape: tensor.shape, dtype: tensor.dtype, sources: [name],
          actions: ["not part of the network, carried along"]))
    }
    for pair in state.metadata.pairs where !source.ownsMetadata(pair.key) {
      result.metadata[pair.key] = pair.value
    }
    for (key, value) in try target.structureMetadata(of: architecture, naming: naming) {
      result.metadata[key] = value
    }
    let foreign = Set(network.recognition.foreign)
    result.ties = state.ties.filter { foreign.contains($0.key) && foreign.contains($0.value) }
    return (result, steps)
  }

  /// Compares the two tables to say what happens to a tensor.
  private static func step(_ target: StoredTensor, _ network: Network) -> Step {
    var sources: [Name] = []
    var actions: [String] = []
    func note(_ action: String) { if !actions.contains(action) { actions.append(action) } }
    let origins = network.recognition.tensors
    for placement in target.placements {
      for (index, slot) in placement.slots.enumerated() {
        let origin = origins.lazy.compactMap { stored in
          stored.placements.first { $0.slots.contains(slot) }.map { (stored, $0) }
        }.first
        guard let (stored, from) = origin else { continue }
        if network.weights.merged.contains(slot) {
          if index == 0 { note("zeros (the input stores one bias for two)") }
          continue
        }
        if !sources.contains(stored.name) { sources.append(stored.name) }
        let size = slot.size(in: network.architecture)
        if size.columns > 1, (from.columnStride == 1) != (placement.columnStride == 1) {
          note("transposed")
        }
        if from.slots.count > 1, placement.slots.count == 1 { note("the whole of one bias") }
        if from.addend != 0 { note("\(from.addend) added to gate \(slot.gateName(network))") }
        let (old, new) = (gates(in: stored, like: slot), gates(in: target, like: slot))
        if old.count == new.count, old != new { note("gates permuted") }
      }
      if sources.count > 1, placement.slots.count > 1 { note("biases summed") }
    }
    let shapes = sources.compactMap { name in origins.first { $0.name == name }?.shape }
    if let shape = shapes.first, shape != target.shape, shape.reversed() != target.shape {
      note("\(shape) reshaped")
    }
    if actions.isEmpty, sources.count == 1, sources[0] != target.name { note("renamed") }
    return Step(
      target: target.name, shape: target.shape, dtype: network.weights.dtype, sources: sources,
      actions: actions)
  }

  /// The order in which a tensor holds the gates of a slot's kind.
  private static func gates(in stored: StoredTensor, like slot: Slot) -> [Int] {
    stored.placements.filter { placement in
      placement.slots.contains { $0.part == slot.part && $0.role == slot.role }
    }.sorted { $0.offset < $1.offset }.map { $0.slots[0].gate }
  }

  private static func narrowed(
    _ state: StateDict, _ steps: [Step], to dtype: DType,
    _ progress: (@Sendable (ConversionProgress) -> Void)?
  ) throws -> (StateDict, [Step], [(name: Name, loss: ConversionLoss)]) {
    guard dtype.isFloatingPoint else {
      throw RecurrentError(
        .usage, "usage.dtype", found: dtype.rawValue, expected: "f64, f32, f16 or bf16")
    }
    var result = StateDict()
    result.metadata = state.metadata
    result.ties = state.ties
    var narrowedSteps: [Step] = []
    var losses: [(name: Name, loss: ConversionLoss)] = []
    let counter = progress.map(PhaseCounter.init)
    counter?.begin(.rounding, state)
    let observed = try counter.map { counter in try state.observed(counter.note) } ?? state
    for ((entry, seen), step) in zip(zip(state.entries, observed.entries), steps) {
      let from = entry.tensor.dtype
      guard from.isFloatingPoint, from != dtype else {
        try result.append(entry.name, entry.tensor)
        narrowedSteps.append(step)
        continue
      }
      let (_, loss) = try seen.tensor.converted(to: dtype)
      try result.append(entry.name, entry.tensor.rounded(to: dtype))
      losses.append((entry.name, loss))
      narrowedSteps.append(
        Step(
          target: step.target, shape: step.shape, dtype: dtype, sources: step.sources,
          actions: step.actions + ["\(from.rawValue) to \(dtype.rawValue)"]))
    }
    return (result, narrowedSteps, losses)
  }
}

extension Slot {
  fileprivate func gateName(_ network: Network) -> String {
    network.architecture.cell.gateNames[gate]
  }
}
