import Containers
import Tensors

/// The one network that an ONNX file can hold: embedding? → recurrent module → linear layer?.
struct ONNXNetwork {
  /// Before the names of the recurrent module's tensors, dot included.
  var prefix = ""
  var operation = ONNXModule.Operation.rnn
  var layerCount = 1
  var bidirectional = false
  var bias = true
  var relu = false
  var linearBeforeReset = false
  var batchFirst = false
  /// Before the names of the linear layer's and the embedding's tensors; `nil` without one.
  var head: String?
  var embedding: String?
  var headReads = HeadReads.sequence
  /// The function behind the linear layer, by its word.
  var activation: String?
  var initialState = Structure.InitialState.zeros

  /// The functions that a linear layer can have behind it: their words, and their operations.
  static let activations = [
    "softmax": "Softmax", "log_softmax": "LogSoftmax", "sigmoid": "Sigmoid", "tanh": "Tanh",
    "relu": "Relu", "softplus": "Softplus", "softsign": "Softsign",
  ]

  /// The name of a tensor of a layer: `rnn.W_l0`.
  func tensorName(_ role: String, layer: Int) -> Name { Name("\(prefix)\(role)_l\(layer)") }

  /// The network of a state dict: what its structure says, or else its older metadata.
  ///
  /// Throws `onnx.no-network`, `onnx.several-modules`, `onnx.not-writable` or the module's own refusal.
  init(_ state: StateDict) throws {
    if let structure = state.structure,
      structure.modules.contains(where: { module in
        module.kind == .recurrent
          && (module.refusal != nil || state[Name(Self.prefix(module.name) + "W_l0")] != nil)
      })
    {
      try self.init(structure, state)
    } else {
      try self.init(legacy: state)
    }
  }

  private static func prefix(_ name: String) -> String { name.isEmpty ? "" : name + "." }

  private static func notWritable(_ name: String, _ found: String, _ expected: String)
    -> RecurrentError
  {
    RecurrentError(
      .onnxNotWritable, at: "module \"\(name)\"", found: found, expected: expected)
  }

  private static func several(_ count: Int) -> RecurrentError {
    RecurrentError(
      .onnxSeveralModules, found: "\(count) recurrent modules",
      expected: "one", hint: "Convert them one by one with \(.module).")
  }

  private init(_ structure: Structure, _ state: StateDict) throws {
    let recurrent = structure.modules.filter { $0.kind == .recurrent }
    guard let module = recurrent.first, recurrent.count == 1 else {
      throw Self.several(recurrent.count)
    }
    if let refusal = module.refusal { throw refusal }
    let facts = module.recurrent
    prefix = Self.prefix(module.name)
    try check(module, structure)
    switch facts.cell {
    case "lstm": operation = .lstm
    case "gru": operation = .gru
    case "rnn_tanh", "rnn_relu":
      operation = .rnn
      relu = facts.cell == "rnn_relu"
    default:
      throw Self.notWritable(
        module.name, "the cell \(facts.cell ?? "that the file does not name")",
        "rnn_tanh, rnn_relu, lstm or gru")
    }
    guard let layers = facts.layerCount, (1...100_000).contains(layers) else {
      throw Self.notWritable(module.name, "no number of layers", "1 or more")
    }
    layerCount = layers
    bidirectional = facts.direction == "both"
    bias = state[tensorName("B", layer: 0)] != nil
    linearBeforeReset = operation == .gru && facts.gruReset != "before"
    batchFirst = facts.batchFirst ?? false
    initialState = facts.initialState ?? .zeros
    let name = Name(module.name)
    func linked(_ kind: ModuleKind, _ links: [(Structure.Connection, String)]) throws
      -> (Structure.Connection, Structure.Module)?
    {
      let found = links.compactMap { link, other in
        structure.module(other).flatMap { $0.kind == kind ? (link, $0) : nil }
      }
      guard found.count < 2, found.count == links.count else {
        throw Self.notWritable(
          module.name, "\(links.count) connections on one side", "an embedding and a linear layer")
      }
      return found.first
    }
    embedding = try linked(
      .embedding, structure.connections.filter { Name($0.to) == name }.map { ($0, $0.from) }
    )
    .map { Self.prefix($0.1.name) }
    let top = try linked(
      .linear, structure.connections.filter { Name($0.from) == name }.map { ($0, $0.to) })
    if let (connection, linear) = top {
      head = Self.prefix(linear.name)
      headReads = connection.reads
      activation = linear.activation
      guard activation.map({ Self.activations[$0] != nil }) ?? true else {
        throw Self.notWritable(
          linear.name, "the activation \(activation ?? "")",
          Self.activations.keys.sorted().joined(separator: ", "))
      }
    }
    let names = Set([prefix, head, embedding].compactMap { $0 })
    for obstacle in structure.obstacles
    where !obstacle.isBranch && names.contains(Self.prefix(obstacle.module)) {
      throw Self.notWritable(
        obstacle.module,
        "\(obstacle.operations.joined(separator: ", ")) \(obstacle.side.rawValue) it",
        "nothing but an embedding, a recurrent module and a linear layer")
    }
  }

  /// What the graph that is written has no place for.
  private func check(_ module: Structure.Module, _ structure: Structure) throws {
    let facts = module.recurrent
    if facts.takesLengths == true {
      throw Self.notWritable(
        module.name, "a network that takes the lengths of its sequences",
        "one that takes whole sequences")
    }
    guard ["forward", "both", nil].contains(facts.direction) else {
      throw Self.notWritable(
        module.name, "the direction \(facts.direction ?? "")", "forward or both")
    }
    guard (facts.projSize ?? 0) == 0 else {
      throw Self.notWritable(module.name, "an LSTM with a projection", "one without")
    }
    guard facts.activations == nil, (facts.clip ?? 0) == 0, facts.couplesInputForget != true else {
      throw Self.notWritable(
        module.name, "activations, a clip or coupled gates of its own", "PyTorch's cell")
    }
    if case .computed(let text)? = facts.initialState {
      throw Self.notWritable(
        module.name, "initial states that come from \(text)", "zeros, stored or given states")
    }
  }

  /// What `onnx.modules` says, where no structure does.
  private init(legacy state: StateDict) throws {
    guard let text = state.metadata[ONNXModule.metadataKey] else {
      throw RecurrentError(
        .onnxNoNetwork,
        found: "tensors without a recurrent network in ONNX's layout",
        expected: "a network, because an ONNX file holds a computation",
        hint: "Leave out \(.convention), or write safetensors or HDF5.")
    }
    let modules = try ONNXModule.parse(text)
    guard modules.count == 1 else { throw Self.several(modules.count) }
    let module = modules[0]
    if let refusal = module.refusal { throw refusal }
    guard !module.sequenceLengths else {
      throw Self.notWritable(
        module.prefix, "a network that takes the lengths of its sequences",
        "one that takes whole sequences")
    }
    prefix = module.prefix
    operation = module.operation
    layerCount = module.layerCount
    bidirectional = module.bidirectional
    bias = module.bias
    relu = module.relu
    linearBeforeReset = module.linearBeforeReset
    batchFirst = module.batchFirst
    head = module.head
    embedding = module.embedding
  }
}
