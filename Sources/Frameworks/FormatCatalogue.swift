import Bytes
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
      let close =
        meant(by: name) ?? nearest(to: name, among: all.flatMap { [$0.name] + $0.extensions })
      throw RecurrentError(
        .usage, "usage.format", found: "format \"\(name)\"",
        expected: "one of " + all.map(\.name).joined(separator: ", "),
        hint: close.map { "Did you mean \($0)?" })
    }
    return format
  }

  /// The container whose framework somebody named instead ("pytorch").
  private static func meant(by name: String) -> String? {
    all.first { format in
      format.summary.prefix { $0 != " " }.lowercased() == name.lowercased()
    }?.name
  }

  /// The writable container that a path's extension asks for; throws `.usage` otherwise.
  public static func forWriting(path: String) throws -> WeightFormat {
    let file = path.split(separator: "/").last.map { $0.lowercased() } ?? ""
    let format = all.first { format in
      format.isWritable && format.extensions.contains { file.hasSuffix("." + $0) }
    }
    guard let format else {
      throw RecurrentError(
        .usage, "usage.extension", file: path, found: "no extension that names a container",
        expected: all.filter(\.isWritable).flatMap(\.extensions).map { "." + $0 }
          .joined(separator: " "),
        hint: "Name the container with --to.")
    }
    return format
  }
}
