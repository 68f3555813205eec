// Keras's two HDF5 layouts as containers, told apart by what the file holds.

import Containers
import Tensors

/// HDF5 files as Keras writes them.
package enum KerasHDF5 {
  /// `.weights.h5`: Keras 3's tree of objects.
  static let objects = HDF5Interpretation(
    recognizes: { !KerasLegacy.recognizes($0) && KerasObjects.recognizes($0) },
    read: { try KerasStructure.stated(in: KerasObjects.read($0)) })

  /// The layout of Keras 1 and 2 (`layer_names`, `weight_names`), which Keras 3 writes too.
  static let legacy = HDF5Interpretation(
    recognizes: KerasLegacy.recognizes, read: KerasLegacy.read)

  /// Writes `.weights.h5`; throws `keras.name` for names that are no paths.
  package static func writeObjects(_ state: StateDict, toFileAt path: String) throws {
    let state = try KerasConfiguration.completeWeights(state, needsNewStyle: true)
    try HDF5Writer(KerasObjects.objects(state)).write(toFileAt: path)
  }

  /// Writes an `.h5` in the layout that all versions of Keras load.
  package static func writeLegacy(_ state: StateDict, toFileAt path: String) throws {
    let state = try KerasLegacyWriter.complete(state)
    try HDF5Writer(KerasLegacyWriter(state).objects()).write(toFileAt: path)
  }
}

extension WeightFormat {
  /// Keras 3's weights without the model.
  public static let kerasWeights = WeightFormat(
    name: "keras-weights", extensions: ["weights.h5"],
    summary: "Keras 3 weights (model.save_weights)",
    carriesMetadata: true, expectedConvention: "keras",
    recognizes: HDF5.recognizes,
    readContents: { file, _ in try HDF5.interpret(file, as: KerasHDF5.objects) },
    layout: KerasHDF5.objects,
    writeContents: { try KerasHDF5.writeObjects($0, toFileAt: $1.temporaryPath) },
    completed: { try KerasConfiguration.completeWeights($0, needsNewStyle: true) })

  /// The HDF5 layout of Keras 1 and 2; `--as keras` chooses it for `.h5`.
  public static let kerasLegacy = WeightFormat(
    name: "keras-h5", extensions: [], summary: "HDF5 as Keras 1 and 2 lay it out",
    carriesMetadata: true, expectedConvention: "keras",
    recognizes: HDF5.recognizes,
    readContents: { file, _ in try HDF5.interpret(file, as: KerasHDF5.legacy) },
    layout: KerasHDF5.legacy,
    writeContents: { try KerasHDF5.writeLegacy($0, toFileAt: $1.temporaryPath) },
    completed: { try KerasLegacyWriter.named(KerasLegacyWriter.complete($0)) })
}
