// The recurrent layers of a Sequential, and what none can be.
import Containers
import Tensors

extension KerasSequential {
  mutating func addRecurrent(
    _ module: Structure.Module, reads: HeadReads
  ) throws {
    try refuse(module, reads)
    let says = module.recurrent
    let isBoth = says.direction == "both"
    let count = module.prefixes.isEmpty ? says.layerCount ?? 1 : module.prefixes.count
    let kind = try Kind(module)
    let base = name(module.name, or: isBoth ? "bidirectional" : kind.path)
    prefixes.append([])
    for index in 0..<count {
      let isLast = index == count - 1
      if index > 0, let rate = says.dropout, rate > 0 {
        append("Dropout", named: name("dropout", or: "dropout"), [("rate", .number(rate))])
      }
      let path = "layers/" + numbering.next(isBoth ? "Bidirectional" : kind.className)
      var config: [(String, JSON)] = []
      var own: [String] = []
      for direction in 0..<(isBoth ? 2 : 1) {
        let prefix =
          module.prefixes.isEmpty
          ? recurrentPath(module, index, direction) : module.prefixes[index][direction]
        let half = isBoth ? "/" + ["forward", "backward"][direction] + "_layer" : ""
        config = try take(layer: prefix, of: module, to: path + half + "/cell/vars/")
        own.append(path + half + "/cell/vars/#")
      }
      prefixes[prefixes.count - 1].append(own)
      config.append(("return_sequences", .bool(!isLast || reads == .sequence)))
      let layer =
        module.layerNames.count == count && index > 0
        ? name(module.layerNames[index], or: base) : index == 0 ? base : name(base, or: base)
      guard isBoth else {
        append(kind.className, named: layer, config)
        continue
      }
      // Keras would make an absent backward layer itself, but then mistakes layers for one another
      // by the address of an object it has freed, and some loads of deeper models fail.
      let inner = kind.path + (index == 0 ? "" : "_\(index)")
      let forward = Self.object(kind.className, name: inner, config)
      let backward = Self.object(
        kind.className, name: "backward_" + inner, config + [("go_backwards", .bool(true))])
      append(
        "Bidirectional", named: layer,
        [
          ("layer", forward), ("backward_layer", backward), ("merge_mode", .string("concat")),
        ])
    }
  }

  /// The variables of one layer and direction, and what its configuration says because of them.
  mutating func take(
    layer prefix: String, of module: Structure.Module, to path: String
  ) throws -> [(String, JSON)] {
    let kind = try Kind(module)
    let kernel = try take(prefix, 0, of: module, to: path + "0")
    let recurrent = try take(prefix, 1, of: module, to: path + "1")
    guard let sizes = KerasLegacyArrays.recurrentSizes(kernel, recurrent), sizes.gates == kind.gates
    else {
      throw RecurrentError(
        .weightsShape, at: "tensor \"\(KerasNames.variable(prefix, 0))\"",
        found: "shape \(kernel.shape) beside \(recurrent.shape)",
        expected: "kernels of \(kind.gates) gates")
    }
    let bias = state[KerasNames.variable(prefix, 2)]
    if bias != nil { _ = try take(prefix, 2, of: module, to: path + "2") }
    var config: [(String, JSON)] = [
      ("units", .number(sizes.hidden)), ("activation", .string(kind.activation)),
      ("use_bias", .bool(bias != nil)),
    ]
    if kind.gates > 1 { config.append(("recurrent_activation", .string("sigmoid"))) }
    if kind.gates == 3 {
      let isAfter = bias.map { $0.shape.count == 2 } ?? (module.recurrent.gruReset != "before")
      config.append(("reset_after", .bool(isAfter)))
    }
    return config
  }

  /// The recurrent classes of Keras.
  struct Kind {
    let className: String
    let path: String
    let gates: Int
    let activation: String

    init(_ module: Structure.Module) throws {
      switch module.recurrent.cell {
      case "lstm": (className, path, gates, activation) = ("LSTM", "lstm", 4, "tanh")
      case "gru": (className, path, gates, activation) = ("GRU", "gru", 3, "tanh")
      case "rnn_relu": (className, path, gates, activation) = ("SimpleRNN", "simple_rnn", 1, "relu")
      case "rnn_tanh": (className, path, gates, activation) = ("SimpleRNN", "simple_rnn", 1, "tanh")
      default:
        throw KerasSequential.inexpressible(
          module.name, "no cell that is known", "lstm, gru, rnn_tanh or rnn_relu",
          "Say which cell it is.")
      }
    }
  }

  /// Throws what a Sequential cannot hold.
  private func refuse(_ module: Structure.Module, _ reads: HeadReads) throws {
    let says = module.recurrent
    func refuse(_ found: String, _ expected: String, _ hint: Advice) -> RecurrentError {
      Self.inexpressible(module.name, found, expected, hint)
    }
    switch says.initialState {
    case nil, .zeros?, .fed?: break
    case .stored?:
      throw refuse(
        "an initial state that the file stores", "a network that starts from zeros",
        "Keras has no place for it; .onnx, .h5, .npz and .safetensors keep it.")
    case .computed(let text)?:
      throw refuse(
        "an initial state from \(text)", "a network that starts from zeros",
        "Convert the module alone.")
    }
    if says.direction == "reverse" {
      throw refuse(
        "a stack that only reads backwards", "forward or both directions",
        "Keras returns the steps of such a layer in reverse order; write another container.")
    }
    if says.direction == "both", reads == .last {
      throw refuse(
        "a module that reads the last step of both directions", "every step, or the final states",
        "A Bidirectional layer that returns one step returns the final states; write another container."
      )
    }
    if says.projSize ?? 0 > 0 || says.clip != nil || says.couplesInputForget == true
      || says.activations != nil
    {
      throw refuse(
        "a projection, clipping, coupled gates or activations of its own",
        "a cell that Keras's layers have", "Write another container.")
    }
    for (index, part) in module.prefixes.enumerated()
    where part.count != (says.direction == "both" ? 2 : 1) {
      throw refuse(
        "\(part.count) parts in layer \(index)", "one for each direction", "Please report this.")
    }
  }
}
