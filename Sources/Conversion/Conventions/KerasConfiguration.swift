import RNNEngine
import WeightFormats

extension Convention {
  /// The configuration of a Sequential model, spelled so that Keras 3 and tf_keras both read it.
  ///
  /// Every layer returns its whole sequence and the head sees every step, as in the engine.
  static func kerasConfiguration(of architecture: Architecture) -> JSON {
    let cell = architecture.cell
    var layers: [JSON] = []
    let isText = architecture.embedding != nil
    let step: [JSON] = isText ? [] : [.number(architecture.inputSize)]
    layers.append(
      kerasObject(
        "InputLayer", name: "input_layer",
        [("batch_input_shape", .array([.null, .null] + step))]
          + (isText ? [("dtype", .string("int32"))] : [])))
    if let embedding = architecture.embedding {
      layers.append(
        kerasObject(
          "Embedding", name: "embedding",
          [
            ("input_dim", .number(embedding.tokenCount)),
            ("output_dim", .number(architecture.inputSize)),
          ]))
    }
    for layer in 0..<architecture.layerCount {
      var config: [(String, JSON)] = [
        ("units", .number(architecture.hiddenSize)),
        ("activation", .string(cell == .rnnRelu ? "relu" : "tanh")),
        ("use_bias", .bool(architecture.bias)), ("return_sequences", .bool(true)),
      ]
      if cell.gateNames.count > 1 { config.append(("recurrent_activation", .string("sigmoid"))) }
      if cell == .gru { config.append(("reset_after", .bool(architecture.gruReset == .after))) }
      let number = layer == 0 ? "" : "_\(layer)"
      let kind = kerasClass(cell)
      let name = kind.path + number
      let one = kerasObject(kind.name, name: name, config)
      guard architecture.bidirectional else {
        layers.append(one)
        continue
      }
      // Keras would make an absent backward layer itself, but then mistakes layers for one another
      // by the address of an object it has freed, and some loads of deeper models fail.
      let backward = kerasObject(
        kind.name, name: "backward_" + name, config + [("go_backwards", .bool(true))])
      layers.append(
        kerasObject(
          "Bidirectional", name: "bidirectional" + number,
          [
            ("layer", one), ("backward_layer", backward), ("merge_mode", .string("concat")),
          ]))
    }
    if let head = architecture.head {
      layers.append(
        kerasObject(
          "Dense", name: "dense",
          [
            ("units", .number(head.classCount)), ("activation", .string("linear")),
            ("use_bias", .bool(head.bias)),
          ]))
    }
    return kerasObject(
      "Sequential", module: "keras", name: "sequential", [("layers", .array(layers))])
  }

  private static func kerasObject(
    _ className: String, module: String = "keras.layers", name: String, _ config: [(String, JSON)]
  ) -> JSON {
    let members = [("name", JSON.string(name))] + config
    return .object([
      "module": .string(module), "class_name": .string(className),
      "config": .object(members.map { JSON.Member(key: $0.0, value: $0.1) }),
      "registered_name": .null,
    ])
  }
}
