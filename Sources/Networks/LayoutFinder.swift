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
  private func stated(_ name: String) -> ModuleKind? {
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
    let found = architecture(layout, at: prefix)
    // No other convention's names say as much by themselves.
    let wrong =
      found == nil && convention.name == Convention.torch.name
      ? WrongShapes(at: prefix, layout, state) : nil
    guard var architecture = found ?? wrong?.architecture else { return nil }
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
    var candidate = Candidate(
      kind: layout.kind, name: prefix.withoutDot, architecture: architecture, naming: naming)
    candidate.refusal = wrong?.refusal
    return candidate
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
    if let prefixes = convention.prefixes {
      for part in prefixes(state) { add(part) }
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
    let stated = convention.prefixes?(state) ?? []
    for layout in layouts {
      guard let anchor = layout.tensors.first else { continue }
      var prefixes: [String] = []
      if convention.prefixes != nil {
        prefixes = stated
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
    let name =
      (convention.prefixes == nil ? nil : KerasPrefixes.layerName(ofPrefix: prefix))
      ?? bare.withoutDot
    let candidate = layout.dense(name, at: prefix, weight: weight, hasBias: bias != nil)
    let kind = stated(name)
    guard kind == nil || kind == layout.kind else { return nil }
    if layout.kind == .embedding {
      // Where tables have a word of their own, that word tells; elsewhere the module's name.
      let sharesWord = convention.layouts.contains {
        $0.kind == .linear && $0.tensors[0].name == layout.tensors[0].name
          || $0.kind == .linear && convention.prefixes != nil
      }
      let isGiven =
        kind == .embedding || options.table == name
        || isNamed(options.embedding, name, anchorOf: layout)
      let isHead = isNamed(options.head, name, anchorOf: layout)
      guard bias == nil, isGiven || !isHead,
        isGiven || !sharesWord || EmbeddingNames.suggest(name)
      else { return nil }
      return candidate
    }
    let outputs = candidate.architecture.head?.classCount ?? 0
    let wide = bias.map { $0.filter { $0 != 1 } == [outputs].filter { $0 != 1 } } ?? true
    return wide ? candidate : nil
  }

  /// Whether the caller gave a module this name, or spelled it with other separators and nothing has that very name.
  private func isNamed(
    _ neighbour: ReadOptions.Neighbour?, _ name: String, anchorOf layout: ModuleLayout
  ) -> Bool {
    guard case .named(let given)? = neighbour else { return false }
    let bare = given.withoutSeparator
    if bare.utf8.elementsEqual(name.utf8) { return true }
    return bare.isSpelled(as: name) && state[layout.tensors[0].name(at: bare.asPrefix)] == nil
  }

  /// Whether a stored shape is a tensor's; NumPy notebooks write biases as (n), (1, n) or (n, 1) alike.
  package static func fits(_ shape: [Int], _ expected: [Int]) -> Bool {
    let isVector = expected.filter { $0 != 1 }.count <= 1
    return shape == expected
      || (isVector && shape.filter { $0 != 1 } == expected.filter { $0 != 1 })
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
