import Containers
import Frameworks
import RNNEngine
import Tensors

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
    package var assumed: [Assumption] = []
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
      candidate.assumptions += entry.assumed
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
        .namesShape, at: "module \"\(entry.name)\"",
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
        .namesShape, at: "module \"\(entry.name)\"",
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
              .namesMissing, at: "module \"\(entry.name)\"",
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
