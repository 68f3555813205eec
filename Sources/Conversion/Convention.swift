import RNNEngine
import Tensors
import WeightFormats

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
  let candidates: @Sendable (StateDict) throws -> [Candidate]
  /// The table of an architecture; throws `.malformed` where the convention has no words for it.
  let table: @Sendable (Architecture, Naming) throws -> [StoredTensor]
  /// What the convention's own container needs beside the tensors (a graph, a configuration), as
  /// metadata under keys that begin with the convention's name and a dot.
  var structure: @Sendable (Architecture, Naming) throws -> [(key: String, value: String)] = {
    _, _ in []
  }

  /// All conventions, in the order in which recognition tries them.
  public static let all: [Convention] = [
    .torch, .keras, .onnx, .mlx, .flax, .nnx, .burn, .tensorFlow, .textbookD0, .textbookD1,
    .textbookD3,
  ]

  /// The convention with a name; throws `.usage` otherwise.
  public static func named(_ name: String) throws -> Convention {
    guard let convention = all.first(where: { $0.name == name }) else {
      throw RecurrentError(
        .usage, "usage.convention", found: "convention \"\(name)\"",
        expected: "one of " + all.map(\.name).joined(separator: ", "),
        hint: nearest(to: name, among: all.map(\.name)).map { "Did you mean \($0)?" })
    }
    return convention
  }

  /// The stored tensors of an architecture, in the order in which the convention writes them.
  public func storedTensors(of architecture: Architecture, naming: Naming = .init()) throws
    -> [StoredTensor]
  {
    try table(architecture, naming)
  }

  /// The metadata that the convention's own container needs beside the tensors; empty for most.
  public func structureMetadata(of architecture: Architecture, naming: Naming = .init()) throws
    -> [(key: String, value: String)]
  {
    try structure(architecture, naming)
  }

  /// Whether a metadata key describes structure in this convention and is worthless in any other.
  func ownsMetadata(_ key: String) -> Bool { key.hasPrefix(name + ".") }

  /// The error of an architecture that a convention cannot hold.
  static func inexpressible(_ convention: String, _ what: String, hint: String)
    -> RecurrentError
  {
    RecurrentError(
      .malformed, "convention.inexpressible", found: what,
      expected: "an architecture that \(convention) has names for", hint: hint)
  }
}

extension WeightFormat {
  /// Throws `usage.convention` where a framework's own container would get names that it cannot read.
  public func check(holds convention: Convention) throws {
    guard isFrameworkArchive, let own = expectedConvention,
      convention.name != own, !otherConventions.contains(convention.name)
    else { return }
    throw RecurrentError(
      .usage, "usage.convention", found: "convention \(convention.name) in container \(name)",
      expected: ([own] + otherConventions).joined(separator: " or "),
      hint: "Leave out --as, or choose a neutral container: .h5, .safetensors or .npz.")
  }
}

/// The prefixes of names in files that hold more than one module.
public struct Naming: Sendable, Equatable {
  /// Before every recurrent key, dot included; empty for a bare `nn.RNN`.
  public var recurrent: String
  /// Before `weight` and `bias` of the head, dot included.
  public var head: String
  /// Before `weight` of the embedding, dot included.
  public var embedding: String
  /// Before the names of each layer and direction, for conventions whose names do not follow from a
  /// number; empty for the convention's customary names.
  public var layers: [[String]]
  /// Which of a convention's spellings the file uses, where versions or classes of its framework
  /// differ; empty for the one that is written.
  var spelling = ""

  /// Names prefixes; PyTorch models usually have `embedding.`, `rnn.` and `classifier.`.
  public init(
    recurrent: String = "", head: String = "classifier.", embedding: String = "embedding.",
    layers: [[String]] = []
  ) {
    self.recurrent = recurrent
    self.head = head
    self.embedding = embedding
    self.layers = layers
  }

  /// The names that PyTorch users would give the modules of a converted network.
  public static func customary(for architecture: Architecture) -> Naming {
    architecture.head == nil && architecture.embedding == nil ? Naming() : Naming(recurrent: "rnn.")
  }
}

/// A recurrent module that names, shapes and structure metadata suggest.
struct Candidate: Sendable {
  /// What the file itself says, so that nothing has to be assumed.
  enum Fact: Sendable {
    case cell, gruReset, batchFirst
  }

  var architecture: Architecture
  var naming: Naming
  var known: Set<Fact> = []
  /// Why the module cannot be used although it is there (an activation, a merge mode): listing shows
  /// it, choosing it throws it.
  var refusal: RecurrentError?
  /// What a reader of the plan should know, one line each.
  var remarks: [String] = []
}
