import Tensors

/// Something that a file has around its modules and that is none of them: an operation, a state that something
/// computes, a layer without weights.
package struct Surrounding: Sendable, Equatable {
  /// What and where, in one line (`Sub, Div before rnn`).
  package let text: String
  /// Whether the way from module to module goes past it: a side branch.
  package let isBranch: Bool
}

extension ModuleList {
  /// What stands around modules of this file, as far as the file says so.
  ///
  /// `activation` is the function behind a linear layer that goes along with it.
  package func surroundings(
    of modules: [Module], except activation: (module: String, name: String)? = nil
  ) -> [Surrounding] {
    var result: [Surrounding] = []
    var seen: Set<String> = []
    func add(_ text: String, isBranch: Bool = false) {
      if seen.insert(text).inserted { result.append(Surrounding(text: text, isBranch: isBranch)) }
    }
    let names = Set(modules.map(\.name))
    for obstacle in structure?.obstacles ?? [] where names.contains(obstacle.module) {
      if let activation, obstacle.side == .behind, obstacle.module == activation.module,
        obstacle.operations == [activation.name]
      {
        continue
      }
      add(
        "\(obstacle.operations.joined(separator: ", ")) \(obstacle.side.rawValue)"
          + " \(Assumption.name(obstacle.module))", isBranch: obstacle.isBranch)
    }
    for module in modules {
      if let source = module.stateSource {
        add("the initial state of \(Assumption.name(module.name)) that \(source) computes")
      }
      if module.stated?.recurrent.takesLengths == true {
        add("the lengths of the sequences, which \(Assumption.name(module.name)) takes")
      }
    }
    for text in recorded where isAbout(text, modules) { add(text) }
    return result
  }

  /// All that stands around the modules of this file, one line each.
  package var surroundings: [String] {
    (surroundings(of: modules) + placeless).map(\.text)
  }

  /// Layers that a file lists without a place and that have no tensors to go along: functions, mostly.
  package var placeless: [Surrounding] {
    guard let structure, !structure.statesConnections else { return [] }
    return structure.modules.filter { module in
      module.kind == .other && !module.isTransparent && !module.name.isEmpty
        && !owners.contains(module.name)
    }.map {
      Surrounding(
        text:
          "\($0.name) (\($0.className)), which has no weights; the file does not say where it stands",
        isBranch: false)
    }
  }

  /// Whether a line that an earlier conversion wrote down speaks of one of the modules, or of none that is here.
  private func isAbout(_ text: String, _ kept: [Module]) -> Bool {
    func names(_ module: Module) -> Bool {
      let name = Assumption.name(module.name)
      return text.hasSuffix(" \(name)") || text.contains(" \(name) ")
    }
    return kept.contains(where: names) || !modules.contains(where: names)
  }
}

extension Network {
  /// Whether the file says how its modules are connected.
  package var statesConnections: Bool {
    recognition.file.structure?.statesConnections == true
  }

  /// Whether the file or the caller says how x is laid out.
  package var knowsLayout: Bool {
    !recognition.recurrent.assumptions.contains(where: \.isAboutLayout)
  }

  /// What stands around the network's modules in its file; the function of the head is part of the network.
  package var surroundings: [String] {
    around.filter { !$0.isBranch }.map(\.text)
  }

  /// The same with side branches.
  package var around: [Surrounding] {
    let head = recognition.head?.name
    let activation = architecture.head?.activation
    return recognition.file.surroundings(
      of: recognition.modules, except: head.flatMap { name in activation.map { (name, $0) } })
  }

  /// Why the file does not say that this is a whole network: what is assumed, and what else is there.
  package var reservations: [Reservation] {
    let file = recognition.file
    // How x is laid out is no part of the network.
    var result = recognition.assumptions.filter { !$0.isAboutLayout }.map(Reservation.assumed)
    result += (around + file.placeless).map { .says($0.text) }
    result += file.modules.filter { module in
      !recognition.modules.contains { $0.name == module.name && $0.kind == module.kind }
    }.map { .says("beside it: \($0.description)") }
    if !file.others.isEmpty {
      result.append(.says("beside it: \(file.others.count) other tensors"))
    }
    let isSaid =
      statesConnections || file.connections.contains { $0.evidence != .assumed }
      || recognition.convention.statesHead
    if result.isEmpty, !isSaid, recognition.modules.count < 2 {
      result.append(
        .says(
          "the file does not say what stands before and behind \(Assumption.name(recognition.recurrent.name))"
        ))
    }
    return result
  }
}

/// Something that keeps a file from saying that its modules are a whole network.
package enum Reservation: Sendable, Hashable, CustomStringConvertible {
  /// What neither the file nor the caller says.
  case assumed(Assumption)
  /// What else is there, or left open, in one line.
  case says(String)

  /// One line in the library's words.
  package var description: String {
    switch self {
    case .assumed(let assumption): assumption.description
    case .says(let text): text
    }
  }
}

extension Structure.Module {
  /// Whether it hands its input on when nothing is being trained, or is no layer at all.
  package var isTransparent: Bool {
    ["Dropout", "Identity", "Loss", "ModuleList", "ModuleDict", "Sequential"].contains {
      className.contains($0)
    }
  }
}
