import RNNEngine
import Tensors
import WeightFormats

/// One recurrent layer of a Keras model, or several in one (`StackedRNNCells`).
struct KerasRecurrentLayer {
  /// The path of the layer, for people and `--module`.
  let path: String
  /// The prefixes of the variables, by layer and direction.
  var prefixes: [[String]]
  /// What each of the layers is; sizes come from the arrays.
  var architecture: Architecture
  var known: Set<Candidate.Fact> = []
  var refusal: RecurrentError?
  var remarks: [String] = []
  var returnsSequences = true
  /// Its position among the model's layers.
  var position: Int?

  var outputSize: Int { architecture.outputSize }

  /// Whether `next` can be the following layer of one stack.
  func continues(with next: KerasRecurrentLayer) -> Bool {
    var one = architecture
    var other = next.architecture
    (one.inputSize, other.inputSize, one.layerCount, other.layerCount) = (0, 0, 0, 0)
    return one == other && next.architecture.inputSize == outputSize && returnsSequences
  }
}

/// Reads what a layer's configuration says about its computation.
struct KerasLayerReader {
  let state: StateDict

  /// The recurrent layer that a model's layer is; `nil` for every other class.
  ///
  /// Throws `weights.missing` and `weights.shape` where the arrays do not fit the class.
  func layer(_ layer: KerasModel.Layer, at position: Int) throws -> KerasRecurrentLayer? {
    var result: KerasRecurrentLayer?
    switch layer.className {
    case "SimpleRNN", "LSTM", "GRU", "CuDNNLSTM", "CuDNNGRU":
      result = try unit(
        layer.path, layer.className, layer.config, [["\(layer.path)/cell/vars/#"]])
    case "RNN": result = try cells(of: layer)
    case "Bidirectional": result = try bidirectional(layer)
    default: return nil
    }
    result?.position = position
    return result
  }

  private func bidirectional(_ layer: KerasModel.Layer) throws -> KerasRecurrentLayer? {
    guard let inner = layer.config["layer"], let className = inner["class_name"]?.stringValue,
      let config = inner["config"]
    else { return nil }
    let directions = ["forward_layer", "backward_layer"].map { "\(layer.path)/\($0)/cell/vars/#" }
    guard ["SimpleRNN", "LSTM", "GRU", "CuDNNLSTM", "CuDNNGRU"].contains(className) else {
      return nil
    }
    guard var result = try unit(layer.path, className, config, [directions]) else { return nil }
    let merge = layer.config["merge_mode"] ?? .string("concat")
    if merge.stringValue != "concat" {
      let mode = merge.stringValue ?? "None"
      result.refusal = refusal(
        "keras.merge-mode", layer.path, "Bidirectional with merge_mode \(mode)",
        "merge_mode concat: PyTorch puts the directions side by side",
        "Rebuild the layer with merge_mode=\"concat\" and combine the halves in a layer after it.")
    }
    if let other = layer.config["backward_layer"], let settings = other["config"],
      other["class_name"]?.stringValue != className
        || ["activation", "recurrent_activation", "use_bias", "reset_after"].contains(where: {
          settings[$0] != config[$0]
        })
    {
      result.refusal = refusal(
        "keras.bidirectional", layer.path, "a backward layer unlike the forward layer",
        "the same class and activations in both directions",
        "Convert the two layers one by one with a model for each.")
    }
    return result
  }

  private func cells(of layer: KerasModel.Layer) throws -> KerasRecurrentLayer? {
    let cells = KerasVariables.cells(of: layer.config, path: layer.path)
    var stack: KerasRecurrentLayer?
    for cell in cells {
      let className = cell.className.hasSuffix("Cell") ? String(cell.className.dropLast(4)) : ""
      guard ["SimpleRNN", "LSTM", "GRU"].contains(className) else { return nil }
      guard
        var one = try unit(layer.path, className, cell.config, [["\(cell.path)/vars/#"]])
      else { return nil }
      // Inside one step there are no sequences: the next cell takes what this one gives.
      one.returnsSequences = true
      guard var whole = stack else {
        stack = one
        continue
      }
      guard whole.continues(with: one) else {
        whole.refusal = refusal(
          "keras.cell", layer.path, "stacked cells that differ",
          "cells of one class, size and setting", "Convert a model with one layer for each cell.")
        return whole
      }
      whole.architecture.layerCount += 1
      whole.prefixes += one.prefixes
      whole.refusal = whole.refusal ?? one.refusal
      stack = whole
    }
    if var whole = stack {
      whole.returnsSequences = layer.config["return_sequences"]?.boolValue ?? false
      if layer.config["go_backwards"]?.boolValue == true { whole.remarks.append(Self.backwards) }
      stack = whole
    }
    return stack
  }

  private static let backwards =
    "go_backwards: the layer reads its input from the end; reverse the sequence in time"

