// One recurrent layer of a configuration: what it computes, and where its arrays are.
//
//   LSTM, GRU, SimpleRNN          {"units", "activation", "recurrent_activation", "use_bias", "reset_after",
//                                  "return_sequences", "return_state", "go_backwards", "stateful", …}
//   Bidirectional                 {"layer": {…}, "backward_layer"?: {…}, "merge_mode"}
//   RNN                           {"cell": CELL or StackedRNNCells or, before, a list}
//
// Defaults that a configuration leaves out are those of the version that wrote it: before 2.3 the gates'
// function was hard_sigmoid, which is clip(0.2x + 0.5, 0, 1) before Keras 3 and clip(x/6 + 0.5, 0, 1) since.

import Containers
import Tensors

/// One recurrent layer, or the equal cells of one `RNN` layer.
struct KerasRecurrentLayer {
  /// The prefixes of the variables, by layer and direction.
  var prefixes: [[String]]
  var recurrent: Structure.Recurrent
  var refusal: RecurrentError?
  var remarks: [Remark] = []
  var returnsSequences = false
  /// Whether each call begins where the call before ended.
  var isStateful = false
  var isBidirectional: Bool { (prefixes.first?.count ?? 1) == 2 }

  /// Whether `next` can be the following layer of one stack.
  func continues(with next: KerasRecurrentLayer) -> Bool {
    var (one, other) = (recurrent, next.recurrent)
    (one.inputSize, other.inputSize, one.layerCount, other.layerCount) = (nil, nil, nil, nil)
    return one == other && returnsSequences && refusal?.reason == next.refusal?.reason
      && recurrent.direction != "reverse"
      && [nil, .kerasActivationInexpressible].contains(refusal?.reason)
      && [nil, .zeros].contains(recurrent.initialState)
  }
}

/// Reads what a layer's configuration says about its computation.
struct KerasRecurrentReader {
  let state: StateDict
  let version: KerasVersion

  private static let kinds: [String: String] = [
    "SimpleRNN": "SimpleRNN", "LSTM": "LSTM", "GRU": "GRU", "CuDNNLSTM": "LSTM", "CuDNNGRU": "GRU",
    "SimpleRNNCell": "SimpleRNN", "LSTMCell": "LSTM", "GRUCell": "GRU",
  ]

  /// A description in Keras's own classes: class, configuration, and whether that class is Keras's own.
  private struct Description {
    let className: String
    let config: JSON

    init?(_ json: JSON?) {
      guard let json, !KerasGraph.isCustom(json), let name = json["class_name"]?.stringValue else {
        return nil
      }
      (className, config) = (name, json["config"] ?? .null)
    }

    init(_ className: String, _ config: JSON) {
      (self.className, self.config) = (className, config)
    }
  }

  /// The recurrent layer that a model's layer is; `nil` for every other class, and for cells that are no
  /// stack.
  func layer(_ layer: KerasGraph.Layer) -> KerasRecurrentLayer? {
    guard !layer.isCustom else { return nil }
    let own = Description(layer.className, layer.config)
    guard layer.className == "Bidirectional" else {
      return stack(own, path: layer.path, at: layer.name)
    }
    return bidirectional(layer)
  }

