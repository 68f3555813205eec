import RNNEngine
import Tensors

/// The one codec of the metadata that tensors cannot say, for one module; the page "Conventions" lists the keys.
///
/// With several modules in a file the keys are prefixed by the module's name and a dot; the bare keys speak of the only
/// one. Every reader throws `metadata.KEY` for a value that its key does not have.
package struct ModuleMetadata {
  private let metadata: Metadata
  private let module: String
  private let isOnlyOne: Bool

  package init(_ metadata: Metadata, module: String, isOnlyOne: Bool) {
    self.metadata = metadata
    self.module = module
    self.isOnlyOne = isOnlyOne
  }

  private func value(_ key: String) throws -> String? {
    let own = module.isEmpty ? nil : metadata["\(module).\(key)"]
    let bare = isOnlyOne || module.isEmpty ? metadata[key] : nil
    guard let own else { return bare }
    if let bare, bare != own {
      throw RecurrentError(
        .metadata(key, .mismatch), at: "metadata \"\(module).\(key)\"", found: "\"\(own)\"",
        expected: "\(bare), as the key \"\(key)\" says", hint: Self.hint)
    }
    return own
  }

  private func malformed(
    _ key: String, _ value: String, _ expected: String, _ kind: RecurrentError.Kind = .damaged
  ) -> RecurrentError {
    RecurrentError(
      .metadata(key, kind), at: "metadata \"\(key)\"", found: "\"\(value)\"", expected: expected,
      hint: kind == .damaged ? Self.hint : nil)
  }

  /// The way out of metadata that cannot be right.
  package static let hint: Advice =
    "Correct or remove the key where the file was made; the weights are read without it too."

  package func cell() throws -> Cell? {
    guard let text = try value("cell") else { return nil }
    guard let cell = Cell(rawValue: text) else {
      throw malformed(
        "cell", text, Cell.allCases.map(\.rawValue).joined(separator: " or "), .unsupported)
    }
    return cell
  }

  package func gruReset() throws -> GRUReset? {
    guard let text = try value("gru_reset") else { return nil }
    guard let reset = GRUReset(rawValue: text) else {
      throw malformed("gru_reset", text, "after or before")
    }
    return reset
  }

  private func flag(_ key: String) throws -> Bool? {
    switch try value(key) {
    case nil: return nil
    case "true"?: return true
    case "false"?: return false
    case let text?: throw malformed(key, text, "true or false")
    }
  }

  package func batchFirst() throws -> Bool? { try flag("batch_first") }

  /// Whether metadata say that single layers are one stack of `count`, in one direction or both; throws
  /// `metadata.num_layers` where they are not so many.
  package func statesStack(_ count: Int, isBidirectional: Bool) throws -> Bool {
    guard let text = try value("num_layers") else { return false }
    guard let number = Int(text), number == count else {
      throw malformed("num_layers", text, "\(count), as the tensors say")
    }
    return try !isBidirectional || value("direction") == "both"
  }

  package func dropout() throws -> Double? {
    guard let text = try value("dropout") else { return nil }
    guard let number = Double(text), (0...1).contains(number) else {
      throw malformed("dropout", text, "a probability")
    }
    return number
  }

  package func storesInitialState() throws -> Bool {
    switch try value("initial_state") {
    case nil, "zeros"?: return false
    case "stored"?: return true
    case let text?: throw malformed("initial_state", text, "zeros or stored")
    }
  }

  /// `linear`, `none`, or nothing.
  package func hasHead() throws -> Bool? {
    switch try value("head") {
    case nil: return nil
    case "none"?: return false
    case "linear"?: return true
    case let text?: throw malformed("head", text, "none or linear")
    }
  }

  package func headReads() throws -> HeadReads? {
    guard let text = try value("head_reads") else { return nil }
    guard let reads = HeadReads(rawValue: text) else {
      throw malformed("head_reads", text, "sequence, last or final")
    }
    return reads
  }

  /// The function behind the head, which may go by the module's name or by the head's.
  package func outputActivation(head: String?) throws -> String? {
    let ofHead = head.flatMap { $0.isEmpty ? nil : metadata["\($0).output_activation"] }
    let own = try value("output_activation")
    if let own, let ofHead, own != ofHead {
      throw malformed("output_activation", own, "\(ofHead), as the key of \(head ?? "") says")
    }
    return (own ?? ofHead).flatMap { ["none", "linear"].contains($0) ? nil : $0 }
  }

  /// Throws `metadata.KEY` for what the engine does not know yet: such a module must not pass for a plain one; and for a
  /// direction that the tensors do not have.
  package func checkSupported(_ cell: Cell, isBidirectional: Bool) throws {
    switch try value("direction") {
    case nil: break
    case "forward"? where !isBidirectional: break
    case "both"? where isBidirectional: break
    case "reverse"?:
      throw malformed(
        "direction", "reverse", "forward or both: the engine has no other", .unsupported)
    case let text? where text == "forward" || text == "both":
      throw malformed(
        "direction", text,
        isBidirectional ? "both, as the tensors say" : "forward, as the tensors say")
    case let text?: throw malformed("direction", text, "forward, reverse or both")
    }
    if let text = try value("activations") {
      let own: [Cell: String] = [
        .rnnTanh: "tanh", .rnnRelu: "relu", .gru: "sigmoid tanh", .lstm: "sigmoid tanh tanh",
      ]
      let plain = own[cell] ?? ""
      guard ["", plain, "\(plain) \(plain)"].contains(text) else {
        throw malformed(
          "activations", text, "\(plain), the cell's own: the engine has no other", .unsupported)
      }
    }
    for key in ["clip", "input_forget"] {
      guard let text = try value(key) else { continue }
      guard let number = Double(text), number.isFinite, number >= 0 else {
        throw malformed(key, text, "a number from 0")
      }
      guard number == 0 else {
        throw malformed(key, text, "0: the engine has no cell with it", .unsupported)
      }
    }
  }

  // MARK: Writing

  /// What a network says about itself beyond its tensors.
  ///
  /// `isCertain` are the facts that the file or the caller settled; an assumption is not turned into a fact by writing it
  /// down.
  package static func write(
    _ architecture: Architecture, module: String, isOnlyOne: Bool, isCertain: Set<Candidate.Fact>,
    to metadata: inout Metadata
  ) {
    func set(_ key: String, _ value: String) {
      let full = isOnlyOne || module.isEmpty ? key : "\(module).\(key)"
      metadata[full] = value
    }
    if architecture.cell.gateNames.count > 1 || isCertain.contains(.cell) {
      set("cell", architecture.cell.rawValue)
    }
    if architecture.cell == .gru,
      isCertain.contains(.gruReset) || architecture.gruReset == .before
    {
      set("gru_reset", architecture.gruReset.rawValue)
    }
    if isCertain.contains(.batchFirst) {
      set("batch_first", architecture.batchFirst ? "true" : "false")
    }
    if architecture.dropout > 0 { set("dropout", "\(architecture.dropout)") }
    if architecture.storesInitialState { set("initial_state", "stored") }
    if let head = architecture.head {
      if head.reads != .sequence { set("head_reads", head.reads.rawValue) }
      if let activation = head.activation { set("output_activation", activation) }
    }
  }

  /// What stands around the modules and is not in the file, one line each.
  package static func leftBehind(_ metadata: Metadata) -> [String] {
    (metadata[leftBehindKey] ?? "").split(separator: ";").prefix(largestList).compactMap { part in
      let text = part.drop { $0 == " " }
      return text.isEmpty ? nil : String(text)
    }
  }

  /// Writes down what is not in the file, so that nobody takes its modules for a whole network later.
  package static func write(leftBehind lines: [String], to metadata: inout Metadata) {
    metadata[leftBehindKey] =
      lines.isEmpty
      ? nil
      : lines.prefix(largestList).map { String($0.map { $0 == ";" ? "," : $0 }) }.joined(
        separator: "; ")
  }

  /// What a module is, where names and shapes would make something else of it.
  package static func kind(_ metadata: Metadata, of module: String) -> ModuleKind? {
    metadata["\(module).kind"].flatMap(ModuleKind.init(rawValue:))
  }

  package static let leftBehindKey = "left_behind"
  /// More is no list that this toolkit wrote, and each line is looked for among all modules.
  private static let largestList = 1000

  /// Throws `metadata.format_version` for a file of this toolkit's that a later version wrote.
  package static func checkVersion(_ metadata: Metadata) throws {
    guard metadata["format"] == "rnn-state-dict", let version = metadata["format_version"],
      version != "1"
    else { return }
    throw RecurrentError(
      .metadataFormatVersion, at: "metadata \"format_version\"",
      found: "\"\(version)\"", expected: "1",
      hint: "A later version of Recurrent wrote the file; read it with that one.")
  }

  /// `embedding -> rnn (assumed); rnn -> fc (stated)`.
  package static func text(_ connections: [Connection]) -> String {
    connections.map(\.summary).joined(separator: "; ")
  }

  /// The connections of the `connections` key, and whether each says what it reads; throws `metadata.connections`.
  package static func connections(_ metadata: Metadata) throws -> [Connection.Text]? {
    guard let text = metadata["connections"] else { return nil }
    return try text.split(separator: ";").map { part in
      guard let connection = Connection.Text(part.drop { $0 == " " }) else {
        throw RecurrentError(
          .metadataConnections, at: "metadata \"connections\"", found: "\"\(part)\"",
          expected: "module -> module (stated, given or assumed), separated by semicolons")
      }
      return connection
    }
  }
}

