// A names file (design, section 8): a convention of one's own, as JSON.
//
//   {"schema": 1,
//    "modules": {NAME: {"cell": "gru", "gates": "r z n", "orientation": "rows", "layers": 1, "directions": [""],
//                       "tensors": {"weight_ih": TEMPLATE, "weight_hh": …, "bias_ih": …, "bias_hh": …, "bias": …}},
//                NAME: {"kind": "embedding", "tensors": {"weight": …}},
//                // "assumed": ["gates", …] marks what is a guess; it is said whenever the file is used
//                NAME: {"kind": "linear", "orientation": "rows", "tensors": {"weight": …, "bias": …}}},
//    "connections": ["embedding -> encoder", …]}
//
// Templates are names with {layer}, {direction} and {gate}.

import RNNEngine
import Tensors
import Containers
import Frameworks

/// The modules of a names file, whose tensors have fixed names.
package struct FixedModules: Sendable {
  /// One module as the file describes it.
  package struct Entry: Sendable {
    package var name: String
    package var layout: ModuleLayout
    package var layerCount: Int
    /// The templates by their keys, for messages.
    package var templates: [(key: String, template: TensorTemplate)]
    package var gruReset: GRUReset?
    package var cell: Cell?
    /// What the names file itself takes for granted, one line each.
    package var assumed: [String] = []
  }

  package var entries: [Entry] = []
  package var connections: [Connection] = []

  /// Every module of the names file, with what is wrong where the tensors are not there.
  package func candidates(_ convention: Convention, _ state: StateDict) -> [Candidate] {
    let finder = LayoutFinder(convention: convention, state: state)
    return entries.map { entry in
      var candidate =
        entry.layout.kind == .embedding || entry.layout.kind == .linear
        ? dense(entry, state) : recurrent(entry, finder)
      // A tensor that is not there explains every other trouble.
      candidate.refusal = missing(entry, state) ?? candidate.refusal
      candidate.assumptions += entry.assumed.map { .note($0) }
      if entry.cell == .gru, entry.gruReset == nil {
        candidate.assumptions.append(.resetAfter(module: entry.name))
      }
      return candidate
    }
  }

  private func naming(_ entry: Entry) -> Naming {
    var naming = Naming()
    naming.spelling = entry.name
    naming.headSpelling = entry.name
    naming.embeddingSpelling = entry.name
    return naming
  }

  private func recurrent(_ entry: Entry, _ finder: LayoutFinder) -> Candidate {
    var candidate = Candidate(
      kind: .recurrent, name: entry.name,
      architecture: Architecture(inputSize: 0, hiddenSize: 0, layerCount: 0), naming: naming(entry))
    guard var architecture = finder.architecture(entry.layout, at: "") else {
      let shapes = entry.templates.prefix(2).map { key, template in
        let name = text(template, entry, layer: 0, gate: template.isPerGate ? 0 : nil)
        return "\(key) \"\(name)\" " + (finder.state[Name(name)].map { "\($0.shape)" } ?? "missing")
      }
      candidate.refusal = RecurrentError(
        .malformed, "names.shape", at: "module \"\(entry.name)\"",
        found: shapes.joined(separator: ", "),
        expected: "shapes of \(entry.cell?.rawValue ?? "a cell"), "
          + (isColumns(entry) ? "(inputs, gates × H)" : "(gates × H, inputs)"),
        hint: "Check \"cell\" and \"orientation\" of the module in the names file.")
      return candidate
    }
    architecture.layerCount = entry.layerCount
    architecture.bidirectional = entry.layout.directions.count == 2
    if let cell = entry.cell { architecture.cell = cell }
    architecture.gruReset = entry.gruReset ?? .after
    candidate.architecture = architecture
    candidate.known = entry.gruReset == nil ? [.cell] : [.cell, .gruReset]
    return candidate
  }

  private func dense(_ entry: Entry, _ state: StateDict) -> Candidate {
    let names = entry.templates.map { Name(text($0.template, entry, layer: 0, gate: nil)) }
    let weight = state[names[0]]?.shape ?? []
    let bias = names.count > 1 ? state[names[1]]?.shape : nil
    var candidate = entry.layout.dense(
      entry.name, at: "", weight: weight.count == 2 ? weight : [0, 0], hasBias: names.count > 1)
    let outputs = candidate.architecture.head?.classCount ?? 0
    guard weight.count == 2, bias.map({ LayoutFinder.fits($0, [outputs]) }) ?? true else {
      var candidate = Candidate(
        kind: entry.layout.kind, name: entry.name,
        architecture: .linear(inputs: 0, outputs: 0, bias: false),
        naming: naming(entry))
      candidate.refusal = RecurrentError(
        .malformed, "names.shape", at: "module \"\(entry.name)\"",
        found: "weight \"\(names[0])\" " + (state[names[0]].map { "\($0.shape)" } ?? "missing"),
        expected: "a matrix" + (names.count > 1 ? " and a bias that fits" : ""))
      return candidate
    }
    candidate.naming = naming(entry)
    return candidate
  }

  /// The first tensor that the names file promises and the file does not have.
  private func missing(_ entry: Entry, _ state: StateDict) -> RecurrentError? {
    for layer in 0..<entry.layerCount {
      for direction in entry.layout.directions.indices {
        for (key, template) in entry.templates {
          for gate in template.isPerGate ? template.gateWords.indices.map({ $0 }) : [nil] {
            let name = template.text(
              name: "", part: "", layer: layer, direction: entry.layout.directions[direction],
              gate: gate)
            guard state[Name(name)] == nil else { continue }
            let close = nearest(to: name, among: state.names.map(\.string))
            return RecurrentError(
              .malformed, "names.missing", at: "module \"\(entry.name)\"",
              found: "no tensor \"\(name)\" (template \(key): \"\(template.name)\")",
              expected: "every tensor that the names file describes",
              hint: close.map { "The file has \"\($0)\"." })
          }
        }
      }
    }
    return nil
  }

  private func text(_ template: TensorTemplate, _ entry: Entry, layer: Int, gate: Int?) -> String {
    template.text(
      name: "", part: "", layer: layer, direction: entry.layout.directions.first ?? "", gate: gate)
  }

  private func isColumns(_ entry: Entry) -> Bool {
    if case .columns = entry.layout.tensors[0].arrangement { true } else { false }
  }
}

