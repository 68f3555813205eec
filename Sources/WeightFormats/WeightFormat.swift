import Tensors

/// A container: how a file is laid out, independent of what its tensors mean.
///
/// A new container is one file that reads into and writes from a `StateDict`, and one word in ``all``.
public struct WeightFormat: Sendable {
  /// The name on the command line.
  public let name: String
  /// File name extensions without the dot, the usual one first.
  public let extensions: [String]
  /// One line for help texts.
  public let summary: String
  /// Whether metadata survives in this container.
  public let carriesMetadata: Bool
  /// The convention that readers of this container expect; `nil` for neutral containers.
  public let expectedConvention: String?
  /// Other conventions that its readers understand too.
  public var otherConventions: [String] = []
  /// Whether the bytes look like this container.
  let recognizes: @Sendable (any ByteSource) -> Bool
  /// Reads without touching tensor bytes where the container allows it; the key chooses one of several
  /// state dicts in a checkpoint.
  let readContents: @Sendable (InputFile, _ key: String?) throws -> StateDict
  /// For the containers that are HDF5 files: which of them it is, and what it means.
  var layout: HDF5Interpretation?
  /// Writes to a temporary file; `nil` for containers that are only read.
  let writeContents: (@Sendable (StateDict, OutputFile) throws -> Void)?
  /// Throws what writing would throw about names and types, without reading an element.
  var checkContents: @Sendable (StateDict) throws -> Void = { _ in }
  /// Reads weights that are spread over files beside the one that is opened, and gives those files.
  var readSeveral: (@Sendable (InputFile) throws -> (StateDict, [InputFile]))?
  /// Writes several files under the output protocol: path, overwrite, inputs, proof.
  var writeSeveral:
    (
      @Sendable (StateDict, String, Bool, [InputFile], (StateDict) throws -> Void) throws -> Void
    )?
  /// Whether metadata lacks what this container cannot be written without (a model's configuration).
  package var lacksStructure: @Sendable (Metadata) -> Bool = { _ in false }
  /// What the container adds to metadata because of the tensors (their type, in a configuration).
  package var completed: @Sendable (StateDict) throws -> StateDict = { $0 }

  /// All containers, in the order in which recognition tries them.
  ///
  /// `.weights.h5` and Keras's older `.h5` come before plain HDF5, which they also are.
  public static let all: [WeightFormat] = [
    .keras, .kerasWeights, .kerasLegacy, .hdf5, .safetensors, .pytorch, .npz, .npy, .sharded(),
    .tensorFlowCheckpoint, .flaxMessagePack, .onnx,
  ]

  /// Whether the container belongs to one framework other than PyTorch, so that its tensors mean
  /// nothing outside it.
  public var isFrameworkArchive: Bool { (expectedConvention ?? "torch") != "torch" }

  /// Whether files can be written.
  public var isWritable: Bool { writeContents != nil || writeSeveral != nil }

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

extension WeightFormat {
  /// Throws what the container cannot hold (a type, a name) before anything is written; what depends
  /// on more than names and types is still found when writing.
  public func check(_ state: StateDict) throws {
    try checkContents(state)
  }

  /// Writes a state dict under the output protocol: temporary file, fsync, proof by an independent
  /// read, rename.
  ///
  /// `proof` gets the temporary file as read back; when it throws, nothing appears under `path`. The
  /// files of `inputs` must not have changed meanwhile.
  public func write(
    _ state: StateDict, to path: String, overwrite: Bool = false, inputs: [InputFile] = [],
    proof: (StateDict) throws -> Void
  ) throws {
    if let writeSeveral {
      do {
        return try writeSeveral(state, path, overwrite, inputs, proof)
      } catch let error as RecurrentError {
        throw error.inFile(path)
      }
    }
    guard let writeContents else {
      throw RecurrentError(
        .usage, "usage.read-only", file: path, found: "container \(name)",
        expected: "one that can be written: "
          + Self.all.filter(\.isWritable).map(\.name).joined(separator: ", "))
    }
    do {
      let output = try OutputFile(path: path, overwrite: overwrite)
      try output.reserve(state.storedByteCount)
      try writeContents(state, output)
      try output.finishWriting()
      try proof(readContents(InputFile(path: output.readingPath), nil))
      try output.publish(checking: inputs)
    } catch let error as RecurrentError {
      throw error.inFile(path)
    }
  }
}