  private func bidirectional(_ layer: KerasGraph.Layer) -> KerasRecurrentLayer? {
    guard let inner = Description(layer.config["layer"]),
      let forward = stack(inner, path: layer.path + "/forward_layer", at: layer.name),
      forward.prefixes.count == 1
    else { return nil }
    // Absent, the backward layer is made from the forward one.
    let other = layer.config["backward_layer"].flatMap { $0 == .null ? nil : $0 }
    var backward: KerasRecurrentLayer?
    if let other {
      guard let description = Description(other) else { return nil }
      backward = stack(description, path: layer.path + "/backward_layer", at: layer.name)
      guard backward?.prefixes.count == 1 else { return nil }
    }
    var result = forward
    result.prefixes = [
      [forward.prefixes[0][0], layer.path + "/backward_layer" + suffix(forward, layer)]
    ]
    result.recurrent.direction = "both"
    result.recurrent.activations = forward.recurrent.activations.map { one in
      one + " " + (backward?.recurrent.activations ?? one)
    }
    if let backward {
      var (one, two) = (forward.recurrent, backward.recurrent)
      (one.direction, two.direction) = (nil, nil)
      (one.dropout, two.dropout) = (nil, nil)
      let isOdd =
        backward.refusal?.reason == .kerasActivationInexpressible && forward.refusal == nil
      if one != two || isOdd || forward.returnsSequences != backward.returnsSequences {
        result.refusal = refusal(
          .kerasBidirectional, layer.name, "a backward layer unlike the forward layer",
          "the same class, sizes and activations in both directions",
          "Convert the two layers one by one with a model for each.")
      }
    }
    let backwards = backward.map { $0.recurrent.direction == "reverse" } ?? true
    if forward.recurrent.direction == "reverse" || !backwards {
      result.refusal = refusal(
        .kerasGoBackwards, layer.name, "go_backwards inside Bidirectional",
        "a forward layer that reads forwards and a backward layer that reads backwards",
        "Swap the two directions before converting.")
    } else if result.refusal?.reason == .kerasGoBackwards {
      result.refusal = nil
    }
    let merge = layer.config["merge_mode"] ?? .string("concat")
    if merge.stringValue != "concat" {
      result.refusal = refusal(
        .kerasMergeMode, layer.name,
        "Bidirectional with merge_mode \(merge.stringValue ?? "None")",
        "merge_mode concat: PyTorch puts the directions side by side",
        "Rebuild the layer with merge_mode=\"concat\" and combine the halves in a layer after it.")
    }
    return result
  }

  /// What stands behind `…/forward_layer` in the forward half's prefix.
  private func suffix(_ forward: KerasRecurrentLayer, _ layer: KerasGraph.Layer) -> String {
    String(forward.prefixes[0][0].dropFirst((layer.path + "/forward_layer").count))
  }

  /// A plain layer, or an `RNN` layer whose cells are a stack.
  private func stack(
    _ own: Description, path: String, at place: String
  ) -> KerasRecurrentLayer? {
    guard own.className == "RNN" else {
      guard !own.className.hasSuffix("Cell"), let kind = Self.kinds[own.className] else {
        return nil
      }
      return unit(
        kind, own.config, settings: own.config, prefix: path + "/cell/vars/#", at: place,
        isCuDNN: own.className.hasPrefix("CuDNN"))
    }
    var whole: KerasRecurrentLayer?
    for cell in cells(of: own.config, path: path) {
      guard let kind = cell.kind else { return nil }
      var one = unit(
        kind, cell.config, settings: own.config, prefix: cell.prefix, at: place, isCuDNN: false)
      guard var stack = whole else {
        whole = one
        continue
      }
      // Inside one step there are no sequences: the next cell takes what this one gives.
      stack.returnsSequences = true
      one.returnsSequences = stack.returnsSequences
      guard stack.continues(with: one) else { return nil }
      stack.recurrent.layerCount = (stack.recurrent.layerCount ?? 1) + 1
      stack.prefixes += one.prefixes
      whole = stack
    }
    whole?.returnsSequences = own.config["return_sequences"]?.boolValue ?? false
    return whole
  }

  /// The cells of an `RNN` layer with the prefixes of their variables; `kind` is `nil` for custom ones.
  func cells(
    of config: JSON, path: String
  ) -> [(name: String, kind: String?, className: String, config: JSON, prefix: String)] {
    let cell = config["cell"] ?? config["cells"] ?? .null
    let isCustom = cell.arrayValue == nil && KerasGraph.isCustom(cell)
    let list =
      cell.arrayValue ?? (isCustom ? [cell] : cell["config"]?["cells"]?.arrayValue ?? [cell])
    let paths = KerasVariables.cells(of: config, path: path)
    guard list.count == paths.count else { return [] }
    return zip(list, paths).map { json, own in
      let name = own.config["name"]?.stringValue ?? own.path
      let kind = isCustom || KerasGraph.isCustom(json) ? nil : Self.kinds[own.className]
      let isCell = own.className.hasSuffix("Cell")
      return (name, isCell ? kind : nil, own.className, own.config, own.path + "/vars/#")
    }
  }

  /// What one cell's configuration says, as a module of its own.
  func cell(_ kind: String, _ config: JSON, prefix: String, at place: String) -> KerasRecurrentLayer
  {
    var result = unit(kind, config, settings: .null, prefix: prefix, at: place, isCuDNN: false)
    (result.recurrent.direction, result.recurrent.batchFirst) = (nil, nil)
    return result
  }

  // MARK: One layer or cell