  private func unit(
    _ path: String, _ className: String, _ config: JSON, _ prefixes: [[String]]
  ) throws -> KerasRecurrentLayer? {
    var result = try KerasRecurrentLayer(
      path: path, prefixes: prefixes, architecture: architecture(prefixes))
    let gates = ["SimpleRNN": 1, "GRU": 3, "CuDNNGRU": 3][className] ?? 4
    guard result.architecture.cell.gateNames.count == gates else {
      throw RecurrentError(
        .malformed, "weights.shape", at: "tensor \"\(prefixes[0][0])\"",
        found: "arrays with \(result.architecture.cell.gateNames.count) gates",
        expected: "\(gates), as \(className) has")
    }
    result.known = [.cell, .gruReset, .batchFirst]
    result.architecture.batchFirst = config["time_major"]?.boolValue != true
    result.returnsSequences = config["return_sequences"]?.boolValue ?? false
    let activation = Self.name(config["activation"]) ?? "tanh"
    let gate = Self.name(config["recurrent_activation"] ?? config["inner_activation"]) ?? "sigmoid"
    if gates == 1, activation == "relu" {
      result.architecture.cell = .rnnRelu
    } else if activation != "tanh" {
      result.refusal = refuseActivation(path, "activation \(activation)", gates == 1)
    }
    if gates > 1, gate != "sigmoid" {
      result.refusal = refuseActivation(path, "recurrent_activation \(gate)", false)
    }
    if gates == 3, !result.architecture.bias {
      // Keras 1, and Keras 2 before it learned of the other form, apply the gate first.
      let isAfter =
        config["reset_after"]?.boolValue ?? (className == "CuDNNGRU" || config["units"] != nil)
      result.architecture.gruReset = isAfter ? .after : .before
    }
    if config["go_backwards"]?.boolValue == true {
      if prefixes[0].count > 1 {
        result.refusal = refusal(
          "keras.go-backwards", path, "go_backwards inside Bidirectional",
          "a forward layer that reads forwards", "Swap the two directions before converting.")
      } else {
        result.remarks.append(Self.backwards)
      }
    }
    if config["stateful"]?.boolValue == true {
      result.remarks.append("stateful: carry the state from call to call yourself")
    }
    if let fraction = config["recurrent_dropout"]?.doubleValue, fraction > 0 {
      result.remarks.append("recurrent_dropout acts in training only and is not carried over")
    }
    return result
  }

  /// Cell and sizes as the arrays say; the directions must agree.
  func architecture(_ prefixes: [[String]]) throws -> Architecture {
    var found: Architecture?
    for prefix in prefixes.joined() {
      func tensor(_ index: Int, _ word: String) -> (name: Name, tensor: Tensor?) {
        let name = Convention.kerasName(prefix, index, word)
        return (name, state[name])
      }
      let (name, kernel) = tensor(0, "kernel")
      guard let kernel, let recurrent = tensor(1, "recurrent_kernel").tensor else {
        throw RecurrentError(
          .malformed, "weights.missing", at: "tensor \"\(name)\"", found: "no such tensor",
          expected: "kernel and recurrent kernel of a layer that the model has")
      }
      guard kernel.shape.count == 2, recurrent.shape.count == 2, recurrent.shape[0] > 0,
        recurrent.shape[1] % recurrent.shape[0] == 0, kernel.shape[1] == recurrent.shape[1],
        let cell = Cell.allCases.first(where: {
          $0.gateNames.count == recurrent.shape[1] / recurrent.shape[0]
        })
      else {
        throw RecurrentError(
          .malformed, "weights.shape", at: "tensor \"\(name)\"", found: "shape \(kernel.shape)",
          expected: "(inputs, gates × units) beside a recurrent kernel (units, gates × units)")
      }
      var one = Architecture(
        cell: cell, inputSize: kernel.shape[0], hiddenSize: recurrent.shape[0],
        bidirectional: prefixes[0].count == 2)
      let bias = tensor(2, "bias").tensor
      one.bias = bias != nil
      if cell == .gru, let bias { one.gruReset = bias.shape.count == 2 ? .after : .before }
      guard found == nil || found == one else {
        throw RecurrentError(
          .malformed, "weights.shape", at: "tensor \"\(name)\"", found: one.summary,
          expected: "\(found?.summary ?? ""), as in the other direction")
      }
      found = one
    }
    return found ?? Architecture(inputSize: 0, hiddenSize: 0)
  }

  /// The name of a function, which newer configurations wrap in an object.
  static func name(_ json: JSON?) -> String? {
    guard let json else { return nil }
    return json.stringValue ?? json["config"]?.stringValue ?? json["config"]?["name"]?.stringValue
      ?? json["class_name"]?.stringValue
  }

  private func refuseActivation(_ path: String, _ found: String, _ isSimple: Bool) -> RecurrentError
  {
    let isHard = found.hasSuffix("hard_sigmoid")
    return refusal(
      "keras.activation", path, found,
      isSimple ? "tanh or relu" : "tanh, and sigmoid for the gates, as in PyTorch's cells",
      isHard
        ? "hard_sigmoid is clip(0.2x + 0.5, 0, 1) in Keras 1 and 2, clip(x/6 + 0.5, 0, 1) in Keras 3;"
          + " fine-tune the model with recurrent_activation=\"sigmoid\", then convert."
        : "Train the model with the standard activations, then convert.")
  }

  private func refusal(
    _ reason: String, _ path: String, _ found: String, _ expected: String, _ hint: String
  ) -> RecurrentError {
    RecurrentError(
      .malformed, reason, at: "layer \"\(path)\"", found: found, expected: expected, hint: hint)
  }
}