extension Convention {
  /// Reads a names file: the names and layout of weights under anybody's names.
  ///
  /// Throws `names.…` naming the module and the key that is wrong, and what reading the file throws.
  public init(contentsOf path: String) throws {
    let file = try InputFile(path: path)
    do {
      guard file.count <= 1 << 20 else {
        throw NamesReader.error(nil, "\(file.count) bytes", "a names file of at most 1 MiB")
      }
      try self.init(names: JSON.parse(file.read(0..<file.count)))
    } catch let error as RecurrentError {
      throw error.inFile(path)
    }
  }

  /// Reads the JSON of a names file.
  public init(names json: JSON) throws {
    let fixed = try NamesReader(json).modules()
    self.init(
      name: "names", summary: "a names file", layouts: fixed.entries.map(\.layout))
    self.fixed = fixed
    customaryPart = { _, _, _, _ in "" }
  }
}

/// Reads the JSON of a names file into tables.
private struct NamesReader {
  let json: JSON

  init(_ json: JSON) { self.json = json }

  static func error(_ module: String?, _ found: String, _ expected: String) -> RecurrentError {
    RecurrentError(
      .malformed, "names.format", at: module.map { "module \"\($0)\"" }, found: found,
      expected: expected, hint: "rnn-inspect --json drafts a names file for the weights.")
  }

  func modules() throws -> FixedModules {
    guard json["schema"]?.intValue == 1 else {
      throw Self.error(nil, "schema \(json["schema"]?.serialized() ?? "nothing")", "\"schema\": 1")
    }
    guard case .object(let members)? = json["modules"], !members.isEmpty, members.count <= 10_000
    else { throw Self.error(nil, "no modules", "\"modules\": an object of modules by name") }
    for member in json.objectValue ?? []
    where !["schema", "modules", "connections"].contains(member.key) {
      throw Self.error(nil, "the key \"\(member.key)\"", "schema, modules and connections")
    }
    var result = FixedModules()
    for member in members { result.entries.append(try entry(member.key, member.value)) }
    for item in json["connections"]?.arrayValue ?? [] {
      guard let text = item.stringValue, var connection = Connection.Text(text)?.connection else {
        throw Self.error(nil, "connection \(item.serialized())", "\"module -> module\"")
      }
      connection.evidence = .given
      for name in [connection.from, connection.to]
      where !result.entries.contains(where: { $0.name == name }) {
        throw Self.error(
          nil, "connection \"\(text)\" of an unknown module \"\(name)\"",
          "one of " + result.entries.map(\.name).joined(separator: ", "))
      }
      result.connections.append(connection)
    }
    return result
  }

