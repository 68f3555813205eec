import Containers
import Tensors

/// Every container that is read or written, and how people ask for one.
extension WeightFormat {
  /// All containers, in the order in which recognition tries them.
  ///
  /// `.weights.h5` and Keras's older `.h5` come before plain HDF5, which they also are.
  public static let all: [WeightFormat] = [
    .keras, .kerasWeights, .kerasLegacy, .hdf5, .safetensors, .pytorch, .npz, .npy, .sharded(),
    .tensorFlowCheckpoint, .flaxMessagePack, .onnx,
  ]

  /// The container with a name; throws `.usage` otherwise.
  public static func named(_ name: String) throws -> WeightFormat {
    guard
      let format = all.first(where: { $0.name == name || $0.extensions.contains(name) })
    else {
      let foreign = ForeignExtensions.kind(name)
      let close =
        meant(by: name) ?? nearest(to: name, among: all.flatMap { [$0.name] + $0.extensions })
      throw RecurrentError(
        .usageFormat,
        found: "format \"\(name)\"" + (foreign.map { ", \($0.what)" } ?? ""),
        expected: "one of " + all.map(\.name).joined(separator: ", "),
        hint: foreign?.hint ?? close.map { "Did you mean \($0)?" })
    }
    return format
  }

  /// The container whose framework somebody named instead ("pytorch").
  private static func meant(by name: String) -> String? {
    let others = [
      "torch": "pt", "tensorflow": "tf", "numpy": "npz", "flax": "msgpack", "jax": "msgpack",
    ]
    return others[name.lowercased()]
      ?? all.first { format in
        format.summary.prefix { $0 != " " }.lowercased() == name.lowercased()
      }?.name
  }

  /// The writable container that a path's extension asks for; throws `.usage` otherwise.
  package static func forWriting(path: String) throws -> WeightFormat {
    let file = path.split(separator: "/").last.map { $0.lowercased() } ?? ""
    let format = all.first { format in
      format.isWritable && format.extensions.contains { file.hasSuffix("." + $0) }
    }
    guard let format else {
      let known = all.filter(\.isWritable).flatMap(\.extensions)
      let end = file.lastIndex(of: ".").map { String(file[file.index(after: $0)...]) } ?? ""
      let foreign = ForeignExtensions.kind(end)
      let near = end.isEmpty ? nil : nearest(to: end, among: known)
      throw RecurrentError(
        .usageExtension, file: path,
        found: end.isEmpty
          ? "no extension" : "the extension .\(end)" + (foreign.map { " of \($0.what)" } ?? ""),
        expected: "one of " + known.map { "." + $0 }.joined(separator: " "),
        hint: foreign?.hint ?? near.map { "Did you mean .\($0)?" }
          ?? "Name the container with \(.outputFormat).")
    }
    return format
  }
}
