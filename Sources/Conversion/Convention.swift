import RNNEngine
import Tensors

/// What the tensors of a file mean: for an architecture, a table of stored tensors and of where in
/// each of them every gate of every canonical parameter lies.
///
/// Decoding, encoding, recognition and the printed plan are all derived from the table. A new
/// convention is one file in `Conventions/` and one word in ``all``.
public struct Convention: Sendable {
  /// The name on the command line.
  public let name: String
  /// One line about its origin, for help texts.
  public let summary: String
  /// The architectures that the names and shapes suggest, with the prefixes found; not yet checked.
  let candidates: @Sendable (StateDict) -> [Candidate]
  /// The table of an architecture; throws `.malformed` where the convention has no words for it.
  let table: @Sendable (Architecture, Naming) throws -> [StoredTensor]

  /// All conventions, in the order in which recognition tries them.
  public static let all: [Convention] = [.torch, .textbookD0, .textbookD1, .textbookD3]

  /// The convention with a name; throws `.usage` otherwise.
  public static func named(_ name: String) throws -> Convention {
    guard let convention = all.first(where: { $0.name == name }) else {
      throw RecurrentError(
        .usage, "usage.convention", found: "convention \"\(name)\"",
        expected: "one of " + all.map(\.name).joined(separator: ", "))
    }
    return convention
  }

  /// The stored tensors of an architecture, in the order in which the convention writes them.
  public func storedTensors(of architecture: Architecture, naming: Naming = .init()) throws
    -> [StoredTensor]
  {
    try table(architecture, naming)
  }

  /// The error of an architecture that a convention cannot hold.
  static func inexpressible(_ convention: String, _ what: String, hint: String)
    -> RecurrentError
  {
    RecurrentError(
      .malformed, "convention.inexpressible", found: what,
      expected: "an architecture that \(convention) has names for", hint: hint)
  }
}

/// The prefixes of names in files that hold more than one module.
public struct Naming: Sendable, Equatable {
  /// Before every recurrent key, dot included; empty for a bare `nn.RNN`.
  public var recurrent: String
  /// Before `weight` and `bias` of the head, dot included.
  public var head: String

  /// Names prefixes; PyTorch models usually have `rnn.` and `classifier.`.
  public init(recurrent: String = "", head: String = "classifier.") {
    self.recurrent = recurrent
    self.head = head
  }

  /// The names that PyTorch users would give the modules of a converted network.
  public static func customary(for architecture: Architecture) -> Naming {
    architecture.head == nil ? Naming() : Naming(recurrent: "rnn.", head: "classifier.")
  }
}

/// An architecture that names and shapes suggest.
struct Candidate: Sendable {
  var architecture: Architecture
  var naming: Naming
}