  private func unit(
    _ kind: String, _ config: JSON, settings: JSON, prefix: String, at place: String, isCuDNN: Bool
  ) -> KerasRecurrentLayer {
    var result = KerasRecurrentLayer(prefixes: [[prefix]], recurrent: .init())
    result.returnsSequences = settings["return_sequences"]?.boolValue ?? false
    var says = Structure.Recurrent()
    says.layerCount = 1
    says.direction = "forward"
    says.batchFirst = settings["time_major"]?.boolValue != true
    says.hasBias = config["use_bias"]?.boolValue ?? true
    says.hiddenSize = config["units"]?.intValue ?? config["output_dim"]?.intValue
    if let kernel = state[KerasNames.variable(prefix, 0)], kernel.shape.count == 2 {
      says.inputSize = kernel.shape[0]
    }
    let function = KerasFunction(config["activation"], default: "tanh")
    let gate = KerasFunction(
      config["recurrent_activation"] ?? config["inner_activation"],
      default: isCuDNN || !version.isBefore(2, 3) ? "sigmoid" : "hard_sigmoid")
    switch kind {
    case "LSTM": says.cell = "lstm"
    case "GRU":
      says.cell = "gru"
      // Keras 1, and Keras 2 before it learned of the other form, apply the gate first.
      let isAfter = config["reset_after"]?.boolValue ?? (isCuDNN || resetsAfter(prefix, config))
      says.gruReset = isAfter ? "after" : "before"
    default: says.cell = function.name == "relu" ? "rnn_relu" : "rnn_tanh"
    }
    let isSimple = kind == "SimpleRNN"
    if !(function.name == "tanh" || (isSimple && function.name == "relu")) {
      result.refusal = refuse(function, "activation", isSimple, at: place)
    } else if !isSimple, gate.name != "sigmoid" {
      result.refusal = refuse(gate, "recurrent_activation", isSimple, at: place)
    }
    if result.refusal != nil {
      let names =
        isSimple ? [function] : kind == "GRU" ? [gate, function] : [gate, function, function]
      let words = names.compactMap { $0.word(version) }
      says.activations = words.count == names.count ? words.joined(separator: " ") : nil
    }
    if settings["go_backwards"]?.boolValue == true {
      says.direction = "reverse"
      result.refusal =
        result.refusal
        ?? refusal(
          .kerasGoBackwards, place, "go_backwards: the layer reads its input from the end",
          "a layer that reads forwards, or Bidirectional",
          "Reverse the input in time and set go_backwards=False: the weights stay the same.")
    }
    result.refusal =
      KerasValues.refusal(config, of: place) ?? KerasValues.refusal(settings, of: place)
      ?? result.refusal
    if settings["stateful"]?.boolValue == true {
      says.initialState = .fed
      result.isStateful = true
    }
    for key in ["dropout", "recurrent_dropout"] {
      if let fraction = config[key]?.doubleValue, fraction > 0 {
        result.remarks.append(.noise(key: key, fraction: fraction))
      }
    }
    result.recurrent = says
    return result
  }

  /// What a GRU's bias says of its reset gate; without one, what the version did by default.
  private func resetsAfter(_ prefix: String, _ config: JSON) -> Bool {
    if let bias = state[KerasNames.variable(prefix, 2)] { return bias.shape.count == 2 }
    return config["units"] != nil && !version.isBefore(2, 3)
  }

  private func refuse(
    _ function: KerasFunction, _ key: String, _ isSimple: Bool, at place: String
  ) -> RecurrentError {
    let isHard = function.name == "hard_sigmoid"
    return refusal(
      .kerasActivationInexpressible, place, "\(key) \(function.name)",
      isSimple ? "tanh or relu" : "tanh, and sigmoid for the gates, as in PyTorch's cells",
      isHard
        ? "hard_sigmoid is clip(0.2x + 0.5, 0, 1) in Keras 1 and 2, clip(x/6 + 0.5, 0, 1) in Keras 3;"
          + " fine-tune the model with recurrent_activation=\"sigmoid\", then convert."
        : "Train the model with the standard activations, then convert.")
  }

  private func refusal(
    _ reason: RecurrentError.Reason, _ place: String, _ found: String, _ expected: String,
    _ hint: Advice
  ) -> RecurrentError {
    RecurrentError(
      reason, at: "layer \"\(place)\"", found: found, expected: expected, hint: hint)
  }
}
