import Tensors

/// How the toolkit knows something about a file; the page "What a proof proves" says what follows from each.
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
  package init(from: String, to: String, reads: HeadReads = .sequence, evidence: Evidence) {
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
