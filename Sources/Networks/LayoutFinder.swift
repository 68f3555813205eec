import RNNEngine
import Tensors

/// Finds the modules of a convention in a file's names and shapes, by its tables.
package struct LayoutFinder {
  package let convention: Convention
  package let state: StateDict
  /// What the caller says about single modules.
  package var options = ReadOptions()
  /// The names of the file by the prefixes that layouts give them, worked out once.
  package var index = NameIndex()

  /// One layer in one direction, of a convention whose names do not number layers.
  package struct Cell1: Sendable {
    package var part: String
    package var layout: Int
    package var architecture: Architecture
  }

  /// What the file says a module is, whatever its name and its shapes suggest.
  private func stated(_ name: String) -> Structure.Kind? {
    if let kind = ModuleMetadata.kind(state.metadata, of: name) { return kind }
    guard let structure = state.structure, !structure.statesConnections,
      structure.owner == convention.name, let kind = structure.module(name)?.kind
    else { return nil }
    return kind == .other ? nil : kind
  }

  // MARK: Numbered layers (PyTorch, ONNX)

  /// The modules whose names number their layers, and cells, in file order.
  package func numbered() -> [Candidate] {
    var result: [Candidate] = []
    var seen: Set<Name> = []
    let layouts = convention.layouts.filter {
      $0.numbersLayers || $0.kind == .cell
    }
    for name in state.names {
      for layout in layouts {
        guard let anchor = layout.tensors.first, let match = anchor.matched(name.string, layout)
        else { continue }
        let key = Name("\(layout.kind.rawValue) \(match.prefix)")
        guard match.layer == 0, match.direction == 0, !seen.contains(key),
          let candidate = numbered(match.prefix, layout)
        else { continue }
        seen.insert(key)
        result.append(candidate)
        break
      }
    }
    return result
  }

  /// The module of a prefix, its sizes by its first layer; `nil` when it is none in this layout.
  package func numbered(_ prefix: String, _ layout: ModuleLayout) -> Candidate? {
    guard var architecture = architecture(layout, at: prefix) else { return nil }
    // The largest number names the last layer, so that a missing one is an error and not the end.
    var last = 0
    for place in index.places(prefix, of: layout, convention, state) {
      last = max(last, place.layer)
      if place.direction > 0 { architecture.bidirectional = true }
    }
    // A file that names layer 10 without layer 9 must not make us build a table of 2^60 layers.
    guard last < state.count else { return nil }
    architecture.layerCount = last + 1
    var naming = Naming(recurrent: prefix)
    naming.spelling = layout.spelling
    return Candidate(
      kind: layout.kind, name: Self.module(prefix), architecture: architecture, naming: naming)
  }

  /// A tensor of a module's names that its table does not have.
  package func stray(of candidate: Candidate, except own: Set<Name>) -> Name? {
    guard
      let layout = convention.layouts.first(where: {
        $0.kind == candidate.kind && $0.spelling == candidate.naming.spelling && $0.numbersLayers
      })
    else { return nil }
    return index.places(candidate.naming.recurrent, of: layout, convention, state)
      .first { !own.contains($0.name) }?.name
  }

  // MARK: Parts (everyone else)

  /// The single layers of a file, in file order.
  package func cells() -> [Cell1] {
    var result: [Cell1] = []
    var seen: Set<Name> = []
    func add(_ part: String) {
      guard seen.insert(Name(part)).inserted, let cell = cell(part) else { return }
      result.append(cell)
    }
    if let parts = convention.parts {
      for part in parts(state) { add(part) }
      return result
    }
    let layouts = convention.layouts.filter { $0.kind == .recurrent && !$0.numbersLayers }
    for name in state.names {
      for layout in layouts {
        guard let anchor = layout.tensors.first, let match = anchor.matched(name.string, layout)
        else { continue }
        add(match.prefix)
      }
    }
    return result
  }

  /// The layer at a part; `nil` when none of the layouts fits.
  package func cell(_ part: String) -> Cell1? {
    var fallback: Cell1?
    for (index, layout) in convention.layouts.enumerated()
    where layout.kind == .recurrent && !layout.numbersLayers {
      guard let found = architecture(layout, at: part) else { continue }
      let cell = Cell1(part: part, layout: index, architecture: found)
      // The form of the bias tells one layout of a GRU from the other.
      if hasFittingShapes(layout, found, part) { return cell }
      fallback = fallback ?? cell
    }
    return fallback
  }

  private func hasFittingShapes(
    _ layout: ModuleLayout, _ architecture: Architecture, _ part: String
  )
    -> Bool
  {
    layout.recurrentTensors(of: architecture, name: part) { _, _ in part }.allSatisfy { stored in
      guard let shape = state[stored.name]?.shape else { return false }
      return Self.fits(shape, stored.shape)
    }
  }

  // MARK: Sizes

  /// What one layer's tensors say about sizes; `nil` when they are not this layout's.
  package func architecture(_ layout: ModuleLayout, at prefix: String) -> Architecture? {
    let direction = layout.directions.first ?? ""
    func tensor(_ role: Slot.Role) -> (TensorTemplate, [Int])? {
      for template in layout.tensors where template.bands.contains(where: { $0.roles == [role] }) {
        let name = template.name(
          at: prefix, direction: direction, gate: template.isPerGate ? 0 : nil)
        if let shape = state[name]?.shape { return (template, shape) }
      }
      return nil
    }
    guard let (inputTemplate, input) = tensor(.weightIH),
      let (recurrentTemplate, recurrent) = tensor(.weightHH)
    else { return nil }
    for cell in layout.cells {
      guard
        let (height, columns) = inputTemplate.matrixSizes(input, cell, .weightIH),
        let (size, state) = recurrentTemplate.matrixSizes(recurrent, cell, .weightHH),
        height == size, columns > 0, size > 0, state > 0
      else { continue }
      var inputs = columns
      if case .columnsAbove = inputTemplate.arrangement {
        guard columns > size else { continue }
        inputs = columns - size
      }
      var architecture = Architecture(cell: cell, inputSize: inputs, hiddenSize: size)
      if let (_, projection) = tensor(.weightHR) {
        guard projection.count == 2, projection[1] == size, projection[0] == state else { continue }
        architecture.projSize = projection[0]
      } else if case .columnsAbove = inputTemplate.arrangement {
      } else if state != size {
        continue
      }
      // An empty tensor may claim any size; products of sizes within these bounds fit 63 bits.
      guard size <= 1 << 28, inputs <= 1 << 31 else { continue }
      architecture.bidirectional =
        if case .directions = inputTemplate.arrangement { input[0] == 2 } else { false }
      architecture.bias = layout.tensors.contains { template in
        template.condition == .bias
          && (template.isPerGate ? template.gateWords.indices.map { $0 } : [nil]).contains { gate in
            self.state[template.name(at: prefix, direction: direction, gate: gate)] != nil
          }
      }
      if !layout.tensors.contains(where: { $0.condition == .bias }) { architecture.bias = true }
      if let reset = layout.gruReset, cell == .gru { architecture.gruReset = reset }
      return architecture
    }
    return nil
  }

  // MARK: Embeddings and linear layers

  /// The matrices that may be embeddings or linear layers, outside the tensors in `own`.
  package func dense(except own: Set<Name>) -> [Candidate] {
    var result: [Candidate] = []
    var seen: Set<Name> = []
    let layouts = convention.layouts.filter { $0.kind == .embedding || $0.kind == .linear }
    let fromParts = convention.parts?(state) ?? []
    for layout in layouts {
      guard let anchor = layout.tensors.first else { continue }
      var prefixes: [String] = []
      if convention.parts != nil {
        prefixes = fromParts
      } else {
        prefixes = state.names.compactMap { anchor.matched($0.string, layout)?.prefix }
      }
      for prefix in prefixes {
        let weight = anchor.name(at: prefix)
        guard !own.contains(weight), let tensor = state[weight], tensor.shape.count == 2,
          tensor.shape.allSatisfy({ (1...1 << 31).contains($0) }), tensor.dtype.isFloatingPoint
        else { continue }
        let bias = layout.tensors.count > 1 ? state[layout.tensors[1].name(at: prefix)] : nil
        guard
          let candidate = dense(layout, prefix, weight: tensor.shape, bias: bias?.shape),
          seen.insert(weight).inserted
        else { continue }
        result.append(candidate)
      }
    }
    let order = Dictionary(
      zip(state.names, 0..<state.count), uniquingKeysWith: { first, _ in first })
    return result.sorted {
      (order[$0.anchor(convention)] ?? 0) < (order[$1.anchor(convention)] ?? 0)
    }
  }

  /// One matrix as the layout's kind of module; `nil` where shapes or names say that it is none.
  package func dense(_ layout: ModuleLayout, _ prefix: String, weight: [Int], bias: [Int]?)
    -> Candidate?
  {
    let bare =
      prefix.hasPrefix(convention.root) ? String(prefix.dropFirst(convention.root.count)) : prefix
    let name = KerasParts.name(ofPart: prefix) ?? Self.module(bare)
    let candidate = layout.dense(name, at: prefix, weight: weight, hasBias: bias != nil)
    let kind = stated(name)
    guard kind == nil || kind == layout.kind else { return nil }
    if layout.kind == .embedding {
      // Where tables have a word of their own, that word tells; elsewhere the module's name.
      let sharesWord = convention.layouts.contains {
        $0.kind == .linear && $0.tensors[0].name == layout.tensors[0].name
          || $0.kind == .linear && convention.parts != nil
      }
      let isGiven =
        kind == .embedding || options.table == name
        || options.embedding.map { $0.names(name) } ?? false
      let isHead = options.head.map { $0.names(name) } ?? false
      guard bias == nil, isGiven || !isHead,
        isGiven || !sharesWord || EmbeddingNames.suggest(name)
      else { return nil }
      return candidate
    }
    let outputs = candidate.architecture.head?.classCount ?? 0
    let wide = bias.map { $0.filter { $0 != 1 } == [outputs].filter { $0 != 1 } } ?? true
    return wide ? candidate : nil
  }

  /// A prefix without the dot at its end.
  package static func module(_ prefix: String) -> String {
    prefix.hasSuffix(".") ? String(prefix.dropLast()) : prefix
  }

  /// Whether a stored shape is a tensor's; NumPy notebooks write biases as (n), (1, n) or (n, 1) alike.
  package static func fits(_ shape: [Int], _ expected: [Int]) -> Bool {
    let isVector = expected.filter { $0 != 1 }.count <= 1
    return shape == expected
      || (isVector && shape.filter { $0 != 1 } == expected.filter { $0 != 1 })
  }
}