extension Connection {
  /// A connection as metadata and names files write it: `rnn -> fc [last] (stated)`.
  package struct Text {
    package var connection: Connection
    /// Whether the bracket is there; without it other keys may say what is read.
    package var saysReads: Bool
  }
}

extension Connection.Text {
  /// Parses a connection; the bracket and the parenthesis may be missing.
  package init?(_ text: some StringProtocol) {
    var rest = String(text)
    var evidence = Evidence.stated
    var reads: HeadReads?
    func bracketed(_ open: Character, _ close: Character) -> String? {
      while rest.last == " " { rest.removeLast() }
      guard rest.last == close, let start = rest.lastIndex(of: open) else { return nil }
      let word = rest[rest.index(after: start)...].dropLast()
      rest = String(rest[..<start])
      return String(word)
    }
    if let word = bracketed("(", ")") {
      guard let known = Evidence(rawValue: word) else { return nil }
      evidence = known
    }
    if let word = bracketed("[", "]") {
      guard let known = HeadReads(rawValue: word) else { return nil }
      reads = known
    }
    while rest.last == " " { rest.removeLast() }
    guard let arrow = rest.firstRange(of: "->") else { return nil }
    var (from, to) = (rest[..<arrow.lowerBound], rest[arrow.upperBound...])
    while from.last == " " { from.removeLast() }
    while to.first == " " { to.removeFirst() }
    self.init(
      connection: Connection(
        from: String(from), to: String(to), reads: reads ?? .sequence, evidence: evidence),
      saysReads: reads != nil)
  }
}
