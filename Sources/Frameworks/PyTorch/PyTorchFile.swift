// PyTorch files. torch.save since 1.6 writes a zip archive (see ZipArchive.swift) whose entries share
// one folder X, named after the file that was first written:
//
//   X/data.pkl     a pickle (see PickleMachine.swift): dicts whose tensors name their storage
//   X/data/0 …     the bytes of each storage
//   X/byteorder    "little" or "big"; little when missing
//   X/version      decimal, 1 to 10
//   X/.format_version, X/.storage_alignment, X/.data/serialization_id   not needed
//   X/constants.pkl, X/code/…   only in TorchScript archives (see TorchScriptCode.swift)
//
// A tensor is storage, offset, size and stride, so that views and tied weights share bytes:
//
//   _rebuild_tensor_v2((storage), offset, size, stride, requires_grad, hooks)
//   storage = ("storage", torch FloatStorage, "0", "cpu", number of elements)
//
// Whole models are graphs of objects (see PyTorchModules.swift). Older files are stacked pickles
// (see PyTorchLegacy.swift) or tar archives (see PyTorchTar.swift), exported programs are zip
// archives without pickles (see TorchExport.swift).

import Containers
import Tensors

/// Reads `.pt`, `.pth`, `.bin` and `.pt2` files of every generation, and writes `.pt` and `.pth`.
package enum PyTorchFile {
  /// Whether the bytes are a PyTorch file of any generation.
  package static func recognizes(_ source: any ByteSource) -> Bool {
    if PyTorchLegacy.recognizes(source) || PyTorchTar.recognizes(source) { return true }
    guard ZipArchive.recognizes(source), let archive = try? ZipArchive(source) else { return false }
    return (try? folder(of: archive)) != nil || TorchExport.folder(of: archive) != nil
  }

  /// Reads a state dict; nothing in the file is ever executed.
  ///
  /// Tensors are windows on the file, or strided views of it. In a checkpoint the state dict is
  /// found under its usual names, or under `key` (a dotted path; "" for the top level); everything
  /// else is listed in `skipped`. Whole models give their `state_dict()`, and the hyper-parameters of
  /// their recurrent modules as metadata. Throws `pt.…`, `pickle.…`, `tar.…` or `zip.…`;
  /// `.unsupported` names what is not read.
  package static func read(_ source: any ByteSource, key: String? = nil) throws -> StateDict {
    let expansionLimit = max(16 << 20, source.count * 16)
    func state(
      _ graph: PickleGraph, _ storages: PyTorchStorages, _ code: TorchScriptCode? = nil
    ) throws -> StateDict {
      var reader = PyTorchStateReader(
        graph: graph, storages: storages, code: code, expansionLimit: expansionLimit)
      return try reader.read(key: key)
    }
    if PyTorchLegacy.recognizes(source) {
      let (graph, storages) = try PyTorchLegacy.read(source)
      return try state(graph, storages)
    }
    if TarArchive.recognizes(source) {
      let (graph, storages) = try PyTorchTar.read(source)
      return try state(graph, storages)
    }
    let archive = try ZipArchive(source)
    if let folder = TorchExport.folder(of: archive) {
      return try TorchExport.read(
        archive, folder: folder, isBigEndian: isBigEndian(archive, folder),
        expansionLimit: expansionLimit)
    }
    guard let folder = try folder(of: archive) else {
      throw RecurrentError(
        .malformed, "pt.layout", found: "no FOLDER/data.pkl in the archive",
        expected: "a file of torch.save")
    }
    try checkVersion(archive, folder)
    guard let entry = archive[Name("\(folder)/data.pkl")],
      entry.size <= PickleMachine.maximumLength
    else {
      throw RecurrentError(
        .malformed, "pt.pickle-size", found: "a data.pkl of more than 64 MiB",
        expected: "names and shapes only")
    }
    let pickle = try archive.source(of: entry, acceptsMissingChecksums: true).readAll()
    let isScript = archive[Name("\(folder)/constants.pkl")] != nil
    return try state(
      PickleMachine.run(pickle),
      PyTorchStorages(
        .archive(archive, folder: folder), isBigEndian: isBigEndian(archive, folder)),
      isScript ? TorchScriptCode(archive, folder: folder) : nil)
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
        .malformed, "pt.layout", at: "entry \"\(entry.name)\"", found: "an entry outside \(folder)",
        expected: "one folder")
    }
    return String(folder)
  }

  private static func checkVersion(_ archive: ZipArchive, _ folder: String) throws {
    let version = try text(archive, "\(folder)/version").flatMap { Int($0) }
    guard let version, (1...10).contains(version) else {
      throw RecurrentError(
        version == nil ? .malformed : .unsupported, "pt.version", at: "entry \"\(folder)/version\"",
        found: version.map { "version \($0)" } ?? "no version", expected: "1 to 10")
    }
  }

  private static func isBigEndian(_ archive: ZipArchive, _ folder: String) throws -> Bool {
    switch try text(archive, "\(folder)/byteorder") {
    case nil, "little": return false
    case "big": return true
    case let other?:
      throw RecurrentError(
        .malformed, "pt.byteorder", at: "entry \"\(folder)/byteorder\"", found: "\"\(other)\"",
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

extension WeightFormat {
  /// A file of `torch.save`, `torch.jit.save` or `torch.export.save`, written as `torch.save` does.
  public static let pytorch = WeightFormat(
    name: "pt", extensions: ["pt", "pth"], summary: "PyTorch file (torch.save); every kind is read",
    carriesMetadata: false, expectedConvention: "torch",
    recognizes: PyTorchFile.recognizes, readContents: { try PyTorchFile.read($0, key: $1) },
    writeContents: { try PyTorchFile.write($0, to: $1) })
}