/// The names of a file that a layout's templates match, by the prefix before them: one pass for each layout, however many
/// modules there are.
package final class NameIndex {
  /// A name with its place in the module.
  package typealias Place = (name: Name, layer: Int, direction: Int)

  private var tables: [String: [Name: [Place]]] = [:]

  /// Where the names of a module stand, in file order.
  package func places(
    _ prefix: String, of layout: ModuleLayout, _ convention: Convention, _ state: StateDict
  ) -> [Place] {
    let key =
      "\(convention.name) \(layout.kind.rawValue) \(layout.spelling) \(layout.cells.count) \(layout.tensors[0].bands[0].gates ?? [])"
    if tables[key] == nil {
      var table: [Name: [Place]] = [:]
      for name in state.names {
        for template in layout.tensors {
          guard let match = template.matched(name.string, layout) else { continue }
          table[Name(match.prefix), default: []].append((name, match.layer, match.direction))
          break
        }
      }
      tables[key] = table
    }
    return tables[key]?[Name(prefix)] ?? []
  }
}

extension ModuleLayout {
  /// The module that a matrix of this layout makes, an embedding or a linear layer.
  package func dense(_ name: String, at prefix: String, weight: [Int], hasBias: Bool) -> Candidate {
    let isColumns = if case .columns = tensors[0].arrangement { true } else { false }
    var naming = Naming(recurrent: "", head: prefix, embedding: prefix)
    naming.headSpelling = spelling
    naming.embeddingSpelling = spelling
    return Candidate(
      kind: kind, name: name,
      architecture: kind == .embedding
        ? .embedding(tokenCount: weight[0], features: weight[1])
        : .linear(
          inputs: weight[isColumns ? 0 : 1], outputs: weight[isColumns ? 1 : 0], bias: hasBias),
      naming: naming)
  }
}

