import Bytes
import Networks
import RNNEngine
import Tensors

extension ConversionPlan {
  /// One tensor of the output.
  package struct Step: Sendable {
    /// The output's tensor.
    package let target: Name
    /// Its shape in the output.
    package let shape: [Int]
    /// Its element type in the output.
    package let dtype: DType
    /// The input's tensors that it is made of.
    package let sources: [Name]
    /// What happens on the way; empty when the bytes are copied.
    package let actions: [Action]

    /// A tensor whose bytes are copied.
    static func copy(
      _ name: Name, _ tensor: Tensor, as target: Name? = nil, _ actions: [Action] = []
    )
      -> Step
    {
      Step(
        target: target ?? name, shape: tensor.shape, dtype: tensor.dtype, sources: [name],
        actions: actions + (target.map { $0 != name } == true && actions.isEmpty ? [.renamed] : [])
      )
    }

    /// Compares two tables to say what happens to a tensor.
    init(_ target: StoredTensor, from origins: [StoredTensor], _ weights: CanonicalWeights) {
      var sources: [Name] = []
      var actions: [Action] = []
      func note(_ action: Action) { if !actions.contains(action) { actions.append(action) } }
      for placement in target.placements {
        for (index, slot) in placement.slots.enumerated() {
          let origin = origins.lazy.compactMap { stored in
            stored.placements.first { $0.slots.contains(slot) }.map { (stored, $0) }
          }.first
          guard let (stored, from) = origin else { continue }
          if weights.merged.contains(slot) {
            if index == 0 { note(.zeroBias) }
            continue
          }
          if !sources.contains(stored.name) { sources.append(stored.name) }
          let size = slot.size(in: weights.architecture)
          if size.columns > 1, (from.columnStride == 1) != (placement.columnStride == 1) {
            note(.transposed)
          }
          if from.slots.count > 1, placement.slots.count == 1 { note(.wholeBias) }
          if from.addend != 0 {
            note(.added(from.addend, gate: weights.architecture.cell.gateNames[slot.gate]))
          }
          let (old, new) = (Self.gates(in: stored, like: slot), Self.gates(in: target, like: slot))
          if old.count == new.count, old != new { note(.gatesPermuted) }
        }
        if sources.count > 1, placement.slots.count > 1 { note(.biasesSummed) }
      }
      let shapes = sources.compactMap { name in origins.first { $0.name == name }?.shape }
      if let shape = shapes.first, shape != target.shape, shape.reversed() != target.shape {
        note(.reshaped(from: shape))
      }
      if actions.isEmpty, sources.count == 1, sources[0] != target.name { note(.renamed) }
      self.init(
        target: target.name, shape: target.shape, dtype: weights.dtype(of: target),
        sources: sources, actions: actions)
    }

    init(target: Name, shape: [Int], dtype: DType, sources: [Name], actions: [Action]) {
      self.target = target
      self.shape = shape
      self.dtype = dtype
      self.sources = sources
      self.actions = actions
    }

    /// The order in which a tensor holds the gates of a slot's kind.
    private static func gates(in stored: StoredTensor, like slot: Slot) -> [Int] {
      stored.placements.filter { placement in
        placement.slots.contains { $0.part == slot.part && $0.role == slot.role }
      }.sorted { $0.offset < $1.offset }.map { $0.slots[0].gate }
    }
  }

  /// What happens to a tensor on its way.
  package enum Action: Sendable, Hashable {
    /// It has another name.
    case renamed
    /// It belongs to no module and goes along.
    case carried
    /// Rows become columns.
    case transposed
    /// The gates stand in another order.
    case gatesPermuted
    /// Two biases become their sum.
    case biasesSummed
    /// It has all of the one bias that the input stores for two.
    case wholeBias
    /// It is zeros, because the input stores one bias for two.
    case zeroBias
    /// The input's framework adds this number to a gate when it runs.
    case added(Double, gate: String)
    /// The same numbers in another shape than this.
    case reshaped(from: [Int])
    /// Another element type.
    case converted(from: DType, to: DType)
  }

  /// What became of one module.
  package enum Fate: String, Sendable {
    /// Its tensors are rewritten into the output's convention.
    case converted
    /// Its tensors are copied byte for byte.
    case copied
    /// It is not in the output.
    case leftBehind = "left behind"
  }

  /// One module of the input, and what becomes of it.
  package struct ModuleFate: Sendable {
    /// The module.
    package let module: Module
    /// What becomes of it.
    package let fate: Fate
    /// Its name in the output.
    package let outputName: String
  }

  /// The planned tensors in another floating-point type, and what each of them loses.
  static func converted(
    _ state: StateDict, _ steps: [Step], of original: StateDict, to dtype: DType,
    _ progress: (@Sendable (ConversionProgress) -> Void)?
  ) throws -> (StateDict, [Step], [(name: Name, loss: ConversionLoss)]) {
    guard dtype.isFloatingPoint else {
      throw RecurrentError(
        .usageDType, found: dtype.rawValue, expected: "f64, f32, f16 or bf16")
    }
    var result = StateDict()
    result.metadata = state.metadata
    result.structure = state.structure
    result.ties = state.ties
    var convertedSteps: [Step] = []
    var losses: [(name: Name, loss: ConversionLoss)] = []
    let counter = progress.map(PhaseCounter.init)
    counter?.begin(.rounding, state)
    let observed = try counter.map { counter in try state.observed(counter.note) } ?? state
    for ((entry, seen), step) in zip(zip(state.entries, observed.entries), steps) {
      // What was widened before it was added up came in another type.
      let from = step.sources.first.flatMap { original[$0]?.dtype } ?? entry.tensor.dtype
      guard from.isFloatingPoint, from != dtype else {
        try result.append(entry.name, entry.tensor)
        convertedSteps.append(step)
        continue
      }
      let (_, loss) = try seen.tensor.converted(to: dtype)
      try result.append(entry.name, entry.tensor.rounded(to: dtype))
      losses.append((entry.name, loss))
      convertedSteps.append(
        Step(
          target: step.target, shape: step.shape, dtype: dtype, sources: step.sources,
          actions: step.actions + [.converted(from: from, to: dtype)]))
    }
    return (result, convertedSteps, losses)
  }
}

extension StateDict {
  /// The file with its numbers in a wider type, without a loss; what is as wide or wider stays.
  ///
  /// Conventions with one bias hold the sum of PyTorch's two: added in f16 it would be rounded before it is widened.
  func widening(to dtype: DType) throws -> StateDict {
    try mapTensors { tensor in
      guard tensor.dtype.isFloatingPoint, dtype.isFloatingPoint, tensor.dtype != dtype,
        dtype.holds(tensor.dtype)
      else { return tensor }
      return try tensor.rounded(to: dtype)
    }
  }
}

extension ConversionPlan.Action: CustomStringConvertible {
  /// A word or two (`transposed`).
  package var description: String {
    switch self {
    case .renamed: "renamed"
    case .carried: "of no module, carried along"
    case .transposed: "transposed"
    case .gatesPermuted: "gates permuted"
    case .biasesSummed: "biases summed"
    case .wholeBias: "the whole of one bias"
    case .zeroBias: "zeros (the input stores one bias for two)"
    case .added(let number, let gate): "\(number) added to gate \(gate)"
    case .reshaped(let shape): "\(shape) reshaped"
    case .converted(let from, let to): "\(from.rawValue) to \(to.rawValue)"
    }
  }
}
