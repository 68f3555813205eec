import RNNEngine
import Tensors

/// Something that neither the file nor the caller said, and that was believed all the same.
public enum Assumption: Sendable, Hashable {
  /// The nonlinearity of an Elman cell is tanh.
  case tanh(module: String)
  /// Inputs and outputs are (T, N, ·).
  case timeFirst(module: String)
  /// A GRU of a framework that has both forms applies its reset gate after the product.
  case resetAfter(module: String)
  /// A linear layer follows a recurrent module directly.
  case head(String, follows: String)
  /// The head of a module reads its output at every step.
  case everyStep(head: String)
  /// A table comes directly before a recurrent module.
  case embedding(String, precedes: String)
  /// Single layers stand on each other (or side by side), in this order.
  case stack(module: String, layers: [String], isBidirectional: Bool)
  /// A class of the author's own computes what PyTorch's module of its kind does.
  case authorsClass(module: String, className: String, kind: ModuleKind)
  /// A linear layer of Keras has no activation behind it.
  case noActivation(module: String)
  /// A recurrent layer of Keras has the settings that Keras gives it.
  case kerasDefaults(module: String, isBidirectional: Bool)
  /// MLX 0.18 or later wrote square matrices; before, they lay transposed.
  case mlxOrientation
  /// TensorFlow 1 adds 1 to the forget gate when it runs.
  case forgetBias
  /// A key of a names file, which the file itself marks as a guess.
  case draftedKey(String, module: String, value: String)
  /// The matrices of a module in a names file are (outputs, inputs).
  case rows(module: String)
  /// The gates of a module in a names file stand in PyTorch's order.
  case gateOrder(module: String, gates: [String])

  /// What is believed, in one clause.
  public var finding: String {
    switch self {
    case .tanh: "assumed nonlinearity tanh"
    case .timeFirst(let module): "assumed: \(Self.name(module)) takes (T, N, features)"
    case .resetAfter: "assumed reset_after=True"
    case .head(let head, let module):
      "assumed: \(Self.name(head)) follows \(Self.name(module)) directly"
    case .everyStep(let head): "assumed: \(Self.name(head)) reads every step"
    case .embedding(let table, let module):
      "assumed: \(Self.name(table)) comes directly before \(Self.name(module))"
    case .stack(_, let layers, let isBidirectional):
      "assumed: \(layers.joined(separator: ", ")) are one stack, one layer each"
        + (isBidirectional ? ", forward + backward" : "") + " (by names and sizes)"
    case .authorsClass(let module, let className, let kind):
      "assumed: \(Self.name(module)), a \(className), computes what PyTorch's own"
        + " \(kind == .cell ? "cell" : kind == .recurrent ? "recurrent layer" : kind.rawValue) does"
    case .noActivation(let module): "assumed: \(module) has no activation behind it"
    case .kerasDefaults(let module, let isBidirectional):
      "assumed: \(module.isEmpty ? "the layer" : module) has Keras's standard "
        + (isBidirectional ? "activations and merge mode" : "activations, reads forwards")
        + ", and skips no steps"
    case .mlxOrientation:
      "square matrices: assumed that MLX 0.18 or later wrote them; before, they lay transposed"
    case .forgetBias: "TensorFlow 1 adds forget_bias when it runs; assumed 1.0, its default"
    case .draftedKey(let key, let module, let value):
      "assumed: \(key) of \(module) is \(value), as the names file guesses"
    case .rows(let module):
      "assumed: the matrices of \(module) are (outputs, inputs), as PyTorch's"
    case .gateOrder(let module, let gates):
      "assumed: the gates of \(module) stand in PyTorch's order \(gates.joined(separator: " "))"
    }
  }

  /// One line: what is believed, and what to say if it is not so.
  package var advice: Advice {
    switch self {
    case .tanh: "\(finding); pass \(.word(.cell, Cell.rnnRelu)) if not"
    case .timeFirst: "\(finding); pass \(.means(.batchFirst, .flag(true))) if not"
    case .resetAfter: "\(finding); pass \(.word(.gruReset, GRUReset.before)) if not"
    case .head: "\(finding); pass \(.means(.head, Advice.Value.none)) if not"
    case .everyStep: "\(finding); pass \(.word(.headReads, HeadReads.last, or: .final)) if not"
    case .embedding: "\(finding); pass \(.means(.embedding, Advice.Value.none)) if not"
    case .stack(let module, _, _):
      "\(finding); \(.namesFile) describes it otherwise\(module.isEmpty ? "" : " (\(module))")"
    case .noActivation, .kerasDefaults: "\(finding); the file has no model"
    case .forgetBias: "\(finding), which a checkpoint does not hold"
    case .draftedKey: "\(finding); take it out of \"assumed\" there if it is so"
    case .rows: "\(finding); \"orientation\" in the names file says it otherwise"
    case .gateOrder: "\(finding); \"gates\" in the names file says it otherwise"
    case .authorsClass, .mlxOrientation: "\(finding)"
    }
  }

  /// What turns the assumption into something said; `nil` where nothing does.
  package var statement: Advice.Part? {
    switch self {
    case .tanh: .word(.cell, Cell.rnnTanh)
    case .timeFirst: .means(.batchFirst, .flag(false))
    case .resetAfter: .word(.gruReset, GRUReset.after)
    case .head(let head, _): head.isEmpty ? nil : .head(head)
    case .everyStep: .word(.headReads, HeadReads.sequence)
    case .embedding(let table, _): table.isEmpty ? nil : .means(.embedding, .name(table))
    case .stack, .authorsClass, .noActivation, .kerasDefaults, .mlxOrientation, .forgetBias,
      .draftedKey, .rows, .gateOrder:
      nil
    }
  }

  /// Whether it is about how x is laid out, which is no part of a network.
  package var isAboutLayout: Bool {
    if case .timeFirst = self { true } else { false }
  }

  package var isStack: Bool {
    if case .stack = self { true } else { false }
  }

  /// A word for programs.
  public var code: String {
    switch self {
    case .tanh: "nonlinearity"
    case .timeFirst: "batch_first"
    case .resetAfter: "gru_reset"
    case .head: "head"
    case .everyStep: "head_reads"
    case .embedding: "embedding"
    case .stack: "stack"
    case .authorsClass, .noActivation, .kerasDefaults, .mlxOrientation, .forgetBias, .draftedKey,
      .rows, .gateOrder:
      "framework"
    }
  }

  /// What a connection assumes: that it is there, and what is read.
  package static func of(_ connection: Connection, isHead: Bool, isReadsGiven: Bool) -> [Assumption]
  {
    guard connection.evidence == .assumed else { return [] }
    guard isHead else { return [.embedding(connection.from, precedes: connection.to)] }
    let head = Assumption.head(connection.to, follows: connection.from)
    return isReadsGiven || connection.reads != .sequence
      ? [head] : [head, .everyStep(head: connection.to)]
  }

  package static func name(_ module: String) -> String {
    module.isEmpty ? "the recurrent module" : module
  }
}

extension Assumption: CustomStringConvertible {
  /// One line in the library's words.
  public var description: String { advice.description }
}