extension Candidate {
  /// The name of the matrix of an embedding or a linear layer.
  package func anchor(_ convention: Convention) -> Name {
    (try? convention.storedTensors(of: architecture, naming: naming).first?.name) ?? Name("")
  }
}

extension Architecture {
  /// An embedding alone.
  package static func embedding(tokenCount: Int, features: Int) -> Architecture {
    Architecture(
      inputSize: features, hiddenSize: features, layerCount: 0,
      embedding: .init(tokenCount: tokenCount))
  }

  /// A linear layer alone.
  package static func linear(inputs: Int, outputs: Int, bias: Bool) -> Architecture {
    Architecture(
      inputSize: inputs, hiddenSize: inputs, layerCount: 0,
      head: .init(classCount: outputs, bias: bias))
  }
}

/// The names that people give embeddings.
package enum EmbeddingNames {
  private static let words = [
    "embedding", "embeddings", "embed", "embeds", "emb", "embs", "embedder", "wte", "lookup",
  ]
  /// PyTorch's word language model calls its table the encoder.
  private static let whole = ["encoder", "wordembedding", "wordembeddings", "charembedding"]

  /// Whether a module's name says that it is a table of vectors.
  ///
  /// `word_emb`, `char_embeddings`, `tok_embeddings`, `src_embed`, `embedding_1` and `embed_tokens` do; `membrane` does not.
  package static func suggest(_ name: String) -> Bool {
    guard let last = name.split(whereSeparator: { $0 == "." || $0 == "/" }).last else {
      return false
    }
    var pieces: [String] = []
    var piece = ""
    for character in last {
      if character == "_" || character == "-" || character.isNumber {
        pieces.append(piece)
        piece = ""
      } else if character.isUppercase, !piece.isEmpty, piece.last?.isLowercase == true {
        pieces.append(piece)
        piece = character.lowercased()
      } else {
        piece += character.lowercased()
      }
    }
    pieces.append(piece)
    return pieces.contains { words.contains($0) } || whole.contains(last.lowercased())
  }
}

