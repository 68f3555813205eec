// Modules of a file without a configuration: groups of variables whose names and shapes say what they are.
//
//   …/cell/vars/0, 1, 2          a recurrent layer (Keras 3), …/forward_layer/cell and …/backward_layer/cell
//   …/kernel:0, …                older files where no list says the order
//
// Nothing is said of how they are connected, and none are stacked.

import Containers
import Tensors

/// Finds modules by the names of their variables.
struct KerasNamedModules {
  private let state: StateDict
  private let version: KerasVersion
  /// Layers' own names by the path of the object.
  private let names: [String: String]
  /// Prefixes of layers whose arrays say that they were cuDNN's, which knew only one activation.
  private let cuDNN: Set<String>
  private var taken: Set<String> = []

  init(
    _ state: StateDict, names: [(path: String, name: String)], version: KerasVersion,
    cuDNN: Set<String>
  ) {
    self.state = state
    self.version = version
    self.cuDNN = cuDNN
    self.names = Dictionary(
      names.map { ($0.path, $0.name) }, uniquingKeysWith: { first, _ in first })
  }

  /// The modules in the order of their first tensors.
  mutating func modules() -> [Structure.Module] {
    let all = KerasNames.prefixes(in: state)
    let cells = Set(all.filter(isRecurrent))
    var result: [Structure.Module] = []
    for prefix in all {
      if cells.contains(prefix) {
        let (path, direction) = Self.layer(of: prefix)
        let other = Self.other(prefix)
        if direction == 1, let other, cells.contains(other) { continue }
        result.append(
          recurrent(
            prefix,
            backward: direction == 0 ? other.flatMap { cells.contains($0) ? $0 : nil } : nil,
            direction: direction, path: path))
      } else {
        result.append(simple(prefix) ?? other(Self.object(of: prefix)))
      }
    }
    return result
  }

  /// A recurrent layer, or one whose class only looks like it.
  private mutating func recurrent(
    _ prefix: String, backward: String?, direction: Int?, path: String
  ) -> Structure.Module {
    guard Self.mayBe(path, Self.recurrentClasses) else { return other(path) }
    var module = Structure.Module(
      name: name(of: path), kind: .recurrent, className: "",
      prefixes: [[prefix] + (backward.map { [$0] } ?? [])])
    let kernel = state[KerasNames.variable(prefix, 0)]?.shape ?? []
    let recurrent = state[KerasNames.variable(prefix, 1)]?.shape ?? []
    let bias = state[KerasNames.variable(prefix, 2)]?.shape
    guard kernel.count == 2, recurrent.count == 2 else { return module }
    let gates = recurrent[1] / recurrent[0]
    var says = Structure.Recurrent()
    says.layerCount = 1
    says.inputSize = kernel[0]
    says.hiddenSize = recurrent[0]
    says.hasBias = bias != nil
    says.direction = backward != nil ? "both" : direction == 0 ? "forward" : nil
    says.batchFirst = true
    switch gates {
    case 3:
      (module.className, says.cell) = ("GRU", "gru")
      if let bias { says.gruReset = bias.count == 2 ? "after" : "before" }
    case 4: (module.className, says.cell) = ("LSTM", "lstm")
    default: module.className = "SimpleRNN"
    }
    if path.contains("/cell/cells/") {
      module.kind = .cell
      (says.direction, says.batchFirst) = (nil, nil)
    }
    module.recurrent = says
    if direction == 1 || (direction == 0 && backward == nil) {
      module.refusal = RecurrentError(
        .kerasBidirectional, at: "layer \"\(module.name)\"",
        found: "one direction of a Bidirectional layer", expected: "both",
        hint: "Save the weights of the whole model.")
    }
    if gates > 1, version.isBefore(2, 3), cuDNN.isDisjoint(with: module.prefixes[0]) {
      module.refusal = oldDefault(module.name)
    }
    return module
  }

  private func oldDefault(_ name: String) -> RecurrentError {
    let writer = version.text == "1" ? "a version before 2" : version.text ?? ""
    return RecurrentError(
      .kerasActivation, at: "layer \"\(name)\"",
      found: "weights without a configuration from Keras \(writer), where recurrent_activation was"
        + " hard_sigmoid by default",
      expected: "a configuration that says which activation the layer had",
      hint: "Save the whole model (model.save), which says the activation; if it is sigmoid,"
        + " save the weights again with Keras 2.3 or later.")
  }

  private mutating func simple(_ prefix: String) -> Structure.Module? {
    guard let first = state[KerasNames.variable(prefix, 0)], first.shape.count == 2,
      state[KerasNames.variable(prefix, 2)] == nil || prefix.contains("*")
    else {
      guard let table = state[KerasNames.variable(prefix, 0, words: ["embeddings"])],
        table.shape.count == 2, prefix.contains("*")
      else { return nil }
      return module(of: prefix, .embedding, "Embedding")
    }
    let bias = state[KerasNames.variable(prefix, 1, words: ["kernel", "bias"])]
    guard bias == nil || bias?.shape == [first.shape[1]] else { return nil }
    let path = Self.object(of: prefix)
    if bias != nil {
      return Self.mayBe(path, ["dense"]) ? module(of: prefix, .linear, "Dense") : nil
    }
    // One matrix alone: Keras's path says the class, the author's name does not.
    guard prefix.contains("#") else { return module(of: prefix, .linear, "Dense") }
    let object = path.split(separator: "/").last.map(String.init) ?? ""
    if Self.isNumbered(object, "embedding") { return module(of: prefix, .embedding, "Embedding") }
    if Self.isNumbered(object, "dense") { return module(of: prefix, .linear, "Dense") }
    return nil
  }

