import Bytes
import Tensors

/// A container: how a file is laid out, independent of what its tensors mean.
///
/// A new container is one file that reads into and writes from a `StateDict`, and one word in `WeightFormat.all`.
public struct WeightFormat: Sendable {
  /// The name on the command line.
  public let name: String
  /// File name extensions without the dot, the usual one first.
  public let extensions: [String]
  /// One line for help texts.
  public let summary: String
  /// Whether metadata survives in this container.
  package let carriesMetadata: Bool
  /// The convention that readers of this container expect; `nil` for neutral containers.
  package let expectedConvention: String?
  /// Other conventions that its readers understand too.
  package var otherConventions: [String] = []
  /// Whether the bytes look like this container.
  package let recognizes: @Sendable (any ByteSource) -> Bool
  /// Reads without touching tensor bytes where the container allows it; the key chooses one of several
  /// state dicts in a checkpoint.
  package let readContents: @Sendable (InputFile, _ key: String?) throws -> StateDict
  /// For the containers that are HDF5 files: which of them it is, and what it means.
  package var layout: HDF5Interpretation?
  /// Writes to a temporary file; `nil` for containers that are only read.
  package let writeContents: (@Sendable (StateDict, OutputFile) throws -> Void)?
  /// Throws what writing would throw about names and types, without reading an element.
  package var checkContents: @Sendable (StateDict) throws -> Void = { _ in }
  /// Reads weights that are spread over files beside the one that is opened, and gives those files.
  package var readSeveral: (@Sendable (InputFile) throws -> (StateDict, [InputFile]))?
  /// Writes several files under the output protocol: path, overwrite, inputs, proof.
  package var writeSeveral:
    (
      @Sendable (StateDict, String, Bool, [InputFile], (StateDict) throws -> Void) throws -> Void
    )?
  /// What the container adds to metadata because of the tensors (their type, in a configuration).
  package var completed: @Sendable (StateDict) throws -> StateDict = { $0 }

  /// Describes a container.
  package init(
    name: String, extensions: [String], summary: String, carriesMetadata: Bool,
    expectedConvention: String?, otherConventions: [String] = [],
    recognizes: @escaping @Sendable (any ByteSource) -> Bool,
    readContents: @escaping @Sendable (InputFile, _ key: String?) throws -> StateDict,
    layout: HDF5Interpretation? = nil,
    writeContents: (@Sendable (StateDict, OutputFile) throws -> Void)?,
    checkContents: @escaping @Sendable (StateDict) throws -> Void = { _ in },
    readSeveral: (@Sendable (InputFile) throws -> (StateDict, [InputFile]))? = nil,
    writeSeveral: (
      @Sendable (StateDict, String, Bool, [InputFile], (StateDict) throws -> Void) throws -> Void
    )? = nil,
    completed: @escaping @Sendable (StateDict) throws -> StateDict = { $0 }
  ) {
    self.name = name
    self.extensions = extensions
    self.summary = summary
    self.carriesMetadata = carriesMetadata
    self.expectedConvention = expectedConvention
    self.otherConventions = otherConventions
    self.recognizes = recognizes
    self.readContents = readContents
    self.layout = layout
    self.writeContents = writeContents
    self.checkContents = checkContents
    self.readSeveral = readSeveral
    self.writeSeveral = writeSeveral
    self.completed = completed
  }

  /// Whether the container belongs to one framework other than PyTorch, so that its tensors mean
  /// nothing outside it.
  package var isFrameworkArchive: Bool { (expectedConvention ?? "torch") != "torch" }

  /// Whether files can be written.
  public var isWritable: Bool { writeContents != nil || writeSeveral != nil }
}

extension WeightFormat {
  /// Throws what the container cannot hold (a type, a name) before anything is written; what depends
  /// on more than names and types is still found when writing.
  package func check(_ state: StateDict) throws {
    try checkContents(state)
  }

  /// Writes a state dict under the output protocol: temporary file, fsync, proof by an independent
  /// read, rename.
  ///
  /// `proof` gets the temporary file as read back; when it throws, nothing appears under `path`. The
  /// files of `inputs` must not have changed meanwhile.
  package func write(
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
        .usageReadOnly, file: path, found: "container \(name)",
        expected: "one that can be written")
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
