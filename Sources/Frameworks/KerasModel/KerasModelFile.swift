import Bytes
import Containers
import Tensors

extension KerasArchive {
  /// Reads weights and configuration, and what the configuration states; throws `keras.sharded` for weights in
  /// several members, and whatever the zip, JSON and HDF5 readers throw.
  package static func read(_ file: any ByteSource) throws -> StateDict {
    try KerasStructure.stated(in: readMembers(file))
  }

  /// Writes a model that `keras.models.load_model` opens; equal input gives equal bytes.
  ///
  /// Throws `keras.config` without the configuration of a model in Keras 3's style.
  package static func write(_ state: StateDict, to output: OutputFile) throws {
    let state = try KerasConfiguration.complete(state)
    guard let config = state.metadata[KerasMetadata.config],
      KerasConfiguration.isComplete(state.metadata)
    else {
      throw RecurrentError(
        .kerasConfig, found: "weights without a model that Keras 3 knows",
        expected: "a configuration in Keras 3's style",
        hint: "Convert to torch first and then to .keras, or write .weights.h5.")
    }
    try writeMembers(state, config: config, to: output)
  }
}

extension WeightFormat {
  /// Keras 3's archive of a model with its configuration.
  public static let keras = WeightFormat(
    name: "keras", extensions: ["keras"], summary: "Keras 3 model (model.save)",
    carriesMetadata: true, expectedConvention: "keras",
    recognizes: KerasArchive.recognizes, readContents: { file, _ in try KerasArchive.read(file) },
    writeContents: { try KerasArchive.write($0, to: $1) },
    completed: KerasConfiguration.complete)
}
