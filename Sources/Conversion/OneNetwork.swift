import Containers
import Frameworks
import Networks
import RNNEngine
import Tensors

/// A network on its way into a container that holds one connected network: an ONNX graph, a Keras model.
struct OneNetwork {
  let network: Network
  private let options: ReadOptions

  /// Throws `conversion.not-one-network` unless everything that computes in the file is in the network, or the caller chose
  /// the module.
  init(_ network: Network, _ state: StateDict, _ options: ReadOptions, _ format: WeightFormat)
    throws
  {
    self.network = network
    self.options = options
    let isChosen = options.module != nil || options.head != nil || options.embedding != nil
    guard !isChosen else { return }
    let recognition = network.recognition
    var strangers = recognition.file.modules.filter { module in
      !recognition.modules.contains { $0.name == module.name && $0.kind == module.kind }
    }.map(\.description)
    // What lies beside a bare nn.LSTM's own tensors was put there by hand, and is no part of a model's class.
    let isBare = recognition.recurrent.name.isEmpty && recognition.file.modules.count == 1
    let loose = Self.parameters(recognition.file.others, state).filter {
      !isBare || $0.string.contains(".")
    }
    if !loose.isEmpty {
      strangers.append(
        loose.prefix(3).map { "tensor \"\($0)\"" }.joined(separator: ", ")
          + (loose.count > 3 ? ", …" : ""))
    }
    strangers += network.surroundings
    guard strangers.isEmpty else {
      throw RecurrentError(
        .conversionNotOneNetwork,
        found: "\(recognition.architecture.summary), and beside it "
          + strangers.prefix(6).joined(separator: "; ") + (strangers.count > 6 ? "; …" : ""),
        expected:
          "one network whose every connection is known, because \(format.name) holds a computation",
        hint:
          "\(.module(recognition.recurrent.name)) converts the recurrent module alone, with what is known to follow it (\(.head) names its head); .pt, .h5, .npz and .safetensors hold all modules."
      )
    }
  }

  /// Floating-point tensors with at least one axis: what may be parameters of something.
  static func parameters(_ names: [Name], _ state: StateDict) -> [Name] {
    names.filter { name in
      state[name].map { $0.dtype.isFloatingPoint && !$0.shape.isEmpty } ?? false
    }
  }

  /// What stands around the network in its file, one line each.
  var surroundings: [String] {
    (network.around + network.recognition.file.placeless).map(\.text)
  }

  /// What is not in the output, one line each.
  var leftBehind: [String] {
    var lines = surroundings
    let loose = network.recognition.file.others
    if !loose.isEmpty {
      lines.append(
        "\(loose.count) tensor\(loose.count == 1 ? "" : "s") of no module: "
          + loose.prefix(3).map(\.string).joined(separator: ", ") + (loose.count > 3 ? ", …" : ""))
    }
    return lines
  }

  /// The prefixes and what the writer needs to know, for tensors in the convention's own names.
  func target(_ convention: Convention) -> (naming: Naming, structure: Structure) {
    let recognition = network.recognition
    let names = ModuleRewriting.outputNames(recognition.modules, recognition.file, convention)
    var architecture = network.architecture
    architecture.head = nil
    architecture.embedding = nil
    var naming = Naming.customary(for: network.architecture)
    var prefixes: [[[String]]] = []
    if convention.prefixes != nil {
      naming = Naming(
        recurrent: "", head: "layers/dense/vars/#", embedding: "layers/embedding/vars/#")
      prefixes = recognition.modules.map { module in
        switch module.kind {
        case .embedding: return [[naming.embedding]]
        case .linear: return [[naming.head]]
        case .recurrent, .cell, .other:
          return (0..<architecture.layerCount).map { layer in
            (0..<architecture.directionCount).map { direction in
              convention.customaryPart(architecture, naming, layer, direction)
            }
          }
        }
      }
    } else {
      for (module, name) in zip(recognition.modules, names) {
        let prefix = name.asPrefix
        switch module.kind {
        case .embedding: naming.embedding = prefix
        case .linear: naming.head = prefix
        case .recurrent, .cell, .other: naming.recurrent = prefix
        }
      }
    }
    return (naming, structure(names, prefixes, convention))
  }

  private func structure(
    _ names: [String], _ prefixes: [[[String]]], _ convention: Convention
  ) -> Structure {
    let recognition = network.recognition
    let architecture = network.architecture
    var structure = Structure(statesConnections: true)
    structure.convention = convention.name
    for (index, module) in recognition.modules.enumerated() {
      var stated = Structure.Module(
        name: names[index], kind: module.kind == .cell ? .recurrent : module.kind,
        prefixes: prefixes.isEmpty ? [] : prefixes[index])
      if module.isRecurrent {
        stated.recurrent = facts(prefix: names[index].asPrefix)
      }
      stated.paddingIndex = module.kind == .embedding ? architecture.embedding?.paddingIndex : nil
      if module.kind == .linear { stated.activation = architecture.head?.activation }
      structure.modules.append(stated)
    }
    for index in names.indices.dropFirst() {
      let reads = structure.modules[index].kind == .linear ? architecture.head?.reads : .sequence
      structure.connections.append(
        .init(from: names[index - 1], to: names[index], reads: reads ?? .sequence))
    }
    return structure
  }

  private func facts(prefix: String) -> Structure.Recurrent {
    let architecture = network.architecture
    var facts = Structure.Recurrent()
    facts.cell = architecture.cell.rawValue
    facts.layerCount = architecture.layerCount
    facts.inputSize = architecture.inputSize
    facts.hiddenSize = architecture.hiddenSize
    facts.hasBias = architecture.bias
    facts.direction = architecture.bidirectional ? "both" : "forward"
    facts.gruReset = architecture.cell == .gru ? architecture.gruReset.rawValue : nil
    facts.batchFirst = architecture.batchFirst
    facts.dropout = architecture.dropout > 0 ? architecture.dropout : nil
    if case .fed? = network.recognition.recurrent.stated?.recurrent.initialState {
      facts.initialState = .fed
    } else if architecture.storesInitialState {
      facts.initialState = .stored(
        h: network.initialState.h == nil ? nil : Name(prefix + "h_0"),
        c: network.initialState.c == nil ? nil : Name(prefix + "c_0"))
    } else {
      facts.initialState = .zeros
    }
    return facts
  }
}
