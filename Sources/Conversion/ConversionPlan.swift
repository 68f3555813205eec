import Bytes
import Containers
import Frameworks
import Networks
import RNNEngine
import Tensors

/// What goes where in a conversion, worked out before anything is written.
public struct ConversionPlan: Sendable {
  /// The input.
  public let input: WeightFile
  /// Where the output goes.
  public let outputPath: String
  /// The output's container.
  public let outputFormat: WeightFormat
  /// The only network of the input, or the one that was chosen; `nil` when there is none or several.
  package let network: Network?
  /// The output's convention; `nil` where the tensors are copied without being understood.
  public let convention: Convention?
  /// The output's tensors in order.
  package let steps: [Step]
  /// The modules of the input, and what becomes of each.
  package let modules: [ModuleFate]
  /// How modules are connected, as far as that is known.
  public let connections: [Connection]
  /// What neither the file nor the caller said.
  public let assumptions: [Assumption]
  /// Tensors of no module that go along unchanged.
  public let carried: [Name]
  /// What the output does not have, one line each.
  public let leftBehind: [String]
  /// The tensors of the input that nothing in the output is made of.
  public var unusedTensors: [Name] {
    let used = Set(steps.flatMap(\.sources))
    return input.state.names.filter { !used.contains($0) }
  }
  /// What else a reader should know, one line each.
  public let notes: [String]
  /// The keys of metadata that the output's container has no place for.
  public let droppedMetadata: [String]
  /// The largest loss of a narrowed tensor, with its name.
  package let losses: [(name: Name, loss: ConversionLoss)]
  /// What a narrower element type changes, one line for each tensor or kind of tensor; empty where nothing.
  public var roundings: [String] { ConversionLoss.report(losses) }
  /// What will be written.
  public let output: StateDict
  /// Whether tensors change their meaning or layout.
  public let changesConvention: Bool
  /// Whether biases are summed, and so rounded.
  public let roundsSums: Bool
  let rewritten: [ModuleRewriting.Rewritten]
  let options: ConversionOptions

  /// Reads the input and works out the conversion; writes nothing.
  ///
  /// Throws what the readers throw, `convention.inexpressible` when the target has no words for the
  /// network, `conversion.not-one-network` when the target holds one network and the file is more, and
  /// `conversion.collision` when two tensors would get one name.
  public init(from inputPath: String, to outputPath: String, options: ConversionOptions) throws {
    var options = options
    // A wrong extension is said before a file is opened.
    options.outputFormat = try options.container(of: outputPath)
    let input: WeightFile
    do {
      input = try WeightFile(path: inputPath, format: options.inputFormat)
    } catch let error as RecurrentError where error.reason == .ptKey {
      // Several state dicts side by side (a generator and its critic): the module names one of them.
      guard let module = options.reading.module else { throw error }
      input = try WeightFile(path: inputPath, format: options.inputFormat, key: module)
      options.reading.module = nil
    }
    try self.init(input, to: outputPath, options: options)
  }

  /// Works out the conversion of a file that is open; reads its elements only to find what narrowing
  /// loses, and writes nothing.
  ///
  /// Throws as ``init(from:to:options:)``, without what opening throws.
  public init(_ input: WeightFile, to outputPath: String, options: ConversionOptions) throws {
    try self.init(input, to: outputPath, options: options, list: nil, isPreview: false)
  }

  /// The same, where the modules are known already.
  ///
  /// A preview is not written, so that its metadata need no second look at what the output would be read as.
  init(
    _ input: WeightFile, to outputPath: String, options: ConversionOptions, list: ModuleList?,
    isPreview: Bool
  ) throws {
    let outputFormat = try options.container(of: outputPath)
    do {
      try self.init(input, outputPath, outputFormat, options, list, isPreview)
    } catch let error as RecurrentError {
      throw error.inFile(input.file.path)
    }
    do {
      try outputFormat.check(output)
    } catch let error as RecurrentError {
      throw error.inFile(outputPath)
    }
  }

