import Bytes
import Containers
import Tensors

/// A weight file that was opened and understood as a container.
public struct WeightFile: Sendable {
  /// The open file.
  package let file: InputFile
  /// Its container.
  public let format: WeightFormat
  /// Its tensors and metadata; tensors are windows on the files until touched.
  public package(set) var state: StateDict
  /// The files beside `file` that tensors lie in: the shards of an index.
  package let otherFiles: [InputFile]

  /// Every file that was opened.
  package var files: [InputFile] { [file] + otherFiles }

  /// Opens a file; the container is recognised by content unless `format` is given.
  ///
  /// `key` chooses one of several state dicts in a PyTorch checkpoint; without it all of them are read,
  /// each with its key in front of its names.
  /// Reparametrised weights are worked out (see ``StateDict/foldingReparametrisations()``).
  ///
  /// Throws `file.missing`, `file.not-regular` or `file.permission` where there is nothing to read, and what the
  /// reader of the container finds wrong: kinds `malformed` and `unsupported`.
  public init(path: String, format: WeightFormat? = nil, key: String? = nil) throws {
    let file = try InputFile(path: path)
    do {
      let found = try format ?? Self.recognize(file)
      self.file = file
      if let readSeveral = found.readSeveral {
        let (state, others) = try readSeveral(file)
        (self.format, self.state, otherFiles) = (
          found, try state.foldingReparametrisations(), others
        )
      } else if format == nil, found.layout != nil {
        let (layout, state) = try Self.readAmongLayouts(file)
        (self.format, self.state, otherFiles) = (layout, try state.foldingReparametrisations(), [])
      } else {
        let state = try found.readContents(file, key)
        (self.format, self.state, otherFiles) = (found, try state.foldingReparametrisations(), [])
      }
    } catch var error as RecurrentError {
      if let format, error.isOfContent, !format.recognizes(file),
        let other = WeightFormat.all.first(where: { $0.recognizes(file) })
      {
        error.advice = "By its content the file is \(other.name); leave out \(.inputFormat)."
      }
      throw error.inFile(path)
    }
  }

  /// Whether a file is some container at all, judged by its first and last bytes.
  package static func isContainer(path: String) throws -> Bool {
    let file = try InputFile(path: path)
    if WeightFormat.all.contains(where: { $0.recognizes(file) }) { return true }
    return try impostor(file) != nil
  }

  /// Reads an HDF5 file as the first container whose layout it has, after a single description.
  private static func readAmongLayouts(_ file: InputFile) throws -> (WeightFormat, StateDict) {
    let contents = try HDF5.contents(of: file)
    for format in WeightFormat.all {
      guard let layout = format.layout, layout.recognizes(contents) else { continue }
      let state = try layout.read(contents)
      try file.checkUnchanged()
      return (format, state)
    }
    return (.hdf5, try HDF5.read(file))
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
      file.count == 0 ? .fileEmpty : .fileUnrecognized,
      found: file.count == 0
        ? "an empty file" : "\(file.count) bytes that begin with \(hex.joined(separator: " "))",
      expected: "one of " + WeightFormat.all.map(\.name).joined(separator: ", "))
  }

  /// Files that people take for weights, and broken containers, by name.
  private static func impostor(_ file: InputFile) throws -> RecurrentError? {
    let head = try file.read(0..<min(300, file.count))
    func begins(_ text: String) -> Bool { head.starts(with: Array(text.utf8)) }
    if let foreign = ForeignFile(head, file) { return foreign.error }
    if begins("PK") {
      // Let the zip reader say what is wrong with it.
      do {
        let archive = try ZipArchive(file)
        return RecurrentError(
          .zipContents,
          found: archive.entries.isEmpty
            ? "a zip file without entries"
            : "a zip file with \(archive.entries.count) entr\(archive.entries.count == 1 ? "y" : "ies"), none known",
          expected: "a PyTorch checkpoint (…/data.pkl) or a NumPy archive (….npy)")
      } catch let error as RecurrentError {
        return error
      }
    }
    if begins("version https://git-lfs") {
      return RecurrentError(
        .fileLFSPointer, found: "a Git LFS pointer", expected: "the file itself",
        hint: "Run git lfs pull.")
    }
    if TarArchive.recognizes(file) {
      do {
        let archive = try TarArchive(file)
        return RecurrentError(
          .fileTar, found: "a tar archive of \(archive.files.count) files",
          expected: "a weight file")
      } catch let error as RecurrentError {
        return error
      }
    }
    if head.starts(with: [0x1f, 0x8b]) {
      return RecurrentError(
        .fileGzip, found: "a gzip file", expected: "a weight file",
        hint: "Decompress it first.")
    }
    if begins("<!DOCTYPE") || begins("<html") {
      return RecurrentError(
        .fileHTML, found: "a web page", expected: "a weight file",
        hint: "The download probably failed; fetch the file again.")
    }
    return nil
  }
}
