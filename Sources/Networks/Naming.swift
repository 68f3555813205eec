import RNNEngine
import Tensors

/// Where a convention's table finds the modules of a file: the prefixes of their names.
package struct Naming: Sendable, Equatable {
  /// Before every recurrent key, dot included; empty for a bare `nn.RNN`.
  package var recurrent: String
  /// Before `weight` and `bias` of the head, dot included.
  package var head: String
  /// Before `weight` of the embedding, dot included.
  package var embedding: String
  /// Before the names of each layer and direction, for conventions whose names do not follow from a
  /// number; empty for the convention's customary names.
  package var layers: [[String]]
  /// Which of its spellings of recurrent layers the file uses, of a convention that has several.
  package var spelling = ""
  /// Which of its spellings of linear layers.
  package var headSpelling = ""
  /// Which of its spellings of embeddings.
  package var embeddingSpelling = ""

  /// Creates prefixes; PyTorch users would write them like this.
  package init(
    recurrent: String = "", head: String = "classifier.", embedding: String = "embedding.",
    layers: [[String]] = []
  ) {
    self.recurrent = recurrent
    self.head = head
    self.embedding = embedding
    self.layers = layers
  }

  /// The names that PyTorch users would give the modules of a converted network without names.
  package static func customary(for architecture: Architecture) -> Naming {
    architecture.head == nil && architecture.embedding == nil ? Naming() : Naming(recurrent: "rnn.")
  }
}

extension String {
  /// A module's name as it stands before the names of its tensors: `encoder.rnn.`; empty where it has none.
  package var asPrefix: String { isEmpty ? "" : self + "." }

  /// A module's name without the dot at its end.
  package var withoutDot: String { hasSuffix(".") ? String(dropLast()) : self }

  /// A module's name as a caller gives it, without the dot or the slash at its end.
  package var withoutSeparator: String {
    hasSuffix(".") || hasSuffix("/") ? String(dropLast()) : self
  }

  /// Whether two names differ in nothing but dots and slashes: `net.fc` and `net/fc`.
  package func isSpelled(as other: String) -> Bool {
    func plain(_ text: String) -> [UInt8] {
      text.utf8.map { $0 == UInt8(ascii: "/") ? UInt8(ascii: ".") : $0 }
    }
    return plain(self) == plain(other)
  }
}

/// A module that names and shapes suggest, or that the file states.
package struct Candidate: Sendable {
  /// What the file itself says, so that nothing has to be assumed.
  package enum Fact: Sendable { case cell, gruReset, batchFirst }

  /// What it is.
  package var kind: ModuleKind
  /// The name that its author gave it.
  package var name: String
  /// The module alone.
  package var architecture: Architecture
  /// Where its tensors are.
  package var naming: Naming
  package var known: Set<Fact> = []
  /// Why the module cannot be used although it is there (an activation, a merge mode): listing shows
  /// it, choosing it throws it.
  package var refusal: RecurrentError?
  /// What had to be assumed to find it.
  package var assumptions: [Assumption] = []
  /// What a reader of the plan should know.
  package var remarks: [Remark] = []
  /// What the file states about it.
  package var stated: Structure.Module?
  /// The names of its layers, where the file has one for each.
  package var layerNames: [String] = []
  /// Whether its framework's hook found that it is something else.
  package var isRejected = false
}
