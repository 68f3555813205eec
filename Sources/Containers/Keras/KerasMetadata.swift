// What Keras files say beside the weights, as metadata of a state dict. All keys begin with `keras.`,
// so that they are dropped where another convention takes over.

import Tensors

/// The metadata keys of Keras files.
package enum KerasMetadata {
  /// The text of the model's configuration.
  package static let config = "keras.config"
  /// The version of Keras that wrote the file.
  package static let version = "keras.version"
  /// What reading had to rearrange, for people; lines.
  package static let note = "keras.note"
  /// A JSON object from objects' paths to the layers' own names.
  package static let names = "keras.names"
  /// Attributes that belong to Keras's older layout and are read by name.
  package static let legacy: Set<Name> = [
    "keras_version", "backend", "model_config", "training_config", "layer_names",
  ]

  /// What reading had to rearrange, line by line.
  package static func notes(_ metadata: Metadata) -> [Remark] {
    (metadata[note] ?? "").split(separator: "\n").map { .rearranged(String($0)) }
  }

  /// Takes over the texts of a root group.
  package static func read(_ attributes: [HDF5Attribute], into state: inout StateDict) {
    for attribute in attributes where !legacy.contains(attribute.name) {
      let key = attribute.name.string
      switch attribute.value {
      case .text(let text): state.metadata[key] = text
      case .texts(let list):
        if !key.hasPrefix("layer_names") {
          state.skipped.append("attribute \(key): \(list.count) elements")
        }
      case .other(let words): state.skipped.append("attribute \(key): \(words)")
      }
    }
  }

  package static func set(names members: [JSON.Member], in state: inout StateDict) {
    var seen: Set<String> = []
    // Sorted, so that one file gives one text, whatever the order of its groups.
    let unique = members.filter { seen.insert($0.key).inserted }
      .sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
    if !unique.isEmpty { state.metadata[names] = JSON.object(unique).serialized() }
  }

  /// The layers' own names by object path, in file order.
  package static func names(_ metadata: Metadata) -> [(path: String, name: String)] {
    guard let text = metadata[names], let json = try? JSON.parse(Array(text.utf8)) else {
      return []
    }
    return (json.objectValue ?? []).compactMap { member in
      member.value.stringValue.map { (member.key, $0) }
    }
  }
}
