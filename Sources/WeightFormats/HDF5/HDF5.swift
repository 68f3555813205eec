// HDF5 in state-dict layout (DESIGN.md, section 5).
//
//   0, 512, 1024, 2048, …   signature 89 48 44 46 0D 0A 1A 0A (a user block may precede it)
//   + 8                     superblock version, 0 to 3
//   version 0, 1            size of offsets at + 13; then (version 1: 4 bytes later) base address at
//                           + 24, end of file at + 40, driver information at + 48
//   version 2, 3            size of offsets at + 9; base address at + 12, end of file at + 28
//
//   root group              link per tensor: name = key, in creation order
//     attributes            metadata: scalar UTF-8 strings
//     KEY                   contiguous little-endian dataset, its data aligned to 64 bytes
//
// Reading has two halves: a description of what the file holds (`HDF5Contents`, made by libhdf5) and
// its interpretation as a state dict (`HDF5Layout`), which knows nothing of libhdf5.

import Tensors

/// HDF5 files in state-dict layout.
public enum HDF5 {
  /// Whether an HDF5 signature stands at byte 0, 512, 1024, 2048 and so on.
  public static func recognizes(_ source: any ByteSource) -> Bool {
    signatureOffset(in: source) != nil
  }

  /// Reads the tensors and the metadata; contiguous tensors stay windows on the file.
  ///
  /// Throws `.malformed` for damage and for anything that would reach outside the file (external
  /// links, external storage, virtual datasets), `.unsupported` for filters and features that are not
  /// known, each with a reason that begins with `h5.`.
  public static func read(_ file: InputFile) throws -> StateDict {
    do {
      let state = try HDF5Layout(contents(of: file)).stateDict()
      try file.checkUnchanged()
      return state
    } catch let error as RecurrentError {
      throw error.inFile(file.path)
    }
  }

  /// Describes every object of a file.
  static func contents(of file: InputFile) throws -> HDF5Contents {
    try checkSuperblock(of: file)
    return try HDF5LibraryFile(file).contents()
  }

  /// Writes the tensors and the metadata; equal input gives equal bytes.
  ///
  /// The path is a file that may be overwritten. Throws `h5.name` for a name that HDF5 cannot hold
  /// (empty, `.`, or with a slash or a NUL), `.inputOutput` when the system fails.
  public static func write(_ state: StateDict, toFileAt path: String) throws {
    do {
      try HDF5Writer(state).write(toFileAt: path)
    } catch let error as RecurrentError {
      throw error.inFile(path)
    }
  }

  private static let signature: [UInt8] = [0x89, 0x48, 0x44, 0x46, 0x0D, 0x0A, 0x1A, 0x0A]

  private static func signatureOffset(in source: any ByteSource) -> Int? {
    var offset = 0
    while offset <= source.count - signature.count {
      if (try? source.read(offset..<offset + signature.count)) == signature { return offset }
      let (next, overflow) = offset.multipliedReportingOverflow(by: 2)
      if overflow { return nil }
      offset = offset == 0 ? 512 : next
    }
    return nil
  }

  private static func checkSuperblock(of file: InputFile) throws {
    guard let start = signatureOffset(in: file) else {
      throw RecurrentError(
        .malformed, "h5.signature", found: "no HDF5 signature", expected: "an HDF5 file")
    }
    guard file.count - start >= 64 else { throw truncated(file.count, expected: start + 64) }
    let bytes = try file.read(start..<start + 64)
    let version = bytes[8]
    guard version <= 3 else {
      throw RecurrentError(
        .unsupported, "h5.newer", at: "byte \(start + 8)", found: "superblock version \(version)",
        expected: "version 0 to 3",
        hint: "The file was written by a newer HDF5; rewrite it with libver=\"v110\".")
    }
    let isOld = version < 2
    let shift = version == 1 ? 4 : 0
    // Other sizes of offsets exist on paper; libhdf5 then does this check alone.
    guard bytes[isOld ? 13 : 9] == 8 else { return }
    func address(_ offset: Int) -> UInt64 {
      bytes[offset..<offset + 8].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
    let end = address(isOld ? 40 + shift : 28)
    guard end <= UInt64(file.count) else { throw truncated(file.count, expected: end) }
    if isOld, address(48 + shift) != UInt64.max {
      throw RecurrentError(
        .unsupported, "h5.driver", at: "byte \(start + 48 + shift)",
        found: "a file that is spread over several files", expected: "a single file")
    }
  }

  private static func truncated(_ count: Int, expected: some BinaryInteger) -> RecurrentError {
    RecurrentError(
      .malformed, "h5.truncated", found: "\(count) bytes", expected: "at least \(expected)",
      hint: "The file is cut short; copy or download it again.")
  }
}