extension TensorTemplate {
  /// What a tensor's name says about its place, if it is this template's: `encoder.rnn.weight_hh_l1_reverse`.
  ///
  /// A name that begins with a module's ends that at a dot.
  package func matched(_ text: String, _ layout: ModuleLayout) -> (
    prefix: String, layer: Int, direction: Int
  )? {
    var rest = text[...]
    var layer = 0
    var direction = 0
    var hasPrefix = false
    for token in tokens.reversed() {
      switch token {
      case .literal(let word):
        guard rest.hasSuffix(word) else { return nil }
        rest = rest.dropLast(word.count)
      case .word("layer"):
        let digits = rest.reversed().prefix { $0.isASCII && $0.isNumber }.count
        let number = rest.suffix(digits)
        guard digits > 0, let value = Int(number), digits == 1 || number.first != "0" else {
          return nil
        }
        layer = value
        rest = rest.dropLast(digits)
      case .word("direction"):
        let words = layout.directions.enumerated().sorted { $0.element.count > $1.element.count }
        guard let (index, word) = words.first(where: { rest.hasSuffix($0.element) }) else {
          return nil
        }
        direction = index
        rest = rest.dropLast(word.count)
      case .word("gate"):
        // The first gate finds the module; its siblings are looked up by name.
        guard let word = gateWords.first, rest.hasSuffix(word) else { return nil }
        rest = rest.dropLast(word.count)
      case .word: hasPrefix = true
      }
    }
    guard rest.isEmpty || (hasPrefix && rest.last == ".") else { return nil }
    return (String(rest), layer, direction)
  }

  package static func tokens(_ name: String) -> [Token] {
    var result: [Token] = []
    var rest = name[...]
    while let open = rest.firstIndex(of: "{") {
      if open > rest.startIndex { result.append(.literal(String(rest[..<open]))) }
      guard let close = rest[open...].firstIndex(of: "}") else { break }
      result.append(.word(String(rest[rest.index(after: open)..<close])))
      rest = rest[rest.index(after: close)...]
    }
    if !rest.isEmpty { result.append(.literal(String(rest))) }
    return result
  }

  /// H and the columns (inputs or state; both together where they stand above each other) of a stored matrix.
  fileprivate func matrixSizes(_ shape: [Int], _ cell: Cell, _ role: Slot.Role) -> (Int, Int)? {
    let all = cell.gateNames.count
    let gates = isPerGate ? 1 : bands.first { $0.roles == [role] }?.gates?.count ?? all
    let rank = if case .directions = arrangement { 3 } else { 2 }
    guard shape.count == rank else { return nil }
    if rank == 3, !(1...2).contains(shape[0]) { return nil }
    let isColumns =
      switch arrangement {
      case .columns, .columnsAbove: true
      default: false
      }
    let (height, columns) =
      isColumns ? (shape[1], shape[0]) : (shape[rank - 2], shape[rank - 1])
    guard gates > 0, height > 0, height % gates == 0 else { return nil }
    if isPerGate, gateWords.count != all { return nil }
    // A square block tells the number of gates; a joined matrix says it only by its name.
    return (height / gates, columns)
  }
}
