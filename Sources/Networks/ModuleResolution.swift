import RNNEngine
import Tensors

extension Module {
  /// Checks a candidate against metadata, options and every tensor of its table.
  ///
  /// Throws `metadata.…` where metadata are no values of their keys; everything else that is wrong with the
  /// module is its ``refusal``.
  package init(
    _ convention: Convention, _ candidate: Candidate, _ state: StateDict, _ options: ReadOptions,
    _ index: NameIndex, isOnlyOne: Bool
  ) throws {
    self.convention = convention
    name = candidate.name
    kind = candidate.kind
    naming = candidate.naming
    known = candidate.known
    stated = candidate.stated
    layerNames = candidate.layerNames
    var remarks = candidate.remarks
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
        if try options.gruReset != nil || metadata.gruReset() != nil {
          assumptions.removeAll { if case .resetAfter = $0 { true } else { false } }
        }
        if try metadata.statesStack(
          architecture.layerCount, isBidirectional: architecture.bidirectional)
        {
          assumptions.removeAll(where: \.isStack)
        }
        initialState = try Self.initialState(candidate, architecture, metadata, state)
        if architecture.cell.hasCellState, (initialState.h == nil) != (initialState.c == nil) {
          let (there, missing) = initialState.h == nil ? ("c_0", "h_0") : ("h_0", "c_0")
          remarks.append(.oneState(stored: there, missing: missing))
        }
        architecture.storesInitialState = initialState.h != nil || initialState.c != nil
      }
      if refusal == nil, architecture.cell == .lstm {
        refusal = Self.peephole(candidate, architecture.layerCount, state)
      }
      if refusal == nil {
        tensors = try convention.storedTensors(of: architecture, naming: naming)
        try Self.check(state, tensors)
        let finder = LayoutFinder(convention: convention, state: state, index: index)
        if let stray = finder.stray(of: candidate, except: Set(tensors.map(\.name))) {
          throw RecurrentError(
            .weightsExtra, at: "tensor \"\(stray)\"",
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
    notes = remarks
    self.refusal = refusal
    self.tensors = refusal == nil ? tensors : []
    self.initialState = refusal == nil ? initialState : (nil, nil)
  }

  private static func initialState(
    _ candidate: Candidate, _ architecture: Architecture, _ metadata: ModuleMetadata,
    _ state: StateDict
  ) throws -> (h: Name?, c: Name?) {
    switch candidate.stated?.recurrent.initialState {
    case .stored(let h, let c)?: return (h, c)
    case .zeros?, .fed?, .computed?: return (nil, nil)
    case nil: break
    }
    guard try metadata.storesInitialState() else { return (nil, nil) }
    let prefix = candidate.name.asPrefix
    let h = Name("\(prefix)h_0")
    let c = Name("\(prefix)c_0")
    let hasCellState = architecture.cell.hasCellState
    guard state[h] != nil || (hasCellState && state[c] != nil) else {
      throw RecurrentError(
        .weightsMissing, at: "tensor \"\(h)\"", found: "no such tensor",
        expected: "the initial state that metadata \"initial_state\" promises")
    }
    for (name, size) in [(h, architecture.stateSize), (c, architecture.hiddenSize)] {
      guard let shape = state[name]?.shape else { continue }
      let count = architecture.layerCount * architecture.directionCount
      guard shape.count == 3, shape[0] == count, shape[1] >= 1, shape[2] == size else {
        throw RecurrentError(
          .weightsShape, at: "tensor \"\(name)\"", found: "shape \(shape)",
          expected: "(L·directions, 1 or N, H): [\(count), 1, \(size)]")
      }
    }
    return (state[h] == nil ? nil : h, hasCellState && state[c] != nil ? c : nil)
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
          key == "cell" ? .networkCell : .networkGRUReset,
          at: "module \"\(candidate.name)\"", found: "\(key) \(found)", expected: expected)
        : RecurrentError(
          .metadata(key, .mismatch), at: "metadata \"\(key)\"", found: "\"\(found)\"",
          expected: expected, hint: ModuleMetadata.hint)
    }
    let own = (
      cell: try metadata.cell(), reset: try metadata.gruReset(),
      batchFirst: try metadata.batchFirst()
    )
    if let cell = own.cell, let asked = options.cell, asked != cell,
      asked.gateNames.count == cell.gateNames.count
    {
      throw contradiction(
        "cell", isOption: true, asked.rawValue, "\(cell.rawValue), as the file says")
    }
    if let declared = options.cell ?? own.cell {
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
    if architecture.cell == .gru, let reset = options.gruReset ?? own.reset {
      if let known = own.reset, known != reset {
        throw contradiction(
          "gru_reset", isOption: true, reset.rawValue, "\(known.rawValue), as the file says")
      }
      guard !candidate.known.contains(.gruReset) || reset == architecture.gruReset else {
        throw contradiction(
          "gru_reset", isOption: options.gruReset != nil, reset.rawValue,
          "\(architecture.gruReset.rawValue), as the file says")
      }
      architecture.gruReset = reset
    }
    let stated = candidate.known.contains(.batchFirst) ? architecture.batchFirst : own.batchFirst
    if let stated, let asked = options.batchFirst, asked != stated {
      throw RecurrentError(
        .networkBatchFirst, at: "module \"\(candidate.name)\"",
        found: "batch_first \(asked)", expected: "\(stated), as the file says")
    }
    if let batchFirst = stated ?? options.batchFirst {
      architecture.batchFirst = batchFirst
    } else if candidate.kind != .cell {
      // A cell makes one step; it has no time axis.
      assumptions.append(.timeFirst(module: candidate.name))
    }
    if let dropout = try metadata.dropout() { architecture.dropout = dropout }
    try metadata.checkSupported(architecture.cell, isBidirectional: architecture.bidirectional)
    return assumptions
  }

  /// Weights by which an LSTM's gates look at its cell state (`weight_ci_l0`): it computes something else without them.
  private static func peephole(_ candidate: Candidate, _ layerCount: Int, _ state: StateDict)
    -> RecurrentError?
  {
    let prefix = candidate.name.asPrefix
    for layer in 0..<layerCount {
      for word in ["ci", "cf", "co"] {
        let name = Name("\(prefix)weight_\(word)_l\(layer)")
        guard state[name] != nil else { continue }
        return RecurrentError(
          .weightsPeepholes, at: "tensor \"\(name)\"",
          found: "peephole weights", expected: "an LSTM without them, as PyTorch's")
      }
    }
    return nil
  }

  /// Throws `weights.missing`, `weights.shape` or `weights.dtype` unless every tensor of a table is there.
  private static func check(_ state: StateDict, _ tensors: [StoredTensor]) throws {
    var dtype: DType?
    for stored in tensors {
      let place = "tensor \"\(stored.name)\""
      let tensor = try state.required(stored)
      guard LayoutFinder.fits(tensor.shape, stored.shape) else {
        throw RecurrentError(
          .weightsShape, at: place, found: "shape \(tensor.shape)",
          expected: "shape \(stored.shape)")
      }
      guard tensor.dtype.isFloatingPoint else {
        throw RecurrentError(
          .weightsDType, at: place, found: tensor.dtype.rawValue,
          expected: "a floating-point type")
      }
      guard dtype == nil || dtype == tensor.dtype else {
        throw RecurrentError(
          .weightsDType, at: place, found: tensor.dtype.rawValue,
          expected: "\(dtype?.rawValue ?? ""), the type of the module's other tensors")
      }
      dtype = tensor.dtype
    }
  }
}

/// Options about a cell or a layout are about the module that was asked for, or about all.
private func isMeant(_ candidate: Candidate, _ options: ReadOptions) -> Bool {
  guard let module = options.module else { return true }
  let bare = module.withoutSeparator
  return candidate.name == bare || candidate.name.hasPrefix(bare + ".")
    || candidate.layerNames.contains(bare) || bare.isSpelled(as: candidate.name)
}
