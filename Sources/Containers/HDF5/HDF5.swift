// HDF5 in state-dict layout: one dataset at the root for each key. The page "Formats" says what else is read.
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
// Reading has two halves: a description of what the file holds (`HDF5Contents`, made by our own reader,
// or by libhdf5 for what that does not know) and its interpretation as a state dict (`HDF5Layout`),
// which knows nothing of either.

import Bytes
import Tensors

/// HDF5 files in state-dict layout.
package enum HDF5 {
  /// Whether an HDF5 signature stands at byte 0, 512, 1024, 2048 and so on.
  package static func recognizes(_ source: any ByteSource) -> Bool {
    signatureOffset(in: source) != nil
  }

  /// Reads the tensors and the metadata; contiguous tensors stay windows on the file.
  ///
  /// Valid files outside the subset that Recurrent reads by itself are read by libhdf5 in a confined
  /// process where `HDF5Worker.serveIfAsked()` has made that possible (libhdf5 crashes on some damaged files),
  /// and are refused otherwise.
  ///
  /// Throws `.malformed` for damage and for anything that would reach outside the file (external
  /// links, external storage, virtual datasets), `.unsupported` for filters and features that are not
  /// known, each with a reason that begins with `h5.`.
  package static func read(_ file: InputFile) throws -> StateDict {
    try interpret(file, as: .stateDict)
  }

  /// Reads a file as one of the layouts that HDF5 files have.
  package static func interpret(
    _ file: InputFile, as layout: HDF5Interpretation
  ) throws -> StateDict {
    do {
      let state = try layout.read(contents(of: file))
      try file.checkUnchanged()
      return state
    } catch let error as RecurrentError {
      throw error.inFile(file.path)
    }
  }

  /// Describes every object of a file, or of a range of one (a stored member of an archive).
  ///
  /// Our own reader does so or, where it knows too little about a whole file, libhdf5.
  package static func contents(
    of source: any ByteSource
  ) throws -> HDF5Contents {
    do {
      return try HDF5Reader(source: source).contents()
    } catch let error as RecurrentError where error.reason == .hdf5OutsideSubset {
      guard let file = source as? InputFile else { throw error }
      guard let executable = HDF5Worker.executable else { throw error }
      return try HDF5WorkerClient(file, executable: executable).contents()
    }
  }

  /// Writes the tensors and the metadata; equal input gives equal bytes.
  ///
  /// The path is a file that may be overwritten. Throws `h5.name` for a name that HDF5 cannot hold
  /// (empty, `.`, or with a slash or a NUL), `.inputOutput` when the system fails.
  package static func write(_ state: StateDict, toFileAt path: String) throws {
    do {
      try HDF5Writer(state).write(toFileAt: path)
    } catch let error as RecurrentError {
      throw error.inFile(path)
    }
  }

  private static let signature: [UInt8] = [0x89, 0x48, 0x44, 0x46, 0x0D, 0x0A, 0x1A, 0x0A]

  /// Where the superblock begins, or `nil`.
  package static func signatureOffset(in source: any ByteSource) -> Int? {
    var offset = 0
    while offset <= source.count - signature.count {
      if (try? source.read(offset..<offset + signature.count)) == signature { return offset }
      let (next, overflow) = offset.multipliedReportingOverflow(by: 2)
      if overflow { return nil }
      offset = offset == 0 ? 512 : next
    }
    return nil
  }
}

/// One of the layouts that weights have in HDF5 files.
package struct HDF5Interpretation: Sendable {
  /// Whether a file has this layout.
  package let recognizes: @Sendable (HDF5Contents) -> Bool
  /// What its tensors and metadata are.
  package let read: @Sendable (HDF5Contents) throws -> StateDict

  /// Describes a layout.
  package init(
    recognizes: @escaping @Sendable (HDF5Contents) -> Bool,
    read: @escaping @Sendable (HDF5Contents) throws -> StateDict
  ) {
    (self.recognizes, self.read) = (recognizes, read)
  }

  /// A state dict; every file that is nothing more special is read as one.
  package static let stateDict = HDF5Interpretation(
    recognizes: { _ in true }, read: { try HDF5Layout($0).stateDict() })
}

extension WeightFormat {
  /// HDF5 with one dataset per key.
  public static let hdf5 = WeightFormat(
    name: "hdf5", extensions: ["h5", "hdf5"], summary: "HDF5, laid out like a state dict",
    carriesMetadata: true, expectedConvention: nil,
    recognizes: HDF5.recognizes, readContents: { file, _ in try HDF5.read(file) },
    layout: .stateDict,
    writeContents: { try HDF5.write($0, toFileAt: $1.temporaryPath) },
    checkContents: { try HDF5Writer($0).checkNames() })
}
