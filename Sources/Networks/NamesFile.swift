// A names file: a convention of one's own, as JSON. The page "Names files" (NamesFiles) describes every key.
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

import Bytes
import Containers
import Frameworks
import RNNEngine
import Tensors

extension Convention {
  /// Reads a names file: the names and layout of weights under anybody's names.
  ///
  /// Throws `names.…` naming the module and the key that is wrong, and what reading the file throws.
  public init(path: String) throws {
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
  package init(names json: JSON) throws {
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
      .namesFormat, at: module.map { "module \"\($0)\"" }, found: found,
      expected: expected, hint: "\(.namesDraft) drafts a names file for the weights.")
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
  private func assumed(_ name: String, _ json: JSON, _ entry: FixedModules.Entry) throws
    -> [Assumption]
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
    var result = keys.map { key -> Assumption in
      let value =
        json[key]?.stringValue ?? json["tensors"]?[key]?.stringValue ?? "by default"
      return .draftedKey(key, module: name, value: value)
    }
    let isOpen = entry.cell.map { $0.gateNames.count == 1 } ?? (entry.layout.kind == .linear)
    if isOpen, json["orientation"] == nil {
      result.append(.rows(module: name))
    }
    if let cell = entry.cell, cell.gateNames.count > 1, json["gates"] == nil {
      result.append(.gateOrder(module: name, gates: cell.gateNames))
    }
    return result
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
    _ name: String, _ kind: ModuleKind, _ tensors: [JSON.Member],
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
