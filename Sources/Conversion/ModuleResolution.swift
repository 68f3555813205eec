import RNNEngine
import Tensors

extension Module {
  /// Checks a candidate against metadata, options and every tensor of its table.
  ///
  /// Throws `metadata.…` where metadata are no values of their keys; everything else that is wrong with the
  /// module is its ``refusal``.
  init(
    _ convention: Convention, _ candidate: Candidate, _ state: StateDict, _ options: ReadOptions,
    _ index: NameIndex, isOnlyOne: Bool
  ) throws {
    self.convention = convention
    name = candidate.name
    kind = candidate.kind
    naming = candidate.naming
    known = candidate.known
    stated = candidate.stated
    remarks = candidate.remarks
    var architecture = candidate.architecture
    var assumptions = candidate.assumptions
    var refusal = candidate.refusal
    var tensors: [StoredTensor] = []
    var initialState: (h: Name?, c: Name?) = (nil, nil)
    do {
      if candidate.kind.isRecurrent, refusal == nil {
        let metadata = ModuleMetadata(state.metadata, module: candidate.name, isOnlyOne: isOnlyOne)
        assumptions += try Self.resolve(
          &architecture, candidate, metadata, isMeant(candidate, options) ? options : .init())
        if try options.gruReset ?? metadata.gruReset() != nil {
          assumptions.removeAll { $0.code == "gru_reset" }
        }
        initialState = try Self.initialState(candidate, metadata, state)
        architecture.storesInitialState = initialState.h != nil || initialState.c != nil
      }
      if refusal == nil {
        tensors = try convention.storedTensors(of: architecture, naming: naming)
        try Self.check(state, tensors)
        let finder = LayoutFinder(convention: convention, state: state, index: index)
        if let stray = finder.stray(of: candidate, except: Set(tensors.map(\.name))) {
          throw RecurrentError(
            .malformed, "weights.extra", at: "tensor \"\(stray)\"",
            found: "a parameter that \(architecture.summary) does not have",
            expected: "the parameters of PyTorch's recurrent modules")
        }
      }
    } catch let error as RecurrentError {
      refusal = error
      tensors = []
    }
    self.architecture = architecture
    self.assumptions = assumptions
    self.refusal = refusal
    self.tensors = refusal == nil ? tensors : []
    self.initialState = refusal == nil ? initialState : (nil, nil)
  }

  private static func initialState(
    _ candidate: Candidate, _ metadata: ModuleMetadata, _ state: StateDict
  ) throws -> (h: Name?, c: Name?) {
    switch candidate.stated?.recurrent.initialState {
    case .stored(let h, let c)?: return (h, c)
    case .zeros?, .fed?, .computed?: return (nil, nil)
    case nil: break
    }
    guard try metadata.storesInitialState() else { return (nil, nil) }
    let prefix = candidate.name.isEmpty ? "" : candidate.name + "."
    let h = Name("\(prefix)h_0")
    guard state[h] != nil else {
      throw RecurrentError(
        .malformed, "weights.missing", at: "tensor \"\(h)\"", found: "no such tensor",
        expected: "the initial state that metadata \"initial_state\" promises")
    }
    let c = Name("\(prefix)c_0")
    return (h, state[c] == nil ? nil : c)
  }

  /// Combines shapes, metadata and options; contradictions are errors, gaps are assumptions.
  private static func resolve(
    _ architecture: inout Architecture, _ candidate: Candidate, _ metadata: ModuleMetadata,
    _ options: ReadOptions
  ) throws -> [Assumption] {
    var assumptions: [Assumption] = []
    // What the caller says is no metadata.
    func contradiction(_ key: String, isOption: Bool, _ found: String, _ expected: String)
      -> RecurrentError
    {
      isOption
        ? RecurrentError(
          .malformed, "network.\(key == "cell" ? "cell" : "gru-reset")",
          at: "module \"\(candidate.name)\"", found: "\(key) \(found)", expected: expected)
        : RecurrentError(
          .malformed, "metadata.\(key)", at: "metadata \"\(key)\"", found: "\"\(found)\"",
          expected: expected, hint: ModuleMetadata.hint)
    }
    if let declared = try options.cell ?? metadata.cell() {
      let gates = architecture.cell.gateNames.count
      guard declared.gateNames.count == gates else {
        throw contradiction(
          "cell", isOption: options.cell != nil, declared.rawValue,
          "a cell with \(gates) gate\(gates == 1 ? "" : "s"), as the shapes say")
      }
      guard !candidate.known.contains(.cell) || declared == architecture.cell else {
        throw contradiction(
          "cell", isOption: options.cell != nil, declared.rawValue,
          "\(architecture.cell.rawValue), as the file says")
      }
      architecture.cell = declared
    } else if !candidate.known.contains(.cell), architecture.cell.gateNames.count == 1 {
      assumptions.append(.tanh(module: candidate.name))
    }
    if architecture.cell == .gru, let reset = try options.gruReset ?? metadata.gruReset() {
      guard !candidate.known.contains(.gruReset) || reset == architecture.gruReset else {
        throw contradiction(
          "gru_reset", isOption: options.gruReset != nil, reset.rawValue,
          "\(architecture.gruReset.rawValue), as the file says")
      }
      architecture.gruReset = reset
    }
    if candidate.known.contains(.batchFirst) {
      if let asked = options.batchFirst, asked != architecture.batchFirst {
        throw RecurrentError(
          .malformed, "network.batch-first", at: "module \"\(candidate.name)\"",
          found: "batch_first \(asked)",
          expected: "\(architecture.batchFirst), as the file says")
      }
      _ = try metadata.batchFirst()
    } else if let batchFirst = try options.batchFirst ?? metadata.batchFirst() {
      architecture.batchFirst = batchFirst
    } else if !candidate.known.contains(.batchFirst), candidate.kind != .cell {
      // A cell makes one step; it has no time axis.
      assumptions.append(.timeFirst(module: candidate.name))
    }
    if let dropout = try metadata.dropout() { architecture.dropout = dropout }
    try metadata.checkSupported()
    return assumptions
  }

  /// Throws `weights.missing`, `weights.shape` or `weights.dtype` unless every tensor of a table is there.
  private static func check(_ state: StateDict, _ tensors: [StoredTensor]) throws {
    var dtype: DType?
    for stored in tensors {
      let place = "tensor \"\(stored.name)\""
      let tensor = try state.required(stored)
      guard LayoutFinder.fits(tensor.shape, stored.shape) else {
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
          expected: "\(dtype?.rawValue ?? ""), the type of the module's other tensors")
      }
      dtype = tensor.dtype
    }
  }
}

/// Options about a cell or a layout are about the module that was asked for, or about all.
private func isMeant(_ candidate: Candidate, _ options: ReadOptions) -> Bool {
  guard let module = options.module else { return true }
  let bare = module.hasSuffix(".") ? String(module.dropLast()) : module
  return candidate.name == bare || candidate.name.hasPrefix(bare + ".")
    || candidate.stated?.layerNames.contains(bare) == true
}