  private func entry(_ name: String, _ json: JSON) throws -> FixedModules.Entry {
    let known = [
      "cell", "kind", "gates", "orientation", "layers", "directions", "tensors", "forget_bias",
      "gru_reset", "assumed",
    ]
    for member in json.objectValue ?? [] where !known.contains(member.key) {
      throw Self.error(name, "the key \"\(member.key)\"", known.joined(separator: ", "))
    }
    let orientation = json["orientation"]?.stringValue ?? "rows"
    guard ["rows", "columns"].contains(orientation) else {
      throw Self.error(name, "orientation \"\(orientation)\"", "rows or columns")
    }
    let arrangement: TensorTemplate.Arrangement = orientation == "rows" ? .rows : .columns
    guard case .object(let tensors)? = json["tensors"] else {
      throw Self.error(name, "no tensors", "\"tensors\": an object of name templates")
    }
    let kind = json["kind"]?.stringValue ?? (json["cell"] == nil ? "" : "recurrent")
    var result: FixedModules.Entry
    switch kind {
    case "recurrent", "cell": result = try recurrent(name, json, tensors, arrangement)
    case "embedding", "linear":
      result = try dense(name, kind == "embedding" ? .embedding : .linear, tensors, arrangement)
    default:
      throw Self.error(
        name, kind.isEmpty ? "neither \"cell\" nor \"kind\"" : "kind \"\(kind)\"",
        "a cell (rnn_tanh, rnn_relu, lstm, gru), or kind embedding or linear")
    }
    result.assumed = try assumed(name, json, result)
    return result
  }

  /// What a module's entry marks as a guess, and the order of gates where it says none.
  private func assumed(_ name: String, _ json: JSON, _ entry: FixedModules.Entry) throws -> [String]
  {
    let keys = (json["assumed"]?.arrayValue ?? []).compactMap(\.stringValue)
    let known = ["cell", "kind", "gates", "orientation"] + entry.templates.map(\.key)
    guard json["assumed"] == nil || keys.count == json["assumed"]?.arrayValue?.count,
      keys.allSatisfy(known.contains)
    else {
      throw Self.error(
        name, "assumed \(json["assumed"]?.serialized() ?? "")",
        "a list of the keys that are guesses: " + known.joined(separator: ", "))
    }
    var lines = keys.map { key -> String in
      let value =
        json[key]?.stringValue ?? json["tensors"]?[key]?.stringValue ?? "by default"
      return "assumed: \(key) of \(name) is \(value), as the names file guesses;"
        + " take it out of \"assumed\" there if it is so"
    }
    let isOpen = entry.cell.map { $0.gateNames.count == 1 } ?? (entry.layout.kind == .linear)
    if isOpen, json["orientation"] == nil {
      lines.append(
        "assumed: the matrices of \(name) are (outputs, inputs), as PyTorch's; \"orientation\" in the names file"
          + " says it otherwise")
    }
    if let cell = entry.cell, cell.gateNames.count > 1, json["gates"] == nil {
      lines.append(
        "assumed: the gates of \(name) stand in PyTorch's order \(cell.gateNames.joined(separator: " "));"
          + " \"gates\" in the names file says it otherwise")
    }
    return lines
  }

  private func templates(
    _ name: String, _ tensors: [JSON.Member], _ keys: [String]
  ) throws -> [(key: String, text: String)] {
    for member in tensors where !keys.contains(member.key) {
      throw Self.error(name, "the tensor \"\(member.key)\"", keys.joined(separator: ", "))
    }
    return try keys.compactMap { key in
      guard let value = tensors.first(where: { $0.key == key })?.value else { return nil }
      guard let text = value.stringValue, !text.isEmpty, text.utf8.count <= 4096 else {
        throw Self.error(name, "\(key): \(value.serialized())", "a name template")
      }
      return (key, text)
    }
  }

  private func dense(
    _ name: String, _ kind: Structure.Kind, _ tensors: [JSON.Member],
    _ arrangement: TensorTemplate.Arrangement
  ) throws -> FixedModules.Entry {
    let found = try templates(name, tensors, kind == .embedding ? ["weight"] : ["weight", "bias"])
    guard found.first?.key == "weight" else {
      throw Self.error(name, "no template for weight", "\"weight\": the name of the matrix")
    }
    let named = found.map { key, text in
      (
        key: key,
        template: key == "weight"
          ? TensorTemplate(text, [.init([.weight])], arrangement)
          : TensorTemplate(text, [.init([.bias])], when: .bias)
      )
    }
    return FixedModules.Entry(
      name: name,
      layout: ModuleLayout(kind: kind, spelling: name, tensors: named.map(\.template)),
      layerCount: 1, templates: named)
  }

