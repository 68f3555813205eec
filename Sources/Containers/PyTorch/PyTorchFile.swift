// PyTorch files. torch.save since 1.6 writes a zip archive (see ZipArchive.swift) whose entries share
// one folder X, named after the file that was first written:
//
//   X/data.pkl     a pickle (see PickleMachine.swift): dicts whose tensors name their storage
//   X/data/0 …     the bytes of each storage
//   X/byteorder    "little" or "big"; little when missing
//   X/version      decimal, 1 to 10
//   X/.format_version, X/.storage_alignment, X/.data/serialization_id   not needed
//   X/constants.pkl, X/code/…   only in TorchScript archives (see Frameworks/TorchModules/TorchScriptCode.swift)
//
// A tensor is storage, offset, size and stride, so that views and tied weights share bytes:
//
//   _rebuild_tensor_v2((storage), offset, size, stride, requires_grad, hooks)
//   storage = ("storage", torch FloatStorage, "0", "cpu", number of elements)
//
// Whole models are graphs of objects (see Frameworks/TorchModules/PyTorchModules.swift). Older files are stacked pickles
// (see PyTorchLegacy.swift) or tar archives (see PyTorchTar.swift), exported programs are zip
// archives without pickles (see TorchExport.swift).

import Tensors

/// Reads `.pt`, `.pth`, `.bin` and `.pt2` files of every generation, and writes `.pt` and `.pth`.
package enum PyTorchFile {
  /// Whether the bytes are a PyTorch file of any generation.
  package static func recognizes(_ source: any ByteSource) -> Bool {
    if PyTorchLegacy.recognizes(source) || PyTorchTar.recognizes(source) { return true }
    guard ZipArchive.recognizes(source), let archive = try? ZipArchive(source) else { return false }
    return (try? folder(of: archive)) != nil || TorchExport.folder(of: archive) != nil
  }

  /// What a file holds, before anything is made of its objects.
  package enum Contents {
    /// A graph of objects whose tensors name their storages; of a program also the archive and the folder where
    /// its code is.
    case objects(PickleGraph, PyTorchStorages, program: (archive: ZipArchive, folder: String)?)
    /// The weights of an exported program, and its graph.
    case exported(StateDict, graph: JSON?)
  }

  /// How many bytes all tensors of a file together may show; views can repeat elements without end.
  package static func expansionLimit(_ source: any ByteSource) -> Int {
    max(16 << 20, source.count * 16)
  }

  /// Reads the objects and finds the storages; throws `pt.…`, `pickle.…`, `tar.…` or `zip.…`.
  package static func contents(of source: any ByteSource) throws -> Contents {
    if PyTorchLegacy.recognizes(source) {
      let (graph, storages) = try PyTorchLegacy.read(source)
      return .objects(graph, storages, program: nil)
    }
    if TarArchive.recognizes(source) {
      let (graph, storages) = try PyTorchTar.read(source)
      return .objects(graph, storages, program: nil)
    }
    let archive = try ZipArchive(source)
    if let folder = TorchExport.folder(of: archive) {
      let (state, graph) = try TorchExport.read(
        archive, folder: folder, isBigEndian: isBigEndian(archive, folder),
        expansionLimit: expansionLimit(source))
      return .exported(state, graph: graph)
    }
    guard let folder = try folder(of: archive) else {
      throw RecurrentError(
        .ptLayout, found: "no FOLDER/data.pkl in the archive",
        expected: "a file of torch.save")
    }
    try checkVersion(archive, folder)
    guard let entry = archive[Name("\(folder)/data.pkl")],
      entry.size <= PickleMachine.maximumLength
    else {
      throw RecurrentError(
        .ptPickleSize, found: "a data.pkl of more than 64 MiB",
        expected: "names and shapes only")
    }
    let pickle = try archive.source(of: entry, acceptsMissingChecksums: true).readAll()
    let isScript = archive[Name("\(folder)/constants.pkl")] != nil
    return .objects(
      try PickleMachine.run(pickle),
      PyTorchStorages(
        .archive(archive, folder: folder), isBigEndian: try isBigEndian(archive, folder)),
      program: isScript ? (archive, folder) : nil)
  }

  /// The folder that all entries share, or `nil` if this is no PyTorch file.
  private static func folder(of archive: ZipArchive) throws -> String? {
    let pickles = archive.entries.map(\.name.string).filter {
      $0.hasSuffix("/data.pkl") && $0.utf8.count(where: { $0 == UInt8(ascii: "/") }) == 1
    }
    guard let pickle = pickles.first, pickles.count == 1 else { return nil }
    let folder = pickle.dropLast("/data.pkl".count)
    for entry in archive.entries where !entry.name.utf8.starts(with: "\(folder)/".utf8) {
      throw RecurrentError(
        .ptLayout, at: "entry \"\(entry.name)\"", found: "an entry outside \(folder)",
        expected: "one folder")
    }
    return String(folder)
  }

  private static func checkVersion(_ archive: ZipArchive, _ folder: String) throws {
    let version = try text(archive, "\(folder)/version").flatMap { Int($0) }
    guard let version, (1...10).contains(version) else {
      throw RecurrentError(
        version == nil ? .ptVersion : .ptVersionUnsupported, at: "entry \"\(folder)/version\"",
        found: version.map { "version \($0)" } ?? "no version", expected: "1 to 10")
    }
  }

  private static func isBigEndian(_ archive: ZipArchive, _ folder: String) throws -> Bool {
    switch try text(archive, "\(folder)/byteorder") {
    case nil, "little": return false
    case "big": return true
    case let other?:
      throw RecurrentError(
        .ptByteOrder, at: "entry \"\(folder)/byteorder\"", found: "\"\(other)\"",
        expected: "little or big")
    }
  }

  /// A short text entry without its line end.
  private static func text(_ archive: ZipArchive, _ name: String) throws -> String? {
    guard let entry = archive[Name(name)] else { return nil }
    guard entry.size <= 64 else { return "" }
    let bytes = try archive.source(of: entry, acceptsMissingChecksums: true).readAll()
    return String(decoding: bytes.last == 0x0A ? bytes.dropLast() : bytes[...], as: UTF8.self)
  }
}
