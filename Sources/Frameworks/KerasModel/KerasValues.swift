import Containers
import Tensors

/// Values of a layer's configuration that are not of the type that Keras writes.
///
/// Python takes `1` or `"no"` for true; what a file means by them is not guessed.
enum KerasValues {
  private static let flags = [
    "use_bias", "reset_after", "return_sequences", "return_state", "go_backwards", "stateful",
    "time_major", "mask_zero",
  ]
  private static let sizes = ["units", "output_dim", "input_dim"]

  /// The refusal of a layer with a value of a wrong type; `nil` where there is none.
  static func refusal(_ config: JSON, of layer: String) -> RecurrentError? {
    func refuse(_ key: String, _ value: JSON, _ expected: String) -> RecurrentError {
      RecurrentError(
        .kerasConfig, at: "layer \"\(layer)\"",
        found: "\(key) \(value.serialized())", expected: expected,
        hint: "Load the model in Keras and save it again; Keras writes the values that it uses.")
    }
    for key in flags {
      guard let value = config[key], value != .null, value.boolValue == nil else { continue }
      return refuse(key, value, "true or false")
    }
    for key in sizes {
      guard let value = config[key], value != .null, (value.intValue ?? 0) < 1 else { continue }
      return refuse(key, value, "a number from 1")
    }
    return nil
  }

  /// The name of a policy under which a layer computes in another type than it stores (`mixed_float16`).
  static func mixedPolicy(_ config: JSON) -> String? {
    let policy = config["dtype"] ?? .null
    let name = policy.stringValue ?? policy["config"]?["name"]?.stringValue
    return name.flatMap { $0.hasPrefix("mixed_") ? $0 : nil }
  }

  /// Whether a layer computes with quantised weights.
  static func isQuantised(_ config: JSON) -> Bool {
    let policy = config["dtype"] ?? .null
    if policy["class_name"]?.stringValue?.contains("Quantized") == true { return true }
    let name = policy.stringValue ?? policy["config"]?["name"]?.stringValue ?? ""
    return name.contains("_from_") || config["quantization_config"].map { $0 != .null } == true
  }
}
