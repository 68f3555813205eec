// A PyTorch file (torch.save since 1.6): a zip archive (see ZipArchive.swift) whose entries share
// one folder X, named after the file that was first written:
//
//   X/data.pkl     a pickle (see PickleMachine.swift): dicts whose tensors name their storage
//   X/data/0 …     the bytes of each storage
//   X/byteorder    "little" or "big"; little when missing
//   X/version      decimal, 1 to 10
//   X/.format_version, X/.storage_alignment, X/.data/serialization_id   not needed
//
// A tensor is storage, offset, size and stride, so that views and tied weights share bytes:
//
//   _rebuild_tensor_v2((storage), offset, size, stride, requires_grad, hooks)
//   storage = ("storage", torch FloatStorage, "0", "cpu", number of elements)

import Tensors

/// Reads and writes `.pt` and `.pth` files.
public enum PyTorchFile {
  /// Whether the bytes are a PyTorch file of any generation, readable or not.
  public static func recognizes(_ source: any ByteSource) -> Bool {
    if legacyName(source) != nil { return true }
    guard ZipArchive.recognizes(source), let archive = try? ZipArchive(source) else { return false }
    return (try? folder(of: archive)) != nil
  }

  /// Reads a state dict; nothing in the file is ever executed.
  ///
  /// Tensors are windows on the file, or strided views of it. In a checkpoint the state dict is
  /// found under its usual names, or under `key` (a dotted path; "" for the top level); everything
  /// else is listed in `skipped`. Throws `pt.…`, `pickle.…` or `zip.…`; `.unsupported` names what
  /// is not read.
  public static func read(_ source: any ByteSource, key: String? = nil) throws -> StateDict {
    if let (name, reason) = legacyName(source) {
      throw RecurrentError(
        .unsupported, reason, found: "the \(name) format of old PyTorch",
        expected: "a zip archive (PyTorch 1.6 or later)",
        hint: "Load the file in Python and torch.save it again.")
    }
    let archive = try ZipArchive(source)
    guard let folder = try folder(of: archive) else {
      throw RecurrentError(
        .malformed, "pt.layout", found: "no FOLDER/data.pkl in the archive",
        expected: "a file of torch.save")
    }
    try checkKind(archive, folder)
    guard let entry = archive[Name("\(folder)/data.pkl")], entry.size <= 64 << 20 else {
      throw RecurrentError(
        .malformed, "pt.pickle-size", found: "a data.pkl of more than 64 MiB",
        expected: "names and shapes only")
    }
    let pickle = try archive.source(of: entry, acceptsMissingChecksums: true).readAll()
    let graph = try PickleMachine.run(pickle)
    let storages = PyTorchStorages(
      archive: archive, folder: folder, isBigEndian: try isBigEndian(archive, folder))
    var reader = PyTorchStateReader(
      graph: graph, storages: storages, expansionLimit: max(16 << 20, source.count * 16))
    return try reader.read(key: key)
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

  private static func checkKind(_ archive: ZipArchive, _ folder: String) throws {
    guard archive[Name("\(folder)/constants.pkl")] == nil else {
      throw RecurrentError(
        .unsupported, "pt.torchscript", at: "entry \"\(folder)/constants.pkl\"",
        found: "a TorchScript program", expected: "a state dict",
        hint: "In Python: torch.save(torch.jit.load(FILE).state_dict(), \"out.pt\").")
    }
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

  private static func legacyName(_ source: any ByteSource) -> (String, String)? {
    let magic: [UInt8] = [
      0x80, 2, 0x8A, 10, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, 0x2E,
    ]
    if source.count >= magic.count, (try? source.read(0..<magic.count)) == magic {
      return ("stacked-pickle", "pt.legacy")
    }
    if source.count >= 512, (try? source.read(257..<262)) == Array("ustar".utf8) {
      return ("tar", "pt.tar")
    }
    return nil
  }
}
