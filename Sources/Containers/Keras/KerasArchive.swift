// A .keras file: a zip archive (see ZipArchive.swift), stored, of
//
//   metadata.json       {"keras_version": "3.15.1", "date_saved": "2026-11-21@16:00:00"}
//   config.json         the model (see Frameworks/KerasModel/KerasGraph.swift)
//   model.weights.h5    an HDF5 file (see KerasObjects.swift)
//   assets/…            vocabularies and the like; no weights

import Bytes
import Tensors

/// Keras 3's own files.
package enum KerasArchive {
  private static let weights: Name = "model.weights.h5"
  private static let config: Name = "config.json"
  private static let metadata: Name = "metadata.json"

  /// Whether the bytes are a zip archive with a configuration and weights.
  package static func recognizes(_ source: any ByteSource) -> Bool {
    guard ZipArchive.recognizes(source), let archive = try? ZipArchive(source) else { return false }
    let names = Set(archive.entries.map(\.name))
    return names.contains(config)
      && (names.contains(weights) || names.contains("model.weights.json"))
  }

  /// Reads the weights, and the configuration as text; throws `keras.sharded` for weights in several members,
  /// and whatever the zip, JSON and HDF5 readers throw.
  package static func readMembers(_ file: any ByteSource) throws -> StateDict {
    let archive = try ZipArchive(file)
    func text(_ name: Name) throws -> String? {
      guard let entry = archive.entries.first(where: { $0.name == name }) else { return nil }
      guard entry.size <= 64 << 20 else {
        throw RecurrentError(
          .kerasConfig, at: "entry \"\(name)\"", found: "\(entry.size) bytes",
          expected: "at most 64 MiB")
      }
      guard let text = Name(validating: try archive.source(of: entry).readAll()) else {
        throw RecurrentError(
          .kerasConfig, at: "entry \"\(name)\"", found: "bytes that are not UTF-8",
          expected: "JSON text")
      }
      return text.string
    }
    guard let entry = archive.entries.first(where: { $0.name == weights }) else {
      throw RecurrentError(
        .kerasSharded, found: "weights in several members",
        expected: "the member \(weights)",
        hint: "Save the model without sharding (max_shard_size=None).")
    }
    var state: StateDict
    do {
      state = try KerasObjects.read(HDF5.contents(of: archive.source(of: entry)))
    } catch let error as RecurrentError {
      throw error.reason == .zipCRC ? error : error.within("entry \"\(weights)\"")
    }
    state.metadata[KerasMetadata.config] = try text(config)
    if let text = try text(metadata) {
      let json = try JSON.parse(Array(text.utf8))
      if let version = json["keras_version"]?.stringValue {
        state.metadata[KerasMetadata.version] = version
      }
    }
    for entry in archive.entries
    where ![weights, config, metadata].contains(entry.name) && !entry.isDirectory {
      state.skipped.append("entry \(entry.name): \(entry.size) bytes")
    }
    return state
  }

  /// Writes weights with the configuration of a model; equal input gives equal bytes.
  package static func writeMembers(_ state: StateDict, config: String, to output: OutputFile) throws
  {
    // HDF5 needs a file that it can seek in; it lies beside the output and goes in any case.
    let inner = try output.scratch()
    defer { inner.discard() }
    var weights = state
    weights.metadata[KerasMetadata.config] = nil
    weights.metadata[KerasMetadata.version] = nil
    try HDF5Writer(KerasObjects.objects(weights)).write(toFileAt: inner.temporaryPath)
    let version = state.metadata[KerasMetadata.version] ?? "3.0.0"
    let metadata = JSON.object(["keras_version": .string(version)]).serialized()
    var zip = ZipWriter(output)
    try zip.add(Self.metadata, [MemorySource(Array(metadata.utf8))])
    try zip.add(Self.config, [MemorySource(Array(config.utf8))])
    try zip.add(Self.weights, [InputFile(path: inner.temporaryPath)], alignment: 64)
    try zip.finish()
  }
}