  private func recurrent(
    _ name: String, _ json: JSON, _ tensors: [JSON.Member],
    _ arrangement: TensorTemplate.Arrangement
  ) throws -> FixedModules.Entry {
    guard let text = json["cell"]?.stringValue, let cell = Cell(rawValue: text) else {
      throw Self.error(
        name, "cell \(json["cell"]?.serialized() ?? "nothing")",
        Cell.allCases.map(\.rawValue).joined(separator: ", "))
    }
    let (order, words) = try gates(name, json["gates"], cell)
    let layers = json["layers"] == nil ? 1 : json["layers"]?.intValue ?? 0
    guard (1...10_000).contains(layers) else {
      throw Self.error(name, "layers \(json["layers"]?.serialized() ?? "")", "a number from 1")
    }
    let directions = (json["directions"]?.arrayValue ?? [.string("")]).compactMap(\.stringValue)
    guard (1...2).contains(directions.count),
      directions.count == json["directions"]?.arrayValue?.count ?? 1
    else { throw Self.error(name, "directions", "one or two words, forward first") }
    var reset: GRUReset?
    if let word = json["gru_reset"] {
      guard cell == .gru, let known = word.stringValue.flatMap(GRUReset.init(rawValue:)) else {
        throw Self.error(name, "gru_reset \(word.serialized())", "after or before, of a gru")
      }
      reset = known
    }
    var addends: [Int: Double] = [:]
    if let number = json["forget_bias"] {
      guard cell == .lstm, let value = number.doubleValue, value.isFinite else {
        throw Self.error(name, "forget_bias \(number.serialized())", "a number, of an lstm")
      }
      addends[1] = value
    }
    let roles: [(key: String, roles: [Slot.Role])] = [
      ("weight_ih", [.weightIH]), ("weight_hh", [.weightHH]), ("bias_ih", [.biasIH]),
      ("bias_hh", [.biasHH]), ("bias", [.biasIH, .biasHH]), ("weight_hr", [.weightHR]),
    ]
    let found = try templates(name, tensors, roles.map(\.key))
    for key in ["weight_ih", "weight_hh"] where !found.contains(where: { $0.key == key }) {
      throw Self.error(name, "no template for \(key)", "\"\(key)\": the name of the matrix")
    }
    guard
      !found.contains(where: { $0.key == "bias" })
        || !found.contains(where: { $0.key.hasPrefix("bias_") })
    else { throw Self.error(name, "bias beside bias_ih or bias_hh", "one form of biases") }
    let named = found.map { key, text -> (key: String, template: TensorTemplate) in
      let own = roles.first { $0.key == key }?.roles ?? []
      let isBias = key.hasPrefix("bias")
      // The number is added once, to the bias that is there.
      let adds = isBias && (key == "bias" || key == "bias_ih") ? addends : [:]
      let perGate = text.contains("{gate}")
      return (
        key,
        TensorTemplate(
          text,
          [.init(own, gates: perGate || key == "weight_hr" ? nil : order, addends: adds)],
          isBias ? .rows : arrangement,
          when: isBias ? .bias : key == "weight_hr" ? .projection : .always,
          gateWords: perGate ? words : [])
      )
    }
    return FixedModules.Entry(
      name: name,
      layout: ModuleLayout(
        kind: .recurrent, cells: [cell], gruReset: nil, directions: directions, spelling: name,
        tensors: named.map(\.template)),
      layerCount: layers, templates: named, gruReset: reset, cell: cell)
  }

  /// The file's order of gates as PyTorch numbers them, and the words in PyTorch's order.
  private func gates(_ name: String, _ json: JSON?, _ cell: Cell) throws -> ([Int]?, [String]) {
    let own = cell.gateNames
    guard let json else { return (nil, own) }
    let synonyms = ["c": "g", "h": "n", "u": "z"]
    let words = (json.stringValue ?? "").split(separator: " ").map(String.init)
    let order = words.compactMap { word -> Int? in
      own.firstIndex(of: word)
        ?? (cell.gateNames.count == 1 ? nil : synonyms[word].flatMap { own.firstIndex(of: $0) })
    }
    guard order.count == words.count, order.sorted() == Array(own.indices) else {
      throw Self.error(
        name, "gates \(json.serialized())",
        "the letters \(own.joined(separator: " ")) in the file's order")
    }
    var inOrder = own
    for (word, gate) in zip(words, order) { inOrder[gate] = word }
    return (order, inOrder)
  }
}