  private init(
    _ input: WeightFile, _ outputPath: String, _ outputFormat: WeightFormat,
    _ options: ConversionOptions, _ list: ModuleList?, _ isPreview: Bool
  ) throws {
    self.input = input
    self.outputPath = outputPath
    self.outputFormat = outputFormat
    self.options = options
    let source = try options.dtype.map { try input.state.widening(to: $0) } ?? input.state
    let draft = try PlanDraft(source, input.format, outputFormat, options, list: list)
    var state = draft.state
    var steps = draft.steps
    var losses: [(name: Name, loss: ConversionLoss)] = []
    if let dtype = options.dtype {
      (state, steps, losses) = try Self.converted(
        state, steps, of: input.state, to: dtype, options.progress)
    }
    var leftBehind = draft.leftBehind
    if isPreview, outputFormat.carriesMetadata, !outputFormat.holdsOneNetwork {
      droppedMetadata = []
    } else {
      let said = OutputMetadata(draft, outputFormat, options.reading).write(to: &state)
      droppedMetadata = said.dropped
      leftBehind += said.leftBehind
    }
    leftBehind += input.state.skipped
    let output = try outputFormat.completed(state)
    if outputFormat.isKeras, let connections = output.structure?.connections,
      !connections.isEmpty, output.metadata[KerasMetadata.config] == nil
    {
      leftBehind.append(
        "how the modules are connected: Keras's Sequential is no such network, so the file holds weights alone"
      )
    }
    guard state.count > 0 else {
      throw RecurrentError(
        .weightsNone,
        found: "no tensor to write"
          + (input.state.skipped.first.map { "; what there is: \($0)" } ?? ""),
        expected: "at least one tensor")
    }
    network = draft.network
    convention = draft.convention
    self.steps = steps
    modules = draft.fates
    connections = draft.connections
    assumptions = draft.assumptions
    carried = draft.carried
    self.leftBehind = leftBehind
    self.losses = losses
    changesConvention = !draft.rewritten.isEmpty || draft.changesConvention
    roundsSums = try draft.roundsSums()
    rewritten = draft.rewritten
    notes =
      (draft.notes + (options.overwrites ? OutputFile.remarks(onReplacing: outputPath) : []))
      .map(\.description)
    self.output = output
    if options.isStrict { try checkStrictly() }
  }

  /// Whether the output is the whole of a network whose every connection the file or the caller says: only of that
  /// may it be said that it is the same.
  public var isWholeNetwork: Bool {
    guard let network, outputFormat.holdsOneNetwork else { return false }
    let recognition = network.recognition
    let isSaid =
      recognition.file.structure?.statesConnections == true
      || recognition.convention.fixed != nil || recognition.convention.statesHead
      || input.state.metadata["connections"] != nil
    return isSaid && assumptions.isEmpty
      && connections.allSatisfy { $0.evidence == .stated || $0.evidence == .given }
      && modules.allSatisfy { $0.fate != .leftBehind } && carried.isEmpty && unusedTensors.isEmpty
      && leftBehind.isEmpty
  }

  /// What to say so that nothing is assumed; what is lost all the same, only a conversion that is not strict accepts.
  private func strictHint(isAllAssumed: Bool) -> Advice {
    let said = assumptions.compactMap(\.statement)
    guard !said.isEmpty else { return "Leave out \(.isStrict) to accept it." }
    let list = Advice(said.flatMap { [.text(" "), $0] })
    return isAllAssumed && said.count == assumptions.count
      ? "If what is assumed is so, say it:\(list)"
      : "If what is assumed is so, say it:\(list); the rest is accepted without \(.isStrict)."
  }

  private func checkStrictly() throws {
    var objections = assumptions.map(\.finding) + leftBehind.map { "left behind: \($0)" }
    objections += modules.filter { $0.fate == .leftBehind }.map { "left behind: \($0.module.name)" }
    if roundsSums { objections.append("pairs of biases become their sums, rounded once") }
    for (name, loss) in losses where !loss.isExact { objections.append("\(name) is rounded") }
    guard let first = objections.first else { return }
    throw RecurrentError(
      .conversionStrict,
      found: first + (objections.count > 1 ? "; and \(objections.count - 1) more" : ""),
      expected: "nothing assumed, left behind or rounded",
      hint: strictHint(isAllAssumed: objections.count == assumptions.count))
  }
}
