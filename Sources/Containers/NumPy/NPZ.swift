// Several arrays of NumPy in one file: a zip archive (see ZipArchive.swift) with one `NAME.npy` per
// array.
//
// String metadata travels in the array `__metadata__`: one axis of u8, the UTF-8 text of a JSON
// object whose values are strings. NumPy sees it as one more array.

import Bytes
import Tensors

/// Reads and writes `.npz` files.
package enum NPZ {
  private static let suffix = Array(".npy".utf8)
  private static let metadataName: Name = "__metadata__"

  /// Whether the bytes are a zip archive that holds `.npy` files and nothing else.
  package static func recognizes(_ source: any ByteSource) -> Bool {
    guard ZipArchive.recognizes(source), let archive = try? ZipArchive(source) else { return false }
    return !archive.entries.isEmpty
      && archive.entries.allSatisfy { $0.isDirectory || hasSuffix($0.name) }
  }

  /// Reads all arrays in file order; stored and deflated entries are both read lazily.
  package static func read(_ source: any ByteSource) throws -> StateDict {
    let archive = try ZipArchive(source)
    var state = StateDict()
    for entry in archive.entries where !entry.isDirectory {
      do {
        guard hasSuffix(entry.name), let name = Name(validating: entry.name.utf8.dropLast(4)) else {
          throw RecurrentError(
            .npzMember, found: "a member that is no .npy file",
            expected: "arrays only")
        }
        let content = try archive.source(of: entry)
        let tensor = try NPY.read(content)
        if name == metadataName {
          state.metadata = try metadata(from: tensor)
        } else {
          try state.append(name, tensor)
        }
      } catch let error as RecurrentError {
        throw error.reason == .zipCRC ? error : error.within("entry \"\(entry.name)\"")
      }
    }
    return state
  }

  /// Writes all arrays in order, stored, each with its data at a multiple of 64 bytes.
  ///
  /// Throws `npy.bf16` for a type that NumPy lacks and `npz.name` for names that NumPy would
  /// confuse.
  package static func write(_ state: StateDict, to sink: any ByteSink) throws {
    try check(state)
    var zip = ZipWriter(sink)
    for entry in state.entries {
      do {
        try zip.add(
          name(entry.name, suffix),
          [MemorySource(NPY.prefix(of: entry.tensor)), entry.tensor.source],
          alignment: 64)
      } catch let error as RecurrentError {
        throw error.place == nil ? error.within("tensor \"\(entry.name)\"") : error
      }
    }
    if !state.metadata.isEmpty {
      let tensor = try tensor(from: state.metadata)
      try zip.add(
        name(metadataName, suffix), [MemorySource(NPY.prefix(of: tensor)), tensor.source],
        alignment: 64)
    }
    try zip.finish()
  }

  /// Throws what ``write(_:to:)`` throws about names and types.
  package static func check(_ state: StateDict) throws {
    let names = Set(state.names)
    for entry in state.entries {
      let member = name(entry.name, suffix)
      guard entry.name != metadataName, !names.contains(member) else {
        throw RecurrentError(
          .npzName, at: "tensor \"\(entry.name)\"",
          found: entry.name == metadataName ? "a reserved name" : "also a tensor \"\(member)\"",
          expected: "names that numpy.load can tell apart", hint: "Write safetensors instead.")
      }
      do {
        _ = try NPY.prefix(of: entry.tensor)
      } catch let error as RecurrentError {
        throw error.within("tensor \"\(entry.name)\"")
      }
    }
  }

  private static func hasSuffix(_ name: Name) -> Bool { name.utf8.suffix(4).elementsEqual(suffix) }

  private static func name(_ name: Name, _ suffix: [UInt8]) -> Name {
    Name(validating: name.utf8 + suffix) ?? name
  }

  private static func metadata(from tensor: Tensor) throws -> Metadata {
    guard tensor.dtype == .u8, tensor.shape.count == 1, tensor.byteCount <= 16 << 20 else {
      throw RecurrentError(
        .npzMetadata, found: "\(tensor.dtype.rawValue) \(tensor.shape)",
        expected: "one axis of u8 with the text of a JSON object")
    }
    guard case .object(let members) = try JSON.parse(tensor.bytes()), members.count <= 10_000 else {
      throw RecurrentError(
        .npzMetadata, found: "JSON that is no small object",
        expected: "an object of at most 10000 strings")
    }
    var metadata = Metadata()
    for member in members {
      guard case .string(let value) = member.value else {
        throw RecurrentError(
          .npzMetadata, at: "key \"\(member.key)\"", found: "no string",
          expected: "a string")
      }
      metadata[member.key] = value
    }
    return metadata
  }

  private static func tensor(from metadata: Metadata) throws -> Tensor {
    let object = JSON.object(
      metadata.pairs.map { JSON.Member(key: $0.key, value: .string($0.value)) })
    let bytes = Array(object.serialized().utf8)
    return try Tensor(dtype: .u8, shape: [bytes.count], bytes: bytes)
  }
}

extension WeightFormat {
  /// A zip file of NumPy arrays.
  public static let npz = WeightFormat(
    name: "npz", extensions: ["npz"], summary: "NumPy archive (numpy.savez)",
    carriesMetadata: true, expectedConvention: nil,
    recognizes: NPZ.recognizes, readContents: { file, _ in try NPZ.read(file) },
    writeContents: { try NPZ.write($0, to: $1) }, checkContents: NPZ.check)
}
