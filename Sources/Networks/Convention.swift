import Containers
import Frameworks
import RNNEngine
import Tensors

/// What the tensors of a file mean: tables of name templates, one for each kind of module and spelling.
///
/// Decoding, encoding, recognition and the printed plan are all derived from the tables. A new
/// convention is one file in `Conventions/` and one word in ``all``; a user's own is read from a names
/// file (``init(contentsOf:)``).
public struct Convention: Sendable {
  /// The name on the command line.
  public let name: String
  /// One line about its origin, for help texts.
  public let summary: String
  /// The tables, the likeliest first: recurrent layers and cells, then embeddings and linear layers.
  package let layouts: [ModuleLayout]
  /// What stands for `{part}` where a file does not say it.
  package var customaryPart:
    @Sendable (_ architecture: Architecture, _ naming: Naming, Int, Int) -> String
  /// Throws `convention.inexpressible` for networks that the convention has no words for.
  package var refuse: @Sendable (Architecture) throws -> Void = { _ in }
  /// What the framework's own words say about a module that was found: the hook for what no table holds.
  package var refine: @Sendable (_ found: inout Candidate, StateDict) -> Void = { _, _ in }
  /// What the framework puts before the path of every module, dot included.
  package var root = ""
  /// The prefixes of the modules in a file, where names alone do not show them.
  package var prefixes: (@Sendable (StateDict) -> [String])?
  /// Where the modules of one part-based layer lie: components that only name the cell within its layer.
  package var innerComponents: Set<String> = []
  /// What the names and shapes of a file settle by themselves in this convention.
  package var settles: Set<Candidate.Fact> = []
  /// The modules of a names file, whose names are fixed; `nil` for every other convention.
  package var fixed: FixedModules?
  /// Whether the names say which linear layer is the head, because the convention is one document's class.
  package var statesHead = false

  /// Describes a convention by its tables.
  ///
  /// `{part}` is a layer's and direction's place where names do not number them; by default the module's name,
  /// then the layer's number if there are several, then `forward.` or `backward.` if there are two directions.
  package init(name: String, summary: String, layouts: [ModuleLayout]) {
    self.name = name
    self.summary = summary
    self.layouts = layouts
    customaryPart = { architecture, naming, layer, direction in
      naming.recurrent + (architecture.layerCount > 1 ? "\(layer)." : "")
        + (architecture.bidirectional ? ["forward.", "backward."][direction] : "")
    }
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
        .usageConvention, found: "convention \"\(name)\"",
        expected: "one of " + all.map(\.name).joined(separator: ", "),
        hint: hint(for: name))
    }
    return convention
  }

  /// The convention that was probably meant by a framework's other names, or that a container is none.
  private static func hint(for name: String) -> Advice? {
    let word = name.lowercased()
    let others = [
      "tf": tensorFlow.name, "tf1": tensorFlow.name, "pt": "torch", "pth": "torch", "jax": "flax",
      "linen": "flax", "tf_keras": "keras", "tf-keras": "keras", "ort": "onnx",
    ]
    if let meant = others[word] ?? nearest(to: word, among: all.map(\.name)) {
      return "Did you mean \(meant)?"
    }
    guard WeightFormat.all.contains(where: { $0.name == word || $0.extensions.contains(word) })
    else { return nil }
    return "\(name) is a container: \(.outputFormat), or the extension, chooses it."
  }

  /// The stored tensors of a network, in the order in which the convention writes them; of a module alone
  /// where the architecture is one.
  ///
  /// Throws `convention.inexpressible` where the convention has no words for it.
  package func storedTensors(of architecture: Architecture, naming: Naming = .init()) throws
    -> [StoredTensor]
  {
    try refuse(architecture)
    var result: [StoredTensor] = []
    if architecture.embedding != nil {
      let prefix = part(of: .embedding, architecture, naming)
      result += try layout(.embedding, naming).denseTensors(
        of: architecture, part: .embedding, prefix: prefix)
    }
    if architecture.layerCount > 0 {
      result += try recurrentLayout(architecture, naming).recurrentTensors(
        of: architecture, name: naming.recurrent
      ) { layer, direction in
        layer < naming.layers.count && direction < naming.layers[layer].count
          ? naming.layers[layer][direction]
          : customaryPart(architecture, naming, layer, direction)
      }
    }
    if architecture.head != nil {
      let prefix = part(of: .head, architecture, naming)
      result += try layout(.linear, naming).denseTensors(
        of: architecture, part: .head, prefix: prefix)
    }
    return result
  }

  private func part(of part: Slot.Part, _ architecture: Architecture, _ naming: Naming) -> String {
    part == .embedding ? naming.embedding : naming.head
  }

  private func layout(_ kind: ModuleKind, _ naming: Naming) throws -> ModuleLayout {
    let own = layouts.filter { $0.kind == kind }
    let spelling = kind == .embedding ? naming.embeddingSpelling : naming.headSpelling
    guard let layout = own.first(where: { $0.spelling == spelling }) ?? own.first else {
      throw Self.inexpressible(
        name, kind == .embedding ? "an embedding" : "a linear head",
        hint: "The convention has no such layer; keep the torch convention.")
    }
    return layout
  }

  private func recurrentLayout(_ architecture: Architecture, _ naming: Naming) throws
    -> ModuleLayout
  {
    let own = layouts.filter { $0.kind.isRecurrent }
    let fitting = own.filter { $0.holds(architecture) }
    guard let layout = fitting.first(where: { $0.spelling == naming.spelling }) ?? fitting.first
    else {
      throw Self.inexpressible(
        name, "cell \(architecture.cell.rawValue)",
        hint: "The convention has no such cell; keep the torch convention.")
    }
    guard layout.kind != .cell || (architecture.layerCount == 1 && !architecture.bidirectional)
    else {
      throw Self.inexpressible(
        name, "stacked layers in a cell", hint: "Keep the torch convention.")
    }
    return layout
  }

  /// The error of an architecture that a convention cannot hold.
  package static func inexpressible(_ convention: String, _ what: String, hint: Advice)
    -> RecurrentError
  {
    RecurrentError(
      .conventionInexpressible, found: what,
      expected: "an architecture that \(convention) has names for", hint: hint)
  }
}

extension WeightFormat {
  /// Throws `usage.convention` where a framework's own container would get names that it cannot read.
  package func check(holds convention: Convention) throws {
    guard isFrameworkArchive, let own = expectedConvention,
      convention.name != own, !otherConventions.contains(convention.name)
    else { return }
    throw RecurrentError(
      .usageConvention, found: "convention \(convention.name) in container \(name)",
      expected: ([own] + otherConventions).joined(separator: " or "),
      hint: "Leave out \(.convention), or choose a neutral container: .h5, .safetensors or .npz.")
  }

  /// Whether the container holds one connected network and not any list of modules.
  package var holdsOneNetwork: Bool {
    ["onnx", "keras", "keras-weights", "keras-h5"].contains(name)
  }
}
