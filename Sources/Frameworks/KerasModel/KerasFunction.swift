import Containers
import Tensors

/// An activation function as a configuration names it.
struct KerasFunction: Equatable {
  /// Keras's word for it; for a function of the author's own, that function's name in quotation marks.
  let name: String
  /// Whether it is Keras's own.
  let isKnown: Bool

  /// Keras 3's and PyTorch's hard sigmoid in ONNX's words.
  static let hardSigmoid = "hard_sigmoid(0.16666667,0.5)"

  private static let known: Set<String> = [
    "celu", "elu", "exponential", "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu",
    "hard_tanh", "leaky_relu", "linear", "log_sigmoid", "log_softmax", "mish", "relu", "relu6",
    "selu", "sigmoid", "silu", "soft_shrink", "softmax", "softplus", "softsign", "sparse_plus",
    "sparse_sigmoid", "sparsemax", "squareplus", "swish", "tanh", "tanh_shrink", "threshold",
  ]

  /// Reads a name, or the object that newer configurations wrap one in.
  ///
  /// `null` is the linear function; a missing entry is the default.
  init(_ json: JSON?, default standard: String) {
    guard let json else {
      (name, isKnown) = (standard, true)
      return
    }
    if json == .null {
      (name, isKnown) = ("linear", true)
      return
    }
    let word =
      json.stringValue ?? json["config"]?.stringValue ?? json["config"]?["name"]?.stringValue
      ?? json["class_name"]?.stringValue ?? "?"
    // A layer or a function with settings (LeakyReLU(0.1)) is more than its name says.
    let isPlain =
      json.stringValue != nil || (json["config"]?.stringValue != nil && !Self.isCustom(json))
    isKnown = isPlain && Self.known.contains(word)
    name = isKnown ? (word == "swish" ? "silu" : word) : "\"\(word)\""
  }

  private static func isCustom(_ json: JSON) -> Bool {
    let module = json["module"]?.stringValue ?? ""
    return !(module.hasPrefix("keras") || module.hasPrefix("tf_keras"))
  }

  /// The word for it behind a head, with what its default depends on.
  func activation(_ version: KerasVersion) -> String {
    switch name {
    case "hard_sigmoid": word(version) ?? name
    case "leaky_relu": "leaky_relu(0.2)"
    default: name
    }
  }

  /// ONNX's word for it; `nil` where there is none.
  func word(_ version: KerasVersion) -> String? {
    switch name {
    case "tanh", "sigmoid", "relu", "elu", "selu", "softplus", "softsign": name
    case "hard_sigmoid": version.isBefore(3, 0) ? "hard_sigmoid" : Self.hardSigmoid
    case "linear": "affine(1,0)"
    default: nil
    }
  }
}

/// The version of Keras that wrote a file, for what it did where it says nothing.
struct KerasVersion: Equatable {
  /// The words of the file; `nil` where it has none.
  let text: String?

  /// Whether it is older than a version.
  ///
  /// Nothing said counts as the newest here: a configuration without a version is a current one.
  func isBefore(_ major: Int, _ minor: Int) -> Bool {
    guard let text else { return false }
    let numbers = text.split(whereSeparator: { $0 == "." || $0 == "-" }).prefix(2).map { Int($0) }
    guard let first = numbers.first ?? nil else { return false }
    let second = numbers.count > 1 ? numbers[1] ?? 0 : 0
    return (first, second) < (major, minor)
  }
}
