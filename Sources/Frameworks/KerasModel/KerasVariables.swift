// Which objects of a layer hold variables, how many, and what arrays alone say about their layer.

import Containers
import Tensors

package enum KerasVariables {
  /// An object that holds variables.
  struct Holder {
    let path: String
    let isRecurrent: Bool
    let isCuDNN: Bool
    /// How many arrays it has that training moves; `nil` for classes that are not known.
    var trainable: Int?
    /// How many it has that training does not move.
    var other = 0
    /// Whether the configuration keeps training from moving any.
    var isFrozen = false
    /// The half of a Bidirectional layer: 0 forwards, 1 backwards.
    var direction: Int?
    /// The name of the layer or cell inside a wrapper, which its arrays' names may hold.
    var innerName: String?
  }

  private static let recurrent: Set<String> = ["LSTM", "GRU", "SimpleRNN"]
  private static let cuDNN: Set<String> = ["CuDNNLSTM", "CuDNNGRU"]

  /// The objects of a layer, in the order in which its arrays are listed.
  static func holders(of className: String, _ config: JSON, path: String) -> [Holder] {
    let isFrozen = config["trainable"]?.boolValue == false
    if className == "Bidirectional", let inner = config["layer"] {
      let other = config["backward_layer"].flatMap { $0 == .null ? nil : $0 } ?? inner
      return [inner, other].enumerated().flatMap { direction, half in
        holders(
          ofLayer: half["class_name"]?.stringValue ?? "", half["config"] ?? .null,
          path: "\(path)/\(["forward", "backward"][direction])_layer"
        ).map { holder in
          var holder = holder
          holder.direction = direction
          holder.isFrozen = holder.isFrozen || isFrozen
          return holder
        }
      }
    }
    return holders(ofLayer: className, config, path: path)
  }

  private static func holders(ofLayer className: String, _ config: JSON, path: String) -> [Holder] {
    let isFrozen = config["trainable"]?.boolValue == false
    let name = config["name"]?.stringValue
    if recurrent.contains(className) || cuDNN.contains(className) {
      return [
        Holder(
          path: path + "/cell", isRecurrent: true, isCuDNN: cuDNN.contains(className),
          trainable: counts(of: className, config)?.trainable, isFrozen: isFrozen, innerName: name)
      ]
    }
    if className == "RNN" {
      return cells(of: config, path: path).map { cell in
        Holder(
          path: cell.path, isRecurrent: true, isCuDNN: false,
          trainable: cell.config["use_bias"]?.boolValue == false ? 2 : 3,
          isFrozen: isFrozen || cell.config["trainable"]?.boolValue == false,
          innerName: cell.config["name"]?.stringValue)
      }
    }
    let own = counts(of: className, config)
    return [
      Holder(
        path: path, isRecurrent: false, isCuDNN: false, trainable: own?.trainable,
        other: own?.other ?? 0, isFrozen: isFrozen)
    ]
  }

  /// The cells of an `RNN` layer with their paths.
  package static func cells(
    of config: JSON, path: String
  ) -> [(path: String, className: String, config: JSON)] {
    let cell = config["cell"] ?? config["cells"] ?? .null
    let list = cell.arrayValue ?? cell["config"]?["cells"]?.arrayValue
    guard let list else {
      return [(path + "/cell", cell["class_name"]?.stringValue ?? "", cell["config"] ?? .null)]
    }
    var numbering = KerasNumbering()
    return list.map { cell in
      let className = cell["class_name"]?.stringValue ?? "Cell"
      return ("\(path)/cell/cells/\(numbering.next(className))", className, cell["config"] ?? .null)
    }
  }

  /// Layers that have no arrays.
  private static let empty: Set<String> = [
    "InputLayer", "Dropout", "SpatialDropout1D", "GaussianNoise", "GaussianDropout", "AlphaDropout",
    "Masking", "ActivityRegularization", "Activation", "Softmax", "ReLU", "LeakyReLU", "ELU",
    "Flatten", "Reshape", "Permute", "RepeatVector", "Lambda", "Add", "Subtract", "Multiply",
    "Average", "Maximum", "Minimum", "Concatenate", "Dot", "Identity", "GlobalMaxPooling1D",
    "GlobalAveragePooling1D", "MaxPooling1D", "AveragePooling1D", "Cropping1D", "ZeroPadding1D",
    "UpSampling1D", "Rescaling",
  ]

  /// How many arrays a layer has; `nil` for classes where that is not known.
  private static func counts(
    of className: String, _ config: JSON
  ) -> (trainable: Int, other: Int)? {
    func has(_ key: String) -> Int { config[key]?.boolValue == false ? 0 : 1 }
    switch className {
    case "LSTM", "GRU", "SimpleRNN": return (2 + has("use_bias"), 0)
    case "CuDNNLSTM", "CuDNNGRU": return (3, 0)
    case "Dense", "EinsumDense", "Conv1D", "Conv2D", "Conv3D": return (1 + has("use_bias"), 0)
    case "Embedding": return (1, 0)
    case "LayerNormalization": return (has("scale") + has("center"), 0)
    case "BatchNormalization": return (has("scale") + has("center"), 2)
    default: return empty.contains(className) ? (0, 0) : nil
    }
  }

  // MARK: Arrays alone

  /// Consecutive arrays that look like one layer's.
  struct Guess {
    let className: String
    let range: Range<Int>
    let shapes: [[Int]]
    let names: [String]
    var isRecurrent: Bool { ["LSTM", "GRU", "SimpleRNN"].contains(className) }
  }

  /// The layers that a list of arrays looks like.
  static func guess(_ weights: [(name: String, tensor: Tensor)], layer: String) -> [Guess] {
    let shapes = weights.map(\.tensor.shape)
    func guess(_ className: String, _ range: Range<Int>) -> Guess {
      Guess(
        className: className, range: range, shapes: Array(shapes[range]),
        names: weights[range].map(\.name))
    }
    // Keras 1 keeps the gates apart: W (I,H), U (H,H), b (H), for each of them.
    for (count, className) in [(12, "LSTM"), (9, "GRU")] where shapes.count % count == 0 {
      let isOld = stride(from: 0, to: shapes.count, by: 3).allSatisfy { first in
        guard shapes[first].count == 2, shapes[first + 2].count == 1 else { return false }
        let hidden = shapes[first + 2][0]
        return shapes[first + 1] == [hidden, hidden]
      }
      if isOld, !shapes.isEmpty {
        return stride(from: 0, to: shapes.count, by: count).map {
          guess(className, $0..<$0 + count)
        }
      }
    }
    var found: [Guess] = []
    var position = 0
    while position < weights.count {
      let start = position
      let tensor = weights[position].tensor
      if position + 1 < weights.count,
        let sizes = KerasLegacyArrays.recurrentSizes(tensor, weights[position + 1].tensor)
      {
        let wide = sizes.gates * sizes.hidden
        position += 2
        let biases = [[wide], [2, wide], [2 * wide]]
        if position < weights.count, biases.contains(shapes[position]) { position += 1 }
        let className = [1: "SimpleRNN", 3: "GRU", 4: "LSTM"][sizes.gates] ?? ""
        found.append(guess(className, start..<position))
      } else if tensor.shape.count == 2 {
        position += 1
        let hasBias = position < weights.count && shapes[position] == [tensor.shape[1]]
        if hasBias { position += 1 }
        let isEmbedding = !hasBias && (layer + weights[start].name).lowercased().contains("embed")
        found.append(guess(isEmbedding ? "Embedding" : "Dense", start..<position))
      } else {
        // Whatever it is, it is one layer's.
        return [guess(className(of: layer), 0..<weights.count)]
      }
    }
    return found
  }

  /// Whether two layers are one layer in both directions, and not one upon the other.
  static func mirror(_ one: Guess, _ other: Guess) -> Bool {
    guard one.isRecurrent, one.className == other.className, one.shapes == other.shapes else {
      return false
    }
    // A layer on top of another has the other's outputs as inputs.
    let couldStack = one.shapes[0][0] == one.shapes[1][0]
    let says = (one.names + other.names).contains { $0.lowercased().contains("backward") }
    return says || !couldStack
  }

  /// `conv1d_3` has lost its class; its name without the number will do.
  private static func className(of layer: String) -> String {
    let parts = layer.split(separator: "_")
    guard parts.count > 1, let last = parts.last, Int(last) != nil else { return layer }
    return parts.dropLast().joined(separator: "_")
  }
}

/// Older spellings of a configuration.
enum KerasDialect {
  /// The configuration with cuDNN's layers as the ordinary layers that compute the same.
  ///
  /// As deep as the text; the JSON parser limits that.
  static func withoutCuDNN(_ json: JSON) -> JSON {
    switch json {
    case .array(let elements): return .array(elements.map(withoutCuDNN))
    case .object(let members):
      let name = json["class_name"]?.stringValue
      let replaced = name.flatMap { ["CuDNNLSTM": "LSTM", "CuDNNGRU": "GRU"][$0] }
      return .object(
        members.map { member in
          if let replaced, member.key == "class_name" {
            return .init(key: member.key, value: .string(replaced))
          }
          var value = withoutCuDNN(member.value)
          if let replaced, member.key == "config", case .object(var inner) = value {
            let additions: [(String, JSON)] =
              [("activation", .string("tanh")), ("recurrent_activation", .string("sigmoid"))]
              + (replaced == "GRU" ? [("reset_after", .bool(true))] : [])
            for (key, value) in additions where !inner.contains(where: { $0.key == key }) {
              inner.append(.init(key: key, value: value))
            }
            value = .object(inner)
          }
          return .init(key: member.key, value: value)
        })
    default: return json
    }
  }
}
