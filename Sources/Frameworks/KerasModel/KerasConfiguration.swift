import Containers
import Tensors

/// What writers of Keras files ask of a model's configuration and add to it.
enum KerasConfiguration {
  /// Whether there is a configuration in the style that Keras 3 reads back.
  ///
  /// The older layout names no modules, even where Keras 3 writes it.
  static func isComplete(_ metadata: Metadata) -> Bool {
    metadata[KerasMetadata.config].map(isNewStyle) ?? false
  }

  /// Whether a configuration is in the style that Keras 3 reads back.
  static func isNewStyle(_ text: String) -> Bool {
    guard let json = try? JSON.parse(Array(text.utf8)) else { return false }
    return json["class_name"] != nil && json["module"] != nil
  }

  /// The state as Keras 3's archive holds it, with the configuration of a model.
  static func complete(_ state: StateDict) throws -> StateDict {
    try typed(KerasSequential.completed(state, needsNewStyle: true))
  }

  /// The state as a file of weights holds it: with a configuration where its modules are one Sequential, as
  /// it is where they are not.
  static func completeWeights(_ state: StateDict, needsNewStyle: Bool) throws -> StateDict {
    do {
      return try typed(KerasSequential.completed(state, needsNewStyle: needsNewStyle))
    } catch let error as RecurrentError where error.reason == .kerasSequential {
      // An initial state is part of what a module computes, and these files have no place for it.
      let storesState = state.structure?.modules.contains { module in
        if case .stored? = module.recurrent.initialState { true } else { false }
      }
      if storesState == true { throw error }
      var weights = state
      for key in ["connections", "head_reads"] { weights.metadata[key] = nil }
      return weights
    }
  }

  /// The state with the type of its tensors written into the layers that name none.
  ///
  /// A layer without a type computes in float32, whatever its weights were stored as.
  static func typed(_ state: StateDict) throws -> StateDict {
    let names: [DType: String] = [.f64: "float64", .f16: "float16", .bf16: "bfloat16"]
    let types = Set(state.entries.map(\.tensor.dtype).filter(\.isFloatingPoint))
    guard types.count == 1, let type = types.first.flatMap({ names[$0] }),
      let text = state.metadata[KerasMetadata.config]
    else { return state }
    let json = try JSON.parse(Array(text.utf8))
    guard case .array(let layers)? = json["config"]?["layers"] else { return state }
    let typed = json.setting("config", "layers", to: .array(layers.map { adding(type, to: $0) }))
    var result = state
    result.metadata[KerasMetadata.config] = typed.serialized()
    return result
  }

  private static func adding(_ type: String, to layer: JSON) -> JSON {
    guard let config = layer["config"], config["layers"] == nil else { return layer }
    var result = layer
    if config["dtype"] == nil {
      result = result.setting("config", "dtype", to: .string(type))
    }
    for wrapped in ["layer", "backward_layer"] {
      if let inner = config[wrapped], inner["config"]?["dtype"] == nil {
        let typed = inner.setting("config", "dtype", to: .string(type))
        result = result.setting("config", wrapped, to: typed)
      }
    }
    return result
  }
}

extension JSON {
  /// The same object with the member `inner` of its member `outer` set.
  fileprivate func setting(_ outer: String, _ inner: String, to value: JSON) -> JSON {
    setting(outer, to: (self[outer] ?? .object([])).setting(inner, to: value))
  }

  private func setting(_ key: String, to value: JSON) -> JSON {
    guard case .object(var members) = self else { return self }
    let member = Member(key: key, value: value)
    if let index = members.firstIndex(where: { $0.key == key }) {
      members[index] = member
    } else {
      members.append(member)
    }
    return .object(members)
  }
}
