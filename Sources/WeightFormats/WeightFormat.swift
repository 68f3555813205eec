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

  /// HDF5 with one dataset per key.
  public static let hdf5 = WeightFormat(
    name: "hdf5", extensions: ["h5", "hdf5"], summary: "HDF5, laid out like a state dict",
    carriesMetadata: true, expectedConvention: nil,
    recognizes: HDF5.recognizes, readContents: { file, _ in try HDF5.read(file) },
    writeContents: { try HDF5.write($0, toFileAt: $1.temporaryPath) },
    checkContents: { try HDF5Writer($0).checkNames() })

  /// Keras 3's archive of a model with its configuration.
  public static let keras = WeightFormat(
    name: "keras", extensions: ["keras"], summary: "Keras 3 model (model.save)",
    carriesMetadata: true, expectedConvention: "keras",
    recognizes: KerasArchive.recognizes, readContents: { file, _ in try KerasArchive.read(file) },
    writeContents: { try KerasArchive.write($0, to: $1) },
    lacksStructure: { !KerasConfiguration.isComplete($0) }, completed: KerasConfiguration.typed)

  /// Keras 3's weights without the model.
  public static let kerasWeights = WeightFormat(
    name: "keras-weights", extensions: ["weights.h5"],
    summary: "Keras 3 weights (model.save_weights)",
    carriesMetadata: true, expectedConvention: "keras",
    recognizes: KerasHDF5.recognizesObjects,
    readContents: { file, _ in try KerasHDF5.readObjects(file) },
    writeContents: { try KerasHDF5.writeObjects($0, toFileAt: $1.temporaryPath) },
    completed: KerasConfiguration.typed)

  /// The HDF5 layout of Keras 1 and 2; `--as keras` chooses it for `.h5`.
  public static let kerasLegacy = WeightFormat(
    name: "keras-h5", extensions: [], summary: "HDF5 as Keras 1 and 2 lay it out",
    carriesMetadata: true, expectedConvention: "keras",
    recognizes: KerasHDF5.recognizesLegacy,
    readContents: { file, _ in try KerasHDF5.readLegacy(file) },
    writeContents: { try KerasHDF5.writeLegacy($0, toFileAt: $1.temporaryPath) },
    lacksStructure: { KerasLegacyWriter.lacksOrder($0) },
    completed: { try KerasLegacyWriter.named(KerasConfiguration.typed($0)) })

  /// Hugging Face safetensors.
  public static let safetensors = WeightFormat(
    name: "safetensors", extensions: ["safetensors"], summary: "safetensors",
    carriesMetadata: true, expectedConvention: nil,
    recognizes: Safetensors.recognizes, readContents: { file, _ in try Safetensors.read(file) },
    writeContents: { try Safetensors.write($0, to: $1) })

  /// A file of `torch.save`, `torch.jit.save` or `torch.export.save`, written as `torch.save` does.
  public static let pytorch = WeightFormat(
    name: "pt", extensions: ["pt", "pth"], summary: "PyTorch file (torch.save); every kind is read",
    carriesMetadata: false, expectedConvention: "torch",
    recognizes: PyTorchFile.recognizes, readContents: { try PyTorchFile.read($0, key: $1) },
    writeContents: { try PyTorchFile.write($0, to: $1) })

  /// A zip file of NumPy arrays.
  public static let npz = WeightFormat(
    name: "npz", extensions: ["npz"], summary: "NumPy archive (numpy.savez)",
    carriesMetadata: true, expectedConvention: nil,
    recognizes: NPZ.recognizes, readContents: { file, _ in try NPZ.read(file) },
    writeContents: { try NPZ.write($0, to: $1) }, checkContents: NPZ.check)

  /// A single NumPy array, read under the name `array`.
  public static let npy = WeightFormat(
    name: "npy", extensions: ["npy"], summary: "a single NumPy array (numpy.save); read only",
    carriesMetadata: false, expectedConvention: nil,
    recognizes: NPY.recognizes,
    readContents: { file, _ in
      var state = StateDict()
      try state.append("array", NPY.read(file))
      return state
    },
    writeContents: nil)

  /// A model of the Open Neural Network Exchange, with its recurrent nodes.
  public static let onnx = WeightFormat(
    name: "onnx", extensions: ["onnx"], summary: "ONNX model with RNN, LSTM or GRU nodes",
    carriesMetadata: true, expectedConvention: "onnx",
    recognizes: ONNX.recognizes, readContents: { file, _ in try ONNX.read(file) },
    writeContents: { try ONNX.write($0, to: $1) },
    readSeveral: { try ONNX.readWithData($0) })

  /// A TensorFlow checkpoint, named by its index file.
  public static let tensorFlowCheckpoint = WeightFormat(
    name: "tf", extensions: ["index"],
    summary: "TensorFlow checkpoint (PREFIX.index beside PREFIX.data-…); read only",
    carriesMetadata: false, expectedConvention: "tensorflow",
    recognizes: TensorFlowCheckpoint.recognizes,
    readContents: { file, _ in try TensorFlowCheckpoint.read(file) }, writeContents: nil,
    readSeveral: { try TensorFlowCheckpoint.readWithShards($0) })

  /// The MessagePack files of flax.serialization.
  public static let flaxMessagePack = WeightFormat(
    name: "msgpack", extensions: ["msgpack"], summary: "Flax MessagePack (flax.serialization)",
    carriesMetadata: false, expectedConvention: "flax", otherConventions: ["nnx"],
    recognizes: FlaxMessagePack.recognizes,
    readContents: { file, _ in try FlaxMessagePack.read(file) },
    writeContents: { try FlaxMessagePack.write($0, to: $1) })

  /// Several safetensors or PyTorch files with an index; written as safetensors of at most
  /// `shardSize` bytes each.
  public static func sharded(shardSize: Int = 5_000_000_000) -> WeightFormat {
    WeightFormat(
      name: "sharded", extensions: ["safetensors.index.json"],
      summary: "sharded safetensors (or PyTorch files) with an index",
      carriesMetadata: true, expectedConvention: nil,
      recognizes: ShardedWeights.recognizes,
      readContents: { file, _ in try ShardedWeights.read(file).0 }, writeContents: nil,
      readSeveral: { try ShardedWeights.read($0) },
      writeSeveral: {
        try Safetensors.writeShards(
          $0, to: $1, shardSize: shardSize, overwrite: $2, inputs: $3, proof: $4)
      })
  }

  /// The container with a name; throws `.usage` otherwise.
  public static func named(_ name: String) throws -> WeightFormat {
    guard
      let format = all.first(where: { $0.name == name || $0.extensions.contains(name) })
    else {
      throw RecurrentError(
        .usage, "usage.format", found: "format \"\(name)\"",
        expected: "one of " + all.map(\.name).joined(separator: ", "),
        hint: nearest(to: name, among: all.map(\.name) + all.flatMap(\.extensions)).map {
          "Did you mean \($0)?"
        })
    }
    return format
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

/// A weight file that was opened and understood as a container.
public struct WeightFile: Sendable {
  /// The open file.
  public let file: InputFile
  /// Its container.
  public let format: WeightFormat
  /// Its tensors and metadata; tensors are windows on the files until touched.
  public let state: StateDict
  /// The files beside `file` that tensors lie in: the shards of an index.
  public let otherFiles: [InputFile]

  /// Every file that was opened.
  public var files: [InputFile] { [file] + otherFiles }

  /// Opens a file; the container is recognised by content unless `format` is given.
  ///
  /// `key` chooses one of several state dicts in a PyTorch checkpoint; without it they are `pt.key`.
  /// Weight normalisation is folded into the weights (see ``StateDict/foldingWeightNorm()``).
  public init(path: String, format: WeightFormat? = nil, key: String? = nil) throws {
    let file = try InputFile(path: path)
    do {
      let format = try format ?? Self.recognize(file)
      self.file = file
      self.format = format
      if let readSeveral = format.readSeveral {
        let (state, others) = try readSeveral(file)
        self.state = try state.foldingWeightNorm()
        otherFiles = others
      } else {
        state = try format.readContents(file, key).foldingWeightNorm()
        otherFiles = []
      }
    } catch let error as RecurrentError {
      throw error.inFile(path)
    }
  }

  /// Whether a file is some container at all, judged by its first and last bytes.
  public static func isContainer(path: String) throws -> Bool {
    let file = try InputFile(path: path)
    if WeightFormat.all.contains(where: { $0.recognizes(file) }) { return true }
    return try impostor(file) != nil
  }

  private static func recognize(_ file: InputFile) throws -> WeightFormat {
    if let format = WeightFormat.all.first(where: { $0.recognizes(file) }) { return format }
    if let known = try impostor(file) { throw known }
    let head = try file.read(0..<min(8, file.count))
    let hex = head.map { byte in
      let text = String(byte, radix: 16)
      return text.count == 1 ? "0" + text : text
    }
    throw RecurrentError(
      .malformed, file.count == 0 ? "file.empty" : "file.unrecognized",
      found: file.count == 0
        ? "an empty file" : "\(file.count) bytes that begin with \(hex.joined(separator: " "))",
      expected: "one of " + WeightFormat.all.map(\.name).joined(separator: ", "))
  }

  /// Files that people take for weights, and broken containers, by name.
  private static func impostor(_ file: InputFile) throws -> RecurrentError? {
    let head = try file.read(0..<min(300, file.count))
    func begins(_ text: String) -> Bool { head.starts(with: Array(text.utf8)) }
    if begins("PK") {
      // Let the zip reader say what is wrong with it.
      do {
        let archive = try ZipArchive(file)
        return RecurrentError(
          .unsupported, "zip.contents",
          found: "a zip file with \(archive.entries.count) entries, none of them known",
          expected: "a PyTorch checkpoint (…/data.pkl) or a NumPy archive (….npy)")
      } catch let error as RecurrentError {
        return error
      }
    }
    if begins("version https://git-lfs") {
      return RecurrentError(
        .malformed, "file.lfs-pointer", found: "a Git LFS pointer", expected: "the file itself",
        hint: "Run git lfs pull.")
    }
    if TarArchive.recognizes(file) {
      do {
        let archive = try TarArchive(file)
        return RecurrentError(
          .unsupported, "file.tar", found: "a tar archive of \(archive.files.count) files",
          expected: "a weight file")
      } catch let error as RecurrentError {
        return error
      }
    }
    if head.starts(with: [0x1f, 0x8b]) {
      return RecurrentError(
        .unsupported, "file.gzip", found: "a gzip file", expected: "a weight file",
        hint: "Decompress it first.")
    }
    if begins("<!DOCTYPE") || begins("<html") {
      return RecurrentError(
        .malformed, "file.html", found: "a web page", expected: "a weight file",
        hint: "The download probably failed; fetch the file again.")
    }
    return nil
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
