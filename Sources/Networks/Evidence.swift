import RNNEngine
import Tensors

/// How the toolkit knows something about a file: the law of section 2 of the design.
public enum Evidence: String, Sendable, CaseIterable {
  /// The file says so.
  case stated
  /// The caller said so.
  case given
  /// Names and shapes suggest it, and nothing contradicts it.
  case assumed
  /// Anything else: it is not used.
  case unknown
}

/// Two modules, how one's output reaches the other, and how that is known.
public struct Connection: Sendable, Equatable {
  /// The module that computes.
  public var from: String
  /// The module that reads.
  public var to: String
  /// Which of a recurrent module's results is read.
  public var reads: HeadReads
  /// How that is known.
  public var evidence: Evidence

  /// Connects two modules.
  public init(from: String, to: String, reads: HeadReads = .sequence, evidence: Evidence) {
    (self.from, self.to, self.reads, self.evidence) = (from, to, reads, evidence)
  }

  /// `rnn -> fc [last]`: without the evidence.
  package var path: String {
    "\(from) -> \(to)" + (reads == .sequence ? "" : " [\(reads.rawValue)]")
  }

  /// `rnn -> fc (assumed)`, as metadata keeps it.
  public var summary: String {
    "\(path) (\(evidence.rawValue))"
  }
}

/// Something that neither the file nor the caller said, and that was believed all the same.
public enum Assumption: Sendable, Equatable {
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
  /// Anything that a framework's own convention implies, in its words.
  case note(String)

  /// One line for people, with the flag that changes it.
  public var summary: String {
    switch self {
    case .tanh: "assumed nonlinearity tanh; pass --cell rnn_relu if not"
    case .timeFirst(let module):
      "assumed: \(Self.name(module)) takes (T, N, features); pass --batch-first yes if not"
    case .resetAfter: "assumed reset_after=True; pass --gru-reset before if not"
    case .head(let head, let module):
      "assumed: \(Self.name(head)) follows \(Self.name(module)) directly; pass --head none if not"
    case .everyStep(let head):
      "assumed: \(Self.name(head)) reads every step; pass --head-reads last or final if not"
    case .embedding(let table, let module):
      "assumed: \(Self.name(table)) comes directly before \(Self.name(module));"
        + " pass --embedding none if not"
    case .stack(let module, let layers, let isBidirectional):
      "assumed: \(layers.joined(separator: ", ")) are one stack, one layer each"
        + (isBidirectional ? ", forward + backward" : "")
        + " (by names and sizes); --names FILE describes it otherwise"
        + (module.isEmpty ? "" : " (\(module))")
    case .note(let text): text
    }
  }

  /// The option that turns the assumption into something said; `nil` where there is none.
  package var acceptance: String? {
    switch self {
    case .tanh: "--cell rnn_tanh"
    case .timeFirst: "--batch-first no"
    case .resetAfter: "--gru-reset after"
    case .head(let head, _): head.isEmpty ? nil : "--head \(head)"
    case .everyStep: "--head-reads sequence"
    case .embedding(let table, _): table.isEmpty ? nil : "--embedding \(table)"
    case .stack, .note: nil
    }
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
    case .note: "framework"
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