  private mutating func module(
    of prefix: String, _ kind: ModuleKind, _ className: String
  ) -> Structure.Module {
    Structure.Module(
      name: name(of: Self.object(of: prefix)), kind: kind, className: className,
      prefixes: [[prefix]])
  }

  private static let recurrentClasses = ["lstm", "gru", "simple_rnn", "rnn", "bidirectional"]

  /// Whether a layer can be of one of these classes: in Keras's own lists of layers the path says the class.
  private static func mayBe(_ path: String, _ classes: [String]) -> Bool {
    let pieces = path.split(separator: "/").map(String.init)
    if pieces.count > 1, pieces[pieces.count - 2] == "cells" {
      return ["lstm_cell", "gru_cell", "simple_rnn_cell"].contains {
        isNumbered(pieces[pieces.count - 1], $0)
      }
    }
    guard let index = pieces.lastIndex(of: "layers"), index + 1 < pieces.count,
      index + 2 == pieces.count || ["cell", "layer"].contains(pieces[index + 2])
    else { return true }
    return classes.contains { isNumbered(pieces[index + 1], $0) }
      || (pieces[index + 1].hasPrefix("time_distributed") && pieces.count > index + 2)
  }

  /// A module whose computation nobody knows.
  private mutating func other(_ path: String) -> Structure.Module {
    let piece = path.split(separator: "/").last.map(String.init) ?? path
    let name = name(of: path)
    return Structure.Module(name: name, kind: .other, className: piece, prefixes: [[path + "/"]])
  }

  /// Whether a piece of a path is a class's name, numbered or not.
  private static func isNumbered(_ piece: String, _ word: String) -> Bool {
    guard piece.hasPrefix(word) else { return false }
    let rest = piece.dropFirst(word.count)
    return rest.isEmpty || (rest.hasPrefix("_") && Int(rest.dropFirst()) != nil)
  }

  // MARK: Names

  /// The names that the file has for a layer and the models around it; its path where it has none.
  private mutating func name(of path: String) -> String {
    var pieces = path.split(separator: "/").map(String.init)
    // What a wrapper (TimeDistributed) holds has the wrapper's name.
    while pieces.last == "layer", pieces.count > 1 { pieces.removeLast() }
    let path = pieces.joined(separator: "/")
    var own: [String] = []
    for length in 1...max(1, pieces.count) {
      let outer = pieces.prefix(length).joined(separator: "/")
      // Cells have the name of their layer; what holds them has none that its author knows.
      guard let name = names[outer], length == pieces.count || pieces[length - 1] != "cell" else {
        continue
      }
      own.append(name)
    }
    let name = names[path] == nil ? path : own.joined(separator: ".")
    if taken.insert(name).inserted { return name }
    taken.insert(path)
    return path
  }

  private func isRecurrent(_ prefix: String) -> Bool {
    guard let kernel = state[KerasNames.variable(prefix, 0)],
      let recurrent = state[KerasNames.variable(prefix, 1)],
      let sizes = KerasLegacyArrays.recurrentSizes(kernel, recurrent)
    else { return false }
    let wide = sizes.gates * sizes.hidden
    let bias = state[KerasNames.variable(prefix, 2)]?.shape
    guard bias == nil || bias == [wide] || (sizes.gates == 3 && bias == [2, wide]) else {
      return false
    }
    return prefix.contains("cell") || prefix.contains("*")
  }

  private static func object(of prefix: String) -> String {
    let pieces = prefix.split(separator: "/").dropLast()
    return (pieces.last == "vars" ? pieces.dropLast() : pieces).joined(separator: "/")
  }

  /// The path of the layer that a cell's variables belong to, and the direction if it says one.
  private static func layer(of prefix: String) -> (path: String, direction: Int?) {
    let parts = prefix.split(separator: "/").map(String.init)
    let isNumbered = prefix.hasSuffix("#")
    if let index = parts.firstIndex(where: { direction(of: $0, isNumbered) != nil }) {
      return (parts[..<index].joined(separator: "/"), direction(of: parts[index], isNumbered))
    }
    var end = parts.count - 1
    if end > 0, parts[end - 1] == "vars" { end -= 1 }
    if end > 1,
      parts[end - 1] == "cell" || (parts[end - 1].contains("_cell") && prefix.contains("*"))
    {
      end -= 1
    }
    return (parts[..<max(1, end)].joined(separator: "/"), nil)
  }

  /// In Keras 3's paths one word alone stands for a direction; anything else is an author's attribute.
  private static func direction(of piece: String, _ isNumbered: Bool) -> Int? {
    if isNumbered { return ["forward_layer": 0, "backward_layer": 1][piece] }
    return piece.hasPrefix("forward_") ? 0 : piece.hasPrefix("backward_") ? 1 : nil
  }

  /// The same prefix in the other direction.
  private static func other(_ prefix: String) -> String? {
    var parts = prefix.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    let isNumbered = prefix.hasSuffix("#")
    guard let index = parts.firstIndex(where: { direction(of: $0, isNumbered) != nil }) else {
      return nil
    }
    let rest = parts[index].drop { $0 != "_" }
    parts[index] = (parts[index].hasPrefix("forward") ? "backward" : "forward") + rest
    return parts.joined(separator: "/")
  }
}
